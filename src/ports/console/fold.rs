//! Folds of the output of child processes. Several may write at once, and the runner's log can have one open fold at a time:
//! the first one's lines go out as they come, those of the others wait until it is closed.
//!
//! Around a fold's lines stands a *bracket*: `::stop-commands::TOKEN` before them, `::TOKEN::` after them. Between these the
//! runner obeys no command; the token is random, so no child can end the bracket.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes of one child's output that wait. Of more, the oldest lines are left out, and a line says how many.
const WAITING: usize = 1024 * 1024;

/// Bytes of whole folds that wait for the open one. Of more, the oldest are left out, and a line says how many.
const ENDED: usize = 4 * WAITING;

/// The fold that is open, of all clones of a console.
#[derive(Clone, Default)]
pub(super) struct Folds(Arc<Mutex<Open>>);

#[derive(Default)]
struct Open {
    /// The token of the open fold's bracket, empty if it has no bracket; `None` if no fold is open.
    token: Option<String>,
    /// Folds that ended while another was open.
    ended: VecDeque<String>,
    /// The number of folds that were left out.
    left_out: usize,
}

impl Folds {
    fn lock(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a fold with this token, unless another is open. Returns whether it did.
    pub(super) fn open(&self, token: &str) -> bool {
        let mut open = self.lock();
        let free = open.token.is_none();
        if free {
            open.token = Some(token.to_owned());
        }
        free
    }

    /// Closes the open fold, and returns the folds that have ended meanwhile.
    pub(super) fn close(&self) -> String {
        let Open { ended, left_out, .. } = std::mem::take(&mut *self.lock());
        let note = (left_out > 0).then(|| format!("(the output of {left_out} commands is left out)\n"));
        note.into_iter().chain(ended).collect()
    }

    /// Keeps a whole fold until the open one is closed; returns it if none is open.
    pub(super) fn keep(&self, text: String) -> Option<String> {
        let mut open = self.lock();
        if open.token.is_none() {
            return Some(text);
        }
        open.ended.push_back(text);
        while open.ended.iter().map(String::len).sum::<usize>() > ENDED {
            open.ended.pop_front();
            open.left_out += 1;
        }
        None
    }

    /// Makes a command that the runner obeys although a fold is open: between two brackets.
    pub(super) fn outside(&self, command: &str) -> String {
        match self.lock().token.as_deref().filter(|token| !token.is_empty()) {
            Some(token) => format!("::{token}::\n{command}::stop-commands::{token}\n"),
            None => command.to_owned(),
        }
    }
}

/// Lines that wait for their fold.
#[derive(Default)]
pub(super) struct Waiting {
    lines: VecDeque<String>,
    /// Bytes of all lines.
    bytes: usize,
    /// The number of lines that were left out.
    left_out: usize,
}

impl Waiting {
    pub(super) fn add(&mut self, line: String) {
        self.bytes += line.len();
        self.lines.push_back(line);
        while self.bytes > WAITING
            && let Some(oldest) = self.lines.pop_front()
        {
            self.bytes -= oldest.len();
            self.left_out += 1;
        }
    }

    /// Takes all lines out.
    pub(super) fn take(&mut self) -> String {
        let lines = std::mem::take(self);
        let note = (lines.left_out > 0).then(|| format!("({} earlier lines are left out)\n", lines.left_out));
        note.into_iter().chain(lines.lines).collect()
    }
}
