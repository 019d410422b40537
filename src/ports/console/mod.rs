//! What people read while the program runs, in GitHub's log or a terminal.
//!
//! Everything goes to standard error in a terminal, so that standard output stays for data;
//! in a workflow everything goes to standard output, because the runner reads commands from
//! both and keeps no order between them. Commands that only print data are the exception.

mod sink;

use std::io;

use crate::guards::Guard;
use crate::inputs::LogStyle;
use crate::ports::actions::{Annotation, command, log_line};
use crate::ports::exec::CancelSignal;
use crate::ports::random;
use crate::shown;
use sink::Sink;

/// The log.
#[derive(Clone)]
pub(crate) struct Console {
    github: bool,
    style: LogStyle,
    debug: DebugLog,
    sink: Sink,
    cancel: CancelSignal,
}

/// Where the debug log goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum DebugLog {
    Off,
    /// Between the other lines.
    Log,
    /// To the runner, which shows it in its debug log alone.
    Runner,
}

impl Console {
    /// For a workflow step if `github`, else for a terminal. A log that its reader does not read holds up the run, but
    /// not its end once `cancel` says so.
    #[must_use]
    pub(crate) fn new(github: bool, style: LogStyle, cancel: CancelSignal) -> Self {
        let signal = cancel.clone();
        let sink = if github { Sink::new(io::stdout(), signal) } else { Sink::new(io::stderr(), signal) };
        Self { github, style, debug: DebugLog::Off, sink, cancel }
    }

    /// With another style.
    #[must_use]
    pub(crate) fn with_style(mut self, style: LogStyle) -> Self {
        self.style = style;
        self
    }

    /// With a debug log, if the command line or the runner asks for one.
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
        self.sink = Sink::new(io::stderr(), self.cancel.clone());
        self
    }

    fn write(&self, text: &str) {
        self.sink.write(text.as_bytes());
    }

    /// Waits until everything is written.
    pub(crate) fn finish(&self) {
        self.sink.finish();
    }

    /// Writes a command's result to standard output, or its error to standard error, to its end. It is harmless text.
    pub(crate) fn result(&self, text: &str, failed: bool) {
        let cancel = self.cancel.clone();
        let sink = if failed { Sink::new(io::stderr(), cancel) } else { Sink::new(io::stdout(), cancel) };
        sink.write(text.as_bytes());
        sink.finish();
    }

    /// One line of our own. It may quote foreign text: no workflow command survives it.
    pub(crate) fn line(&self, text: &str) {
        self.write(&format!("{}\n", log_line(text)));
    }

    /// One line of the debug log.
    pub(crate) fn debug(&self, text: &str) {
        match self.debug {
            DebugLog::Off => {}
            DebugLog::Log => self.line(&format!("debug: {text}")),
            DebugLog::Runner => self.write(&command("debug", &[], &log_line(text))),
        }
    }

    /// Hides a value in everything that follows.
    pub(crate) fn mask(&self, value: &str) {
        shown::learn(value);
        if self.github {
            for part in shown::parts(value) {
                self.write(&command("add-mask", &[], part));
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

    /// An annotation; a plain line in a terminal.
    pub(crate) fn annotate(&self, annotation: &Annotation<'_>) {
        if self.github {
            self.write(&annotation.to_command());
        } else {
            self.line(&format!("{}: {}", annotation.level, annotation.message));
        }
    }

    /// Opens a fold for a child's output, and a bracket in which the runner obeys no command.
    #[must_use]
    pub(crate) fn foreign(&self, title: &str) -> Foreign {
        if self.github && self.style == LogStyle::Grouped {
            self.write(&command("group", &[], &shown::hide(title)));
        } else {
            self.line(title);
        }
        // Without randomness there is no bracket; the line filter still holds.
        let token = if self.github && Guard::InertLog.holds() { random::hex_128() } else { None };
        if let Some(token) = &token {
            self.write(&command("stop-commands", &[], token));
        }
        Foreign { console: self.clone(), token }
    }
}

/// A child's output; closes its bracket and fold when dropped, on every path.
pub(crate) struct Foreign {
    console: Console,
    token: Option<String>,
}

impl Foreign {
    /// One line of the child's.
    pub(crate) fn line(&self, text: &[u8]) {
        let text = String::from_utf8_lossy(text);
        self.console.write(&format!("{}\n", log_line(&text)));
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        if let Some(token) = &self.token {
            self.console.write(&format!("::{token}::\n"));
        }
        if self.console.github && self.console.style == LogStyle::Grouped {
            self.console.write("::endgroup::\n");
        }
    }
}
