//! The log that people read while the program runs, in GitHub or in a terminal.
//!
//! In a terminal everything goes to standard error, so that standard output has data alone. In a workflow everything goes to
//! standard output, because the runner reads commands from both and keeps no order between them; but the log of a command
//! that prints data goes to standard error there too.

mod fold;
mod sink;

use std::io;

use crate::guards::Guard;
use crate::inputs::LogStyle;
use crate::ports::actions::{Annotation, command, log_line};
use crate::ports::exec::CancelSignal;
use crate::ports::random;
use crate::shown;
use fold::{Folds, Waiting};
use sink::Sink;

/// The log.
#[derive(Clone)]
pub(crate) struct Console {
    /// True in a workflow step.
    github: bool,
    style: LogStyle,
    debug: DebugLog,
    out: Sink,
    err: Sink,
    /// True if the log goes to standard error.
    to_err: bool,
    folds: Folds,
}

/// The target of the debug log.
#[derive(Clone, Copy, PartialEq, Eq)]
enum DebugLog {
    Off,
    /// Between the other lines.
    Log,
    /// To the runner, which shows it in its debug log alone.
    Runner,
}

impl Console {
    /// The log of a workflow step if `github`, else of a terminal. A reader that does not read the log holds the run up, but not
    /// its end once `cancel` tells it to stop.
    #[must_use]
    pub(crate) fn new(github: bool, style: LogStyle, cancel: CancelSignal) -> Self {
        let (out, err) = (Sink::new(io::stdout(), cancel.clone()), Sink::new(io::stderr(), cancel));
        Self { github, style, debug: DebugLog::Off, out, err, to_err: !github, folds: Folds::default() }
    }

    /// The same log in another style.
    #[must_use]
    pub(crate) fn with_style(mut self, style: LogStyle) -> Self {
        self.style = style;
        self
    }

    /// The same log with a debug log, if the command line (`asked`) or the runner asks for one.
    #[must_use]
    pub(crate) fn with_debug(mut self, asked: bool, by_runner: bool) -> Self {
        self.debug = match (asked, by_runner) {
            // The runner drops debug commands of a step unless it asks for them.
            (_, true) if self.github => DebugLog::Runner,
            (false, false) => DebugLog::Off,
            _ => DebugLog::Log,
        };
        self
    }

    pub(crate) fn has_debug(&self) -> bool {
        self.debug != DebugLog::Off
    }

    /// For commands whose result goes to standard output: the log, masks too, goes to standard
    /// error, where the runner reads commands as well.
    #[must_use]
    pub(crate) fn beside_data(mut self) -> Self {
        self.to_err = true;
        self
    }

    fn write(&self, text: &str) {
        let sink = if self.to_err { &self.err } else { &self.out };
        sink.write(text.as_bytes());
    }

    /// A command that the runner obeys.
    fn command(&self, command: &str) {
        self.write(&self.folds.outside(command));
    }

    /// Waits until everything is written, by this log and by all that were made from the same one.
    pub(crate) fn finish(&self) {
        self.out.finish();
        self.err.finish();
    }

    /// Writes a command's result to standard output, or its error to standard error, and waits until it is written. The caller
    /// has made the text harmless.
    pub(crate) fn result(&self, text: &str, failed: bool) {
        let sink = if failed { &self.err } else { &self.out };
        sink.write(text.as_bytes());
        self.finish();
    }

    /// Writes a line. It may quote text from outside: a workflow command in it has no effect.
    pub(crate) fn line(&self, text: &str) {
        self.write(&format!("{}\n", log_line(text)));
    }

    /// Writes a line of the debug log.
    pub(crate) fn debug(&self, text: &str) {
        match self.debug {
            DebugLog::Off => {}
            DebugLog::Log => self.line(&format!("debug: {text}")),
            DebugLog::Runner => self.command(&command("debug", &[], &log_line(text))),
        }
    }

    /// Hides a value in everything that follows.
    pub(crate) fn mask(&self, value: &str) {
        shown::learn(value);
        if self.github {
            for part in shown::parts(value) {
                self.command(&command("add-mask", &[], part));
            }
        }
    }

    /// Hides the password of a URL, as it is written and as it is sent.
    pub(crate) fn mask_user(&self, url: &str) {
        if let Some(secret) = shown::secret_of(url) {
            self.mask(secret);
            if let Some(plain) = crate::env::percent_decoded(secret) {
                self.mask(&plain);
            }
        }
    }

    /// Writes an annotation; in a terminal a plain line.
    pub(crate) fn annotate(&self, annotation: &Annotation<'_>) {
        if self.github {
            self.command(&annotation.to_command());
        } else {
            self.line(&format!("{}: {}", annotation.level, annotation.message));
        }
    }

    /// Makes a fold for a child's output, with a bracket in which the runner obeys no command. While another fold is open, its
    /// lines wait.
    #[must_use]
    pub(crate) fn foreign(&self, title: &str) -> Foreign {
        // Without randomness there is no bracket, and `log_line` still makes each line harmless.
        let token = if self.github && Guard::InertLog.holds() { random::hex_128() } else { None };
        let mut foreign = Foreign {
            console: self.clone(),
            title: title.to_owned(),
            token: token.unwrap_or_default(),
            is_open: false,
            waiting: Waiting::default(),
        };
        foreign.open();
        foreign
    }

