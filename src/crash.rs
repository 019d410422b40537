//! Defects of this program: a panic ends the run like any other failure, with its outputs written,
//! its log bracket closed and its temporary files gone.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::task::Poll;

use crate::SLUG;
use crate::env::{self, Env};
use crate::error::{Error, FailureClass, Result};

/// Where the last panic was, `src/x.rs:1:2`.
static PLACE: Mutex<Option<String>> = Mutex::new(None);

/// Keeps every panic's place, and prints nothing: its text may quote any value.
pub fn keep_quiet() {
    std::panic::set_hook(Box::new(|panic| {
        if let Ok(mut place) = PLACE.lock() {
            *place = panic.location().map(ToString::to_string);
        }
    }));
}

fn defect() -> Error {
    let place = PLACE.lock().ok().and_then(|mut place| place.take());
    let place = place.unwrap_or_else(|| "an unknown place".to_owned());
    Error::new(FailureClass::Bug, "build-once has a defect")
        .cause(format!("version {} stopped at {place}", env!("CARGO_PKG_VERSION")))
        .hint(format!("report this line at https://github.com/{SLUG}/issues"))
}

/// Runs it; a panic becomes an error. What it held is dropped by then.
///
/// # Errors
/// Its own, or that it has a defect.
pub fn caught<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(defect()))
}

/// The same for work that waits.
///
/// # Errors
/// The same.
pub async fn caught_while<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let mut work = std::pin::pin!(work);
    std::future::poll_fn(|context| {
        catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context)))
            .unwrap_or_else(|_| Poll::Ready(Err(defect())))
    })
    .await
}

/// Panics if a test asks for it here; never in a release.
///
/// # Panics
/// That is what it is for.
pub fn on_purpose(env: &Env, place: &str) {
    assert!(
        !cfg!(debug_assertions) || env.get(env::BUILD_ONCE_TEST_PANIC) != Some(place),
        "asked for, with {} in its text",
        env.get(env::HOME).unwrap_or_default()
    );
}
