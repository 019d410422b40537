//! Defects of this program: a panic ends the run like any other failure, with its outputs written,
//! its log bracket closed and its temporary files gone.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, OnceLock};
use std::task::Poll;

use tokio::task::JoinError;

use crate::env::SLUG;
use crate::env::{self, Env};
use crate::error::{Error, Result};
use crate::failure::FailureClass;

/// Where the first panic was, `src/x.rs:1:2`: one on another thread brings on others.
static PLACE: Mutex<Option<String>> = Mutex::new(None);

/// Where a test wants one, and what it says; never set in a release.
static WANTED: OnceLock<(String, String)> = OnceLock::new();

/// Keeps the place of a panic, and prints nothing: its text may quote any value.
pub(crate) fn keep_quiet(env: &Env) {
    if let Some(place) = env.get(env::BUILD_ONCE_TEST_PANIC).filter(|_| cfg!(debug_assertions)) {
        let text = format!("asked for, with {} in its text", env.get(env::HOME).unwrap_or_default());
        // Set already only if this is called twice.
        WANTED.set((place.to_owned(), text)).ok();
    }
    std::panic::set_hook(Box::new(|panic| {
        if let Ok(mut place) = PLACE.lock()
            && place.is_none()
        {
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
pub(crate) fn caught<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(defect()))
}

/// The same for work that waits.
///
/// # Errors
/// The same.
pub(crate) async fn caught_while<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let mut work = std::pin::pin!(work);
    std::future::poll_fn(|context| {
        catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context)))
            .unwrap_or_else(|_| Poll::Ready(Err(defect())))
    })
    .await
}

/// What a task's end without a result means: mostly a panic, whose text its own words quote.
#[must_use]
pub(crate) fn joined(error: &JoinError) -> Error {
    if error.is_panic() {
        return defect();
    }
    Error::new(FailureClass::Bug, "a part of build-once was stopped before its end")
}

/// Panics if a test asks for it here; never in a release.
///
/// # Panics
/// That is what it is for.
pub(crate) fn on_purpose(place: &str) {
    if let Some((wanted, text)) = WANTED.get() {
        assert!(wanted != place, "{text}");
    }
}