    /// Tells whether the output of children is folded.
    fn folds(&self) -> bool {
        self.github && self.style == LogStyle::Grouped
    }
}

/// A child's output; closes its bracket and fold when dropped, on every path.
pub(crate) struct Foreign {
    console: Console,
    title: String,
    /// The token of the bracket; empty without one.
    token: String,
    /// True if the lines go out as they come.
    is_open: bool,
    waiting: Waiting,
}

impl Foreign {
    /// Writes a line of the child process.
    pub(crate) fn line(&mut self, text: &[u8]) {
        let text = format!("{}\n", log_line(&String::from_utf8_lossy(text)));
        self.open();
        if self.is_open {
            self.console.write(&text);
        } else {
            self.waiting.add(text);
        }
    }

    /// Opens the fold, with the lines that have waited, unless another is open.
    fn open(&mut self) {
        if !self.is_open && self.console.folds.open(&self.token) {
            self.is_open = true;
            self.console.write(&format!("{}{}", self.head(), self.waiting.take()));
        }
    }

    /// The lines before the child's.
    fn head(&self) -> String {
        let mut head = if self.console.folds() {
            command("group", &[], &shown::hide(&self.title))
        } else {
            format!("{}\n", log_line(&self.title))
        };
        if !self.token.is_empty() {
            head += &command("stop-commands", &[], &self.token);
        }
        head
    }

    /// The lines after the child's.
    fn tail(&self) -> String {
        let bracket = if self.token.is_empty() { String::new() } else { format!("::{}::\n", self.token) };
        bracket + if self.console.folds() { "::endgroup::\n" } else { "" }
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        if self.is_open {
            self.console.write(&self.tail());
            self.console.write(&self.console.folds.close());
            return;
        }
        let whole = format!("{}{}{}", self.head(), self.waiting.take(), self.tail());
        if let Some(whole) = self.console.folds.keep(whole) {
            self.console.write(&whole);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The lines that are written, with `[` and `]` for a bracket's start and end.
    fn written(write: impl FnOnce(&Console)) -> Vec<String> {
        let (written, cancel) = (Written::default(), tokio::sync::watch::channel(None).1);
        let out = Sink::new(written.clone(), cancel.clone());
        let console = Console { out, ..Console::new(true, LogStyle::Grouped, cancel) };
        write(&console);
        console.finish();
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        // Tokens are random.
        let plain = |line: &str| {
            let is_token = line.len() == 36 && line.starts_with("::") && line.ends_with("::");
            if is_token { "]".to_owned() } else { line.split("::stop-commands").next().unwrap().to_owned() }
        };
        text.lines().map(plain).map(|line| if line.is_empty() { "[".to_owned() } else { line }).collect()
    }

    /// A stream whose reader takes its time.
    struct Slow(Written);

    impl io::Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            std::thread::sleep(std::time::Duration::from_millis(50));
            self.0.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_end_waits_for_a_log_beside_data_too() {
        let (written, cancel) = (Written::default(), tokio::sync::watch::channel(None).1);
        let err = Sink::new(Slow(written.clone()), cancel.clone());
        let console = Console { err, ..Console::new(true, LogStyle::Grouped, cancel) };
        console.clone().beside_data().line("debug: GET");
        console.finish();
        assert_eq!(*written.0.lock().unwrap(), b"debug: GET\n");
    }

    #[test]
    fn of_two_folds_the_second_waits_for_the_first() {
        let lines = written(|console| {
            let (mut first, mut second) = (console.foreign("a"), console.foreign("b"));
            first.line(b"a1");
            second.line(b"b1");
            first.line(b"a2");
            console.line("own");
            drop(first);
            second.line(b"b2");
        });
        assert_eq!(
            lines,
            [
                "::group::a",
                "[",
                "a1",
                "a2",
                "own",
                "]",
                "::endgroup::",
                "::group::b",
                "[",
                "b1",
                "b2",
                "]",
                "::endgroup::"
            ]
        );
    }

    #[test]
    fn a_fold_that_ends_first_is_told_after_the_open_one() {
        let lines = written(|console| {
            let first = console.foreign("a");
            console.foreign("b").line(b"b1");
            drop(first);
        });
        assert_eq!(
            lines,
            ["::group::a", "[", "]", "::endgroup::", "::group::b", "[", "b1", "]", "::endgroup::"]
        );
    }

    #[test]
    fn a_mask_is_obeyed_while_a_fold_is_open() {
        let lines = written(|console| {
            let mut fold = console.foreign("a");
            console.mask("canary-of-the-console");
            fold.line(b"a1");
        });
        assert_eq!(
            lines,
            ["::group::a", "[", "]", "::add-mask::canary-of-the-console", "[", "a1", "]", "::endgroup::"]
        );
    }
}
