//! The runner's protocol: workflow commands (`::error title=x::text`), the output file, the summary file; and text from
//! outside made harmless for it (GitHub docs, "Workflow commands"; actions/runner, `ActionCommand.cs`,
//! `FileCommandManager.cs`).

use std::fmt::{self, Write as _};
use std::path::Path;

use crate::env::{self, Env};
use crate::error::{Error, Result};
use crate::failure::FailureKind;
use crate::guards::Guard;
use crate::ports::random;
use crate::shown;

/// Makes a line with a workflow command. The name and the names of properties are not escaped: they come from this program.
#[must_use]
pub(crate) fn command(name: &str, properties: &[(&str, &str)], message: &str) -> String {
    let mut text = format!("::{name}");
    for (at, (property, value)) in properties.iter().enumerate() {
        let separator = if at == 0 { ' ' } else { ',' };
        let value = escape(value).replace(':', "%3A").replace(',', "%2C");
        // Writing to a String cannot fail.
        let _ = write!(text, "{separator}{property}={value}");
    }
    let _ = writeln!(text, "::{}", escape(message));
    text
}

fn escape(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// The level of an annotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// The step failed.
    Error,
    /// Worth looking at.
    Warning,
    /// Good to know.
    Notice,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Notice => "notice",
        })
    }
}

/// An annotation of the run, perhaps of a line in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation<'a> {
    pub level: Level,
    pub title: &'a str,
    pub message: String,
    /// File and line.
    pub at: Option<(&'a str, usize)>,
}

impl<'a> Annotation<'a> {
    /// An annotation of no line.
    #[must_use]
    pub const fn new(level: Level, title: &'a str, message: String) -> Self {
        Self { level, title, message, at: None }
    }

    /// Characters of the longest text that the runner keeps (actions/runner, `ExecutionContext`).
    const LIMIT: usize = 4096;

    /// Makes the workflow command.
    #[must_use]
    pub fn to_command(&self) -> String {
        let line = self.at.map(|(_, line)| line.to_string());
        let (title, file) = (shown::hide(self.title), self.at.map(|(file, _)| shown::hide(file)));
        let mut properties = vec![("title", &*title)];
        if let (Some(file), Some(line)) = (&file, &line) {
            properties.push(("file", file));
            properties.push(("line", line));
        }
        // The runner counts in another way than this program, so some room is left.
        let message = shown::cut(&without_controls(&self.message), Self::LIMIT - 100);
        command(&self.level.to_string(), &properties, &message)
    }
}

/// Makes text from outside one line that is no command. The runner obeys `::` at the start of a line and `##[` anywhere in
/// it, on both streams, and a CR ends a line too. It compares by culture, which skips characters without weight: they could
/// stand inside `##[`, so they are left out.
#[must_use]
pub fn inert(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    if !Guard::InertLog.holds() {
        return text.into_owned();
    }
    let mut clean = String::with_capacity(text.len() + 8);
    let mut chars = text.trim_end_matches(['\r', '\n']).chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            // CSI and OSC sequences: colours, cursor, titles, links.
            '\u{1b}' => skip_escape(&mut chars),
            '\r' | '\n' => clean.push_str(" ⏎ "),
            '\t' => clean.push('\t'),
            c if c.is_control() || is_weightless(c) => {}
            c => clean.push(c),
        }
    }
    let mut clean = clean.replace("##[", "# #[");
    if clean.trim_start().starts_with("::") {
        let at = clean.len() - clean.trim_start().len() + 1;
        clean.insert(at, ' ');
    }
    clean
}

/// As [`log_line`], for a text of several lines.
#[must_use]
pub(crate) fn without_controls(text: &str) -> String {
    let lines: Vec<String> = shown::hide(text).lines().map(log_line).collect();
    lines.join("\n")
}

/// Makes a line for the log: no command, and without secrets, also those that control characters split.
#[must_use]
pub(crate) fn log_line(text: &str) -> String {
    shown::hide(&inert(shown::hide(text).as_bytes())).into_owned()
}

/// Escapes JSON with text from outside so that no line is a command; the data stays the same. A line of JSON does not begin
/// with such text, so only `##[` and characters without weight are escaped.
#[must_use]
pub(crate) fn inert_json(json: &str) -> String {
    let mut clean = String::with_capacity(json.len());
    let mut last = ' ';
    for c in json.chars() {
        if c != '\n' && (c.is_control() || is_weightless(c)) || c == '#' && last == '#' {
            // A character above 0xFFFF has two.
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(clean, "\\u{unit:04x}");
            }
        } else {
            clean.push(c);
        }
        last = c;
    }
    clean
}

