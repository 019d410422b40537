//! How the runner reads what a step prints: the oracle of every test. Written from
//! actions/runner: `ProcessInvoker` (lines end at CR, LF and CRLF, on both streams),
//! `OutputManager` and `ActionCommandManager` (who obeys), `ActionCommand` (`::name::` at the
//! start of a line after trimming; the older `##[name]` anywhere in it). Stricter in one thing:
//! every name counts, not only the registered ones.

/// A command that the runner would obey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Command {
    pub name: String,
    /// `title=x,file=y`, decoded.
    pub properties: String,
    pub message: String,
}

/// The log as the runner sees it.
#[derive(Debug, Default)]
pub(crate) struct Scanned {
    /// What is obeyed.
    pub commands: Vec<Command>,
    /// What is printed.
    pub lines: Vec<String>,
    /// A `stop-commands` that nothing ended.
    pub stopped: bool,
}

/// Reads a log as the runner does.
pub(crate) fn scan(log: &str) -> Scanned {
    let mut scanned = Scanned::default();
    let mut token: Option<String> = None;
    for line in log.split(['\r', '\n']) {
        match (parse(line), &token) {
            (Some(command), Some(end)) if command.name.eq_ignore_ascii_case(end) => token = None,
            (Some(command), None) => {
                if command.name.eq_ignore_ascii_case("stop-commands") {
                    token = Some(command.message.clone());
                }
                scanned.commands.push(command);
            }
            _ if line.is_empty() => {}
            _ => scanned.lines.push(line.to_owned()),
        }
    }
    scanned.stopped = token.is_some();
    scanned
}

/// The command in one line.
fn parse(line: &str) -> Option<Command> {
    parse_modern(line).or_else(|| parse_old(line))
}

/// `TryParseV2`.
fn parse_modern(line: &str) -> Option<Command> {
    let (info, message) = line.trim_start().strip_prefix("::")?.split_once("::")?;
    Some(command(info, ',', &[(':', "%3A"), (',', "%2C")], message))
}

/// `TryParse`, the form of Azure Pipelines.
fn parse_old(line: &str) -> Option<Command> {
    let (info, message) = line.split_once("##[")?.1.split_once(']')?;
    Some(command(info, ';', &[(';', "%3B"), (']', "%5D")], message))
}

fn command(info: &str, separator: char, more: &[(char, &str)], message: &str) -> Command {
    let (name, properties) = info.split_once(' ').unwrap_or((info, ""));
    let properties = properties.trim().split(separator).filter(|property| property.contains('='));
    let properties: Vec<String> = properties.map(|property| decode(property, more)).collect();
    Command { name: name.to_owned(), properties: properties.join(","), message: decode(message, &[]) }
}

/// `%25` last, as there.
fn decode(text: &str, more: &[(char, &str)]) -> String {
    let text = text.replace("%0D", "\r").replace("%0A", "\n");
    let text = more.iter().fold(text, |text, (plain, escaped)| text.replace(escaped, &plain.to_string()));
    text.replace("%25", "%")
}

/// Commands anywhere, brackets or not: what an outer program that echoes the log would obey.
pub(crate) fn bare_commands(log: &str) -> Vec<Command> {
    log.split(['\r', '\n']).filter_map(parse).collect()
}

/// The runner's reading of a file command's file (`FileCommandManager`, on Linux): names and
/// values in order; `Err` is what fails the step. A CR is part of the value, and `name=value`
/// counts too, so a forged line would show.
pub(crate) fn file_command(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut pairs = Vec::new();
    let mut lines = text.split('\n');
    while let Some(line) = lines.next() {
        if line.is_empty() {
            continue;
        }
        let (equals, heredoc) = (line.find('='), line.find("<<"));
        if let Some(at) = heredoc.filter(|at| equals.is_none_or(|equals| *at < equals)) {
            let (name, delimiter) = (&line[..at], &line[at + 2..]);
            if name.is_empty() || delimiter.is_empty() {
                return Err(format!("Invalid format '{line}'"));
            }
            let mut value = Vec::new();
            loop {
                match lines.next() {
                    Some(line) if line == delimiter => break,
                    Some(line) => value.push(line),
                    None => return Err(format!("Matching delimiter not found '{delimiter}'")),
                }
            }
            pairs.push((name.to_owned(), value.join("\n")));
        } else {
            let (name, value) = line.split_once('=').ok_or_else(|| format!("Invalid format '{line}'"))?;
            pairs.push((name.to_owned(), value.to_owned()));
        }
    }
    Ok(pairs)
}

#[test]
fn the_oracle_reads_as_the_runner_does() {
    let names = |log: &str| scan(log).commands.into_iter().map(|command| command.name).collect::<Vec<_>>();
    assert_eq!(names("  ::set-output name=a::b"), ["set-output"]);
    assert_eq!(names("x ##[error]y"), ["error"]);
    assert_eq!(names("a\r::warning::b"), ["warning"]);
    assert_eq!(names("x ::error::y"), [""; 0]);
    assert_eq!(names("::stop-commands::t\n::error::x\n::t::\n::error::y"), ["stop-commands", "error"]);
    assert_eq!(names("::stop-commands::t\nx ##[T]\n::error::y"), ["stop-commands", "error"]);
    assert!(scan("::stop-commands::t\n::u::").stopped);
    let one = &scan("::error title=a%3Ab%2Cc,x,line=1::50%25%0Ay%3A").commands[0];
    assert_eq!((&*one.properties, &*one.message), ("title=a:b,c,line=1", "50%\ny%3A"));
    let old = &scan("t ##[error file=a%3Bb;line=1]%5D").commands[0];
    assert_eq!((&*old.properties, &*old.message), ("file=a;b,line=1", "%5D"));

    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        file_command("a<<X\n1\n\n2\r\nX\n\nb=c<<d\n"),
        Ok(vec![pair("a", "1\n\n2\r"), pair("b", "c<<d")])
    );
    assert_eq!(file_command("a<<X\nX\n"), Ok(vec![pair("a", "")]));
    for bad in ["a<<X\n1\nX ", "a<<\n", "<<X\nX\n", "nothing"] {
        assert!(file_command(bad).is_err(), "{bad:?}");
    }
}
