//! What people read while the program runs, in GitHub's log or a terminal.
//!
//! Everything goes to standard error in a terminal, so that standard output stays for data;
//! in a workflow everything goes to standard output, because the runner reads commands from
//! both and keeps no order between them. Commands that only print data are the exception.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use crate::guards::Guard;
use crate::inputs::LogStyle;
use crate::ports::actions::{Annotation, command, log_line};
use crate::ports::random;
use crate::shown;

/// The log.
#[derive(Clone)]
pub struct Console {
    github: bool,
    style: LogStyle,
    sink: Arc<Mutex<Box<dyn Write + Send>>>,
}

impl Console {
    /// For a workflow step if `github`, else for a terminal.
    #[must_use]
    pub fn new(github: bool, style: LogStyle) -> Self {
        let sink: Box<dyn Write + Send> =
            if github { Box::new(io::stdout()) } else { Box::new(io::stderr()) };
        Self { github, style, sink: Arc::new(Mutex::new(sink)) }
    }

    /// With another style.
    #[must_use]
    pub fn with_style(mut self, style: LogStyle) -> Self {
        self.style = style;
        self
    }

    /// For commands whose result goes to standard output: the log, masks too, goes to standard
    /// error, where the runner reads commands as well.
    #[must_use]
    pub fn beside_data(mut self) -> Self {
        self.sink = Arc::new(Mutex::new(Box::new(io::stderr())));
        self
    }

    fn write(&self, text: &str) {
        // A log that nobody reads any more is no reason to fail the build.
        if let Ok(mut sink) = self.sink.lock() {
            let _ = sink.write_all(text.as_bytes());
            let _ = sink.flush();
        }
    }

    /// One line of our own. It may quote foreign text: no workflow command survives it.
    pub fn line(&self, text: &str) {
        self.write(&format!("{}\n", log_line(text)));
    }

    /// Hides a value in everything that follows.
    pub fn mask(&self, value: &str) {
        shown::learn(value);
        if self.github {
            for part in shown::parts(value) {
                self.write(&command("add-mask", &[], part));
            }
        }
    }

    /// Hides the password of a URL, as it is written and as it is sent.
    pub fn mask_user(&self, url: &str) {
        if let Some(secret) = shown::secret_of(url) {
            self.mask(secret);
            if let Some(plain) = crate::env::percent_decoded(secret) {
                self.mask(&plain);
            }
        }
    }

    /// An annotation; a plain line in a terminal.
    pub fn annotate(&self, annotation: &Annotation<'_>) {
        if self.github {
            self.write(&annotation.to_command());
        } else {
            self.line(&format!("{}: {}", annotation.level, annotation.message));
        }
    }

    /// Opens a fold for a child's output, and a bracket in which the runner obeys no command.
    #[must_use]
    pub fn foreign(&self, title: &str) -> Foreign {
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
pub struct Foreign {
    console: Console,
    token: Option<String>,
}

impl Foreign {
    /// One line of the child's.
    pub fn line(&self, text: &[u8]) {
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