/// Tells whether a comparison by culture may skip the character (Unicode, `Default_Ignorable_Code_Point`, and those to which
/// the collation algorithm gives no weight).
fn is_weightless(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{115f}' | '\u{1160}'
        | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Skips the rest of a terminal's sequence after ESC: `ESC [ … letter`, or `ESC ] …` to BEL or `ESC \`.
fn skip_escape(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match chars.next_if(|c| matches!(c, '[' | ']')) {
        Some('[') => while chars.next().is_some_and(|c| !('\u{40}'..='\u{7e}').contains(&c)) {},
        Some(_) => {
            while let Some(c) = chars.next() {
                if c == '\u{7}' || (c == '\u{1b}' && chars.next_if_eq(&'\\').is_some()) {
                    break;
                }
            }
        }
        None => {}
    }
}

/// Appends step outputs to the file that `GITHUB_OUTPUT` names; nothing outside a workflow.
///
/// # Errors
/// If the file cannot be written.
pub(crate) fn write_outputs(env: &Env, outputs: &[(&str, String)]) -> Result<()> {
    let Some(path) = env.get(env::GITHUB_OUTPUT) else {
        if env.in_github_actions() {
            return Err(Error::of(
                FailureKind::Machine,
                "failed to write the step's outputs: GITHUB_OUTPUT is not set",
            ));
        }
        return Ok(());
    };
    append(Path::new(path), &encode_outputs(outputs)?)
}

/// The file's format: `name<<delimiter`, the value, the delimiter; the delimiter is random
/// and stands in no value.
///
/// # Errors
/// If the operating system has no randomness to give.
pub fn encode_outputs(outputs: &[(&str, String)]) -> Result<String> {
    encode_with(outputs, random::hex_128)
}

fn encode_with(outputs: &[(&str, String)], mut random: impl FnMut() -> Option<String>) -> Result<String> {
    let mut text = String::new();
    for (name, value) in outputs {
        let delimiter = loop {
            let delimiter =
                random().ok_or_else(|| Error::of(FailureKind::Machine, "failed to get random bytes"))?;
            if !value.contains(&delimiter) {
                break delimiter;
            }
        };
        // The runner would keep a CR before a line break as part of the value.
        let value = value.replace('\r', "");
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name}<<{delimiter}\n{value}\n{delimiter}");
    }
    Ok(text)
}

/// Bytes of a summary. The runner drops a summary of over 1 MiB, and other steps of the job add to the same file.
pub(crate) const SUMMARY_LIMIT: usize = 900 * 1024;

/// Appends to the job summary; nothing outside a workflow.
///
/// # Errors
/// If the file cannot be written.
pub fn write_summary(env: &Env, markdown: &str) -> Result<()> {
    let Some(path) = env.get(env::GITHUB_STEP_SUMMARY) else { return Ok(()) };
    if markdown.len() <= SUMMARY_LIMIT {
        return append(Path::new(path), markdown);
    }
    let mut end = SUMMARY_LIMIT;
    while !markdown.is_char_boundary(end) {
        end -= 1;
    }
    append(Path::new(path), &format!("{}\n\n*Cut here: a summary may hold 1 MiB.*\n", &markdown[..end]))
}

/// Appends everything or nothing: half an entry would make the whole file invalid for the runner.
fn append_by(
    path: &Path,
    write: impl FnOnce(&mut fs_err::File) -> std::io::Result<()>,
) -> std::io::Result<()> {
    use fs_err::os::unix::fs::OpenOptionsExt as _;
    // Opening a pipe would wait for its reader, writing to it for its room.
    let mut options = fs_err::OpenOptions::new();
    options.append(true).create(true).custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
    let mut file = options.open(path)?;
    let before = file.metadata()?.len();
    write(&mut file).inspect_err(|_| {
        // A device cannot be cut, and keeps nothing.
        let _ = file.set_len(before);
    })
}

