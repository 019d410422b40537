//! Makes a panic, which is a defect of this program, a failure like any other: with its outputs written, the folds of its
//! log closed and its temporary files removed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, OnceLock};
use std::task::Poll;

use tokio::task::JoinError;

use crate::env::{self, Env, SLUG};
use crate::error::{Error, Result};
use crate::failure::FailureClass;

/// The place of the first panic, `src/x.rs:1:2`: it may cause others on other threads.
static PLACE: Mutex<Option<String>> = Mutex::new(None);

/// The place where a test wants a panic, and the panic's text; never set in a release.
static WANTED: OnceLock<(String, String)> = OnceLock::new();

/// Keeps the place of a panic, and prints nothing: its text may quote any value.
pub(crate) fn keep_quiet(env: &Env) {
    if let Some(place) = env.get(env::BUILD_ONCE_TEST_PANIC).filter(|_| cfg!(debug_assertions)) {
        let text = format!("asked for, with {} in its text", env.get(env::HOME).unwrap_or_default());
        // It is set already only if this is called twice.
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

/// The error that a panic becomes. It names the place, and not the text, which may quote any value.
fn defect() -> Error {
    let place = PLACE.lock().ok().and_then(|mut place| place.take());
    let place = place.unwrap_or_else(|| "an unknown place".to_owned());
    Error::new(FailureClass::Bug, "build-once has a defect")
        .cause(format!("version {} stopped at {place}", env!("CARGO_PKG_VERSION")))
        .hint(format!("report this line at https://github.com/{SLUG}/issues"))
}

/// Does the work; a panic becomes an error. What the work held is dropped by then.
///
/// # Errors
/// Those of the work, or that it panicked.
pub(crate) fn caught<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(defect()))
}

/// As [`caught`], for work that waits.
///
/// # Errors
/// As [`caught`].
pub(crate) async fn caught_while<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let mut work = std::pin::pin!(work);
    std::future::poll_fn(|context| {
        catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context)))
            .unwrap_or_else(|_| Poll::Ready(Err(defect())))
    })
    .await
}

/// The error of a task that ended without a result: mostly it panicked, and the text of `error` would quote the panic's.
#[must_use]
pub(crate) fn joined(error: &JoinError) -> Error {
    if error.is_panic() {
        return defect();
    }
    Error::new(FailureClass::Bug, "a part of build-once was stopped before its end")
}

/// Panics if a test names this place ([`env::BUILD_ONCE_TEST_PANIC`]); never in a release.
///
/// # Panics
/// On purpose.
pub(crate) fn on_purpose(place: &str) {
    if let Some((wanted, text)) = WANTED.get() {
        assert!(wanted != place, "{text}");
    }
}
