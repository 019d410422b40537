//! Requests that set tags at the same moment.

use std::sync::{Condvar, Mutex};

use build_once::testing::Digest;

use crate::support::http::{Request, Response};

/// Requests that set such a tag are expected, and answered when all have come.
struct Expected {
    /// Part of the target.
    target: String,
    /// The digest of the image that is set first; `None` for any.
    first: Option<String>,
    wanted: usize,
    come: usize,
    answered: usize,
}

#[derive(Default)]
pub(super) struct Meeting {
    expected: Mutex<Option<Expected>>,
    changed: Condvar,
}

impl Meeting {
    pub(super) fn expect(&self, target: &str, wanted: usize, first: Option<&str>) {
        let (target, first) = (target.to_owned(), first.map(str::to_owned));
        let expected = Expected { target, first, wanted, come: 0, answered: 0 };
        *self.expected.lock().unwrap() = Some(expected);
    }

    /// Answers the request, in its turn if it is one of those.
    pub(super) fn answer(&self, request: &Request, answer: impl FnOnce() -> Response) -> Response {
        let mut expected = self.expected.lock().unwrap();
        let is_one =
            |expected: &&mut Expected| request.method == "PUT" && request.target.contains(&expected.target);
        let Some(meeting) = expected.as_mut().filter(is_one) else {
            drop(expected);
            return answer();
        };
        meeting.come += 1;
        let is_first = |first: &String| Digest::of(&request.body).to_string() == *first;
        let turn = usize::from(!meeting.first.as_ref().is_none_or(is_first));
        self.changed.notify_all();
        let waits = |expected: &mut Option<Expected>| {
            expected.as_ref().is_some_and(|meeting| meeting.come < meeting.wanted || meeting.answered < turn)
        };
        let mut expected = self.changed.wait_while(expected, waits).unwrap();
        let response = answer();
        match expected.as_mut() {
            Some(meeting) if meeting.answered + 1 < meeting.wanted => meeting.answered += 1,
            _ => *expected = None,
        }
        self.changed.notify_all();
        response
    }
}
