//! Cancellation: the signal everyone listens to, and how a child is ended.

use std::time::Duration;

use tokio::process::Child;
use tokio::sync::watch;

/// Which signal asked the program to stop, if one did.
pub type CancelSignal = watch::Receiver<Option<Stop>>;

/// Why to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// SIGINT: the runner's first word on cancellation.
    Interrupt,
    /// SIGTERM.
    Terminate,
    /// The `timeout` input.
    Timeout,
}

/// Resolves when the run is to stop.
pub async fn cancelled(signal: &CancelSignal) -> Stop {
    let mut signal = signal.clone();
    loop {
        if let Some(stop) = *signal.borrow_and_update() {
            return stop;
        }
        if signal.changed().await.is_err() {
            // Nobody is left who could cancel.
            std::future::pending::<()>().await;
        }
    }
}

/// The runner kills everything 10 s after its first signal (actions/runner,
/// `ProcessInvoker`); this ends well before.
const POLITE: Duration = Duration::from_secs(4);
const FIRM: Duration = Duration::from_millis(1500);

pub(super) async fn stop(child: &mut Child) {
    use rustix::process::Signal;
    // The docker CLI stops its plugin on the first signal and gives up on it on the third.
    for (signal, patience) in [(Signal::INT, POLITE), (Signal::TERM, FIRM)] {
        signal_group(child, signal);
        if tokio::time::timeout(patience, child.wait()).await.is_ok() {
            break;
        }
    }
    kill(child).await;
}

pub(super) async fn kill(child: &mut Child) {
    signal_group(child, rustix::process::Signal::KILL);
    // The error would be that it has ended already.
    let _ = child.kill().await;
}

fn signal_group(child: &Child, signal: rustix::process::Signal) {
    let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
    if let Some(group) = group {
        // Fails only if the group has ended, which is what is wanted.
        let _ = rustix::process::kill_process_group(group, signal);
    }
}
