//! Sends reads of a repository's manifests and writes of them at different times, because some registries cannot do both at once.
//!
//! CNCF distribution writes the record of a manifest again, in place, whenever a tag is set to it, and answers 500 to a request
//! that reads the record while it is empty (`registry/storage/driver/filesystem/driver.go`, `PutContent`, in 2.8). A run that
//! sets several tags of one image side by side would get such answers to its own looks at the tags. An index is set apart from
//! images too: the registry reads the records of its images then.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use reqwest::Method;
use tokio::sync::Notify;

use crate::image::{Repository, is_index};

/// Requests that may be open together in one repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Read,
    PutImage,
    PutIndex,
}

impl Kind {
    /// The kind of a request; `None` if it is about no manifest, or deletes one. `media_type`: that of what is sent.
    pub(super) fn of(method: &Method, url: &str, media_type: Option<&str>) -> Option<Self> {
        if !url.contains("/manifests/") {
            return None;
        }
        match (method, media_type) {
            (&Method::GET | &Method::HEAD, _) => Some(Self::Read),
            (&Method::PUT, Some(media_type)) if is_index(media_type) => Some(Self::PutIndex),
            (&Method::PUT, Some(_)) => Some(Self::PutImage),
            _ => None,
        }
    }
}

/// The requests about manifests that are open, by repository: their kind and their number.
#[derive(Default)]
pub(super) struct Turns {
    open: Mutex<HashMap<Repository, (Kind, usize)>>,
    ended: Notify,
}

/// One request that is open until this is dropped.
pub(super) struct Turn<'a> {
    turns: &'a Turns,
    repository: &'a Repository,
}

impl Turns {
    /// Waits until no request of another kind is open in the repository.
    pub(super) async fn take<'a>(&'a self, repository: &'a Repository, kind: Kind) -> Turn<'a> {
        loop {
            // Before the look: an end between the look and the wait counts too.
            let ended = self.ended.notified();
            if self.try_take(repository, kind) {
                return Turn { turns: self, repository };
            }
            ended.await;
        }
    }

    fn try_take(&self, repository: &Repository, kind: Kind) -> bool {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        match open.get_mut(repository) {
            Some((other, _)) if *other != kind => return false,
            Some((_, number)) => *number += 1,
            None => drop(open.insert(repository.clone(), (kind, 1))),
        }
        true
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut open = self.turns.open.lock().unwrap_or_else(PoisonError::into_inner);
        match open.get_mut(self.repository) {
            Some((_, number)) if *number > 1 => *number -= 1,
            _ => {
                open.remove(self.repository);
                self.turns.ended.notify_waiters();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn requests_of_one_kind_are_open_together_and_others_wait() {
        let (turns, ci): (Turns, Repository) = (Turns::default(), "r.example/ci".parse().unwrap());
        let other: Repository = "r.example/other".parse().unwrap();
        let taken = |repository, kind| turns.take(repository, kind).now_or_never();
        let first = taken(&ci, Kind::Read).unwrap();
        let second = taken(&ci, Kind::Read).unwrap();
        assert!(taken(&ci, Kind::PutImage).is_none() && taken(&ci, Kind::PutIndex).is_none());
        assert!(taken(&other, Kind::PutImage).is_some(), "each repository by itself");
        drop(first);
        let mut put = Box::pin(turns.take(&ci, Kind::PutImage));
        assert!((&mut put).now_or_never().is_none(), "one is open still");
        drop(second);
        let put = put.now_or_never().unwrap();
        assert!(taken(&ci, Kind::Read).is_none() && taken(&ci, Kind::PutIndex).is_none());
        assert!(taken(&ci, Kind::PutImage).is_some());
        drop(put);
        assert!(taken(&ci, Kind::PutIndex).is_some());
        assert!(turns.open.lock().unwrap().is_empty());
    }

    /// A request that is given up while it waits holds up nobody.
    #[test]
    fn a_wait_that_is_given_up_leaves_nothing() {
        let (turns, ci): (Turns, Repository) = (Turns::default(), "r.example/ci".parse().unwrap());
        let read = turns.take(&ci, Kind::Read).now_or_never().unwrap();
        let mut put = Box::pin(turns.take(&ci, Kind::PutImage));
        assert!((&mut put).now_or_never().is_none());
        drop(put);
        drop(read);
        assert!(turns.take(&ci, Kind::PutIndex).now_or_never().is_some());
    }
}
