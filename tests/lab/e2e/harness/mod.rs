//! What the tests stand on.

mod gateway;
mod http;
pub mod images;
mod lab;
#[path = "../../../it/support/moments.rs"]
mod moments;
mod program;
mod registry;
mod run;
// The runner's reading of a log, the same for all tests.
#[allow(dead_code, reason = "not every test target uses all of it")]
#[path = "../../../it/support/scanner.rs"]
mod scanner;
mod watcher;
mod workspace;

pub use gateway::{Entry, Rules, rule, status};
pub use http::request;
pub use lab::{engine, engine_at, lab, unique};
pub(crate) use moments::Moments;
pub use program::{Program, Running};
pub use registry::{Image, Repository, aws};
pub use run::{Finished, parse_outputs};
pub use watcher::Watcher;
pub use workspace::Workspace;

use std::time::{Duration, Instant};

/// The annotation and the label that carry the key.
pub const KEY: &str = "io.github.build-once.key";

/// Waits until it is so.
pub fn eventually(what: &str, limit: Duration, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < limit, "after {limit:?} still not so: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}