fn append(path: &Path, text: &str) -> Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::FileTypeExt as _;
    append_by(path, |file| file.write_all(text.as_bytes())).map_err(|error| {
        let what = "failed to write a file of the runner's";
        let pipe = |file: std::fs::Metadata| file.file_type().is_fifo() || file.file_type().is_socket();
        if fs_err::metadata(path).is_ok_and(pipe) {
            return Error::of(FailureKind::Machine, what)
                .cause(format!("{} is a pipe that nothing reads", path.display()))
                .hint("the runner names this file: let it be a regular file");
        }
        let failed = Error::of_io(what, &error);
        if failed.is(FailureKind::DiskFull) {
            failed
        } else {
            failed.hint("the runner names this file: make its folder, and make it writable")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A file system without room takes what fits, then refuses.
    #[test]
    fn d31_outputs_are_written_whole_or_not_at_all() {
        use std::io::Write as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("output");
        fs_err::write(&path, "before\n").unwrap();
        let half = |file: &mut fs_err::File| {
            file.write_all(b"outcome<<x\nbui")?;
            Err(std::io::Error::from(std::io::ErrorKind::StorageFull))
        };
        assert!(append_by(&path, half).is_err());
        assert_eq!(fs_err::read_to_string(&path).unwrap(), "before\n");
    }

    /// Reads the output file as the runner does.
    fn decode(text: &str) -> Vec<(String, String)> {
        let mut lines = text.split('\n');
        let mut found = Vec::new();
        while let Some((name, delimiter)) = lines.next().and_then(|line| line.split_once("<<")) {
            let value: Vec<&str> = lines.by_ref().take_while(|line| *line != delimiter).collect();
            found.push((name.to_owned(), value.join("\n")));
        }
        found
    }

    /// Tells whether the runner obeys a line of the log: `ActionCommand.TryParseV2`, and the older form `##[`.
    fn is_command(line: &str) -> bool {
        line.trim_start().starts_with("::") || line.contains("##[")
    }

    #[test]
    fn commands_are_escaped() {
        assert_eq!(
            command("error", &[("title", "a:b,c"), ("line", "1")], "x%\r\ny"),
            "::error title=a%3Ab%2Cc,line=1::x%25%0D%0Ay\n"
        );
    }

    #[test]
    fn a_delimiter_that_stands_in_the_value_is_not_used() {
        let mut numbers = ["taken", "part", "free"].into_iter().map(str::to_owned);
        let outputs = [("a", "x\ntaken\ndepartment".to_owned())];
        let text = encode_with(&outputs, || numbers.next()).unwrap();
        assert_eq!(text, "a<<free\nx\ntaken\ndepartment\nfree\n");
        assert!(encode_with(&outputs, || None).is_err());
    }

    #[test]
    fn foreign_text_is_inert() {
        for text in [
            "::set-output name=x::y",
            "  ::x::",
            "ok ##[error]x",
            "a\r::x::",
            "\u{1b}[2K::x::",
            "\u{1b}]0;t\u{7}::x",
            "\0::x",
            // D25: the runner compares by culture.
            "#\u{200b}#[set-output name=x]y",
            "#\u{ad}#\u{feff}[x]",
            "\u{200d}:\u{2060}:x::",
        ] {
            let clean = inert(text.as_bytes());
            assert!(!clean.split(['\r', '\n']).any(is_command), "{text:?} → {clean:?}");
            let json = serde_json::json!({ text: [text] });
            let clean = inert_json(&format!("{json:#}"));
            assert!(!clean.lines().any(is_command) && !clean.contains(is_weightless), "{clean}");
            assert_eq!(serde_json::from_str::<serde_json::Value>(&clean).unwrap(), json);
        }
        assert_eq!(inert(b"plain \x1b[31mred\x1b[0m text\r"), "plain red text");
        assert_eq!(inert(b"bad \xff utf"), "bad \u{fffd} utf");
    }

    proptest! {
        #[test]
        fn outputs_survive_any_value(a in "(?s).{0,200}", b in "(?s)[ -~\n]{0,200}") {
            let a = a.replace('\r', "");
            let outputs = [("one", a), ("two", b)];
            let decoded = decode(&encode_outputs(&outputs).unwrap());
            prop_assert_eq!(decoded, outputs.map(|(name, value)| (name.to_owned(), value)).to_vec());
        }

        #[test]
        fn nothing_foreign_is_a_command(bytes in proptest::collection::vec(prop_oneof![Just(b':'), Just(b'#'), Just(b'['), Just(b'\r'), Just(b'\n'), Just(0x1b), Just(b' '), any::<u8>()], 0..60)) {
            let clean = inert(&bytes);
            prop_assert!(!clean.contains(['\r', '\n']));
            prop_assert!(!is_command(&clean), "{:?}", clean);
        }

        #[test]
        fn annotations_are_one_line(message in "(?s).{0,300}", title in "(?s).{0,40}") {
            let text = Annotation::new(Level::Error, &title, message).to_command();
            prop_assert_eq!(text.matches('\n').count(), 1);
            prop_assert!(!text.contains('\r'));
        }
    }
}
