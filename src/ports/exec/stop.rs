//! Cancellation: the signal everyone listens to, and how a child is ended.

use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::process::Child;
use tokio::sync::watch;

/// Which signal asked the program to stop, if one did.
pub(crate) type CancelSignal = watch::Receiver<Option<Stop>>;

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
pub(crate) async fn cancelled(signal: &CancelSignal) -> Stop {
    let mut signal = signal.clone();
    loop {
        if let Some(stop) = *signal.borrow_and_update() {
            return stop;
        }
        if signal.changed().await.is_err() {
            // The sender is gone: no cancellation can come.
            std::future::pending::<()>().await;
        }
    }
}

/// The runner kills everything 10 s after its first signal (actions/runner,
/// `ProcessInvoker`); a child that ignores both signals is gone after 4.5 s, which leaves time to
/// remove its builder.
const POLITE: Duration = Duration::from_millis(3500);
const FIRM: Duration = Duration::from_secs(1);

/// A child's process group. Unless the child came to its own end, all that is left of the group
/// is killed when this goes: a plug-in or a helper may outlive the process that was started.
#[derive(Debug)]
pub(super) struct Group(Option<Pid>);

impl Group {
    pub(super) fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw))
    }

    /// The child came to its own end: what it left running was meant to be.
    pub(super) fn release(&mut self) {
        self.0 = None;
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.0 {
            // Fails only if the group has ended, which is what is wanted.
            let _ = rustix::process::kill_process_group(group, signal);
        }
    }

    /// Asks, insists, kills.
    pub(super) async fn stop(&self, child: &mut Child) {
        // The docker CLI stops its plugin on the first signal and gives up on it on the third.
        for (signal, patience) in [(Signal::INT, POLITE), (Signal::TERM, FIRM)] {
            self.signal(signal);
            if tokio::time::timeout(patience, child.wait()).await.is_ok() {
                break;
            }
        }
        self.kill(child).await;
    }

    pub(super) async fn kill(&self, child: &mut Child) {
        self.signal(Signal::KILL);
        // The error would be that it has ended already.
        let _ = child.kill().await;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}
