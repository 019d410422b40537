//! Folds of children's output. Several children may write at once, and the runner's log knows one fold at a time: the
//! first one's lines go out as they come, the others' wait until it is closed.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes of one child's output that wait. Where there are more, the oldest are left out, and that is said.
const WAITING: usize = 1024 * 1024;

/// Bytes of whole folds that wait for the open one. Where there are more, the oldest are left out, and that is said.
const ENDED: usize = 4 * WAITING;

/// The fold that is open, of all clones of a console.
#[derive(Clone, Default)]
pub(super) struct Folds(Arc<Mutex<Open>>);

#[derive(Default)]
struct Open {
    /// The bracket of the open fold, in which the runner obeys no command; empty where it has none.
    token: Option<String>,
    /// Folds that ended while another was open.
    ended: VecDeque<String>,
    /// Those that were left out for want of room.
    left_out: usize,
}

impl Folds {
    fn lock(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a fold with this bracket, unless another is open.
    pub(super) fn open(&self, token: &str) -> bool {
        let mut open = self.lock();
        let free = open.token.is_none();
        if free {
            open.token = Some(token.to_owned());
        }
        free
    }

    /// Closes the open fold; what has ended meanwhile.
    pub(super) fn close(&self) -> String {
        let Open { ended, left_out, .. } = std::mem::take(&mut *self.lock());
        let said = (left_out > 0).then(|| format!("(the output of {left_out} commands is left out)\n"));
        said.into_iter().chain(ended).collect()
    }

    /// Keeps a whole fold until the open one is closed; hands it back where none is open.
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

    /// A command that the runner obeys, whatever fold is open.
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
    bytes: usize,
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

    /// All of it.
    pub(super) fn take(&mut self) -> String {
        let lines = std::mem::take(self);
        let said = (lines.left_out > 0).then(|| format!("({} earlier lines are left out)\n", lines.left_out));
        said.into_iter().chain(lines.lines).collect()
    }
}
