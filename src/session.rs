//! One run of the program: signals, the pipeline, the report, the exit code.

mod files;

use std::path::Path;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::env::Env;
use crate::error::{Error, Result};
use crate::execute::{Boot, Execution, OneImage, execute};
use crate::facts::gather;
use crate::failure::{FailureClass, FailureKind};
use crate::image::Digest;
use crate::inputs::{Call, RawInputs};
use crate::pipeline::{Decided, Prepared, plan_for, prepare};
use crate::plan::{self, Decision};
use crate::ports::Writes;
use crate::ports::actions::{self, Annotation, Level};
use crate::ports::clock::Stopwatch;
use crate::ports::console::Console;
use crate::ports::disk;
use crate::ports::exec::{CancelSignal, Stop, cancelled};
use crate::ports::temporary::sweep;
use crate::report::{ImageReport, Report, RunState, Stage, annotations, more_failures, outputs, summary};
use crate::shown;
use crate::trust::ImageRun;
use crate::{commands, crash};
use files::RunFiles;

/// Turns SIGINT, SIGTERM, SIGHUP and the input `timeout` into one signal for all tasks. It listens on its own thread,
/// because the program's thread may be blocked by a file or by a reader of the log.
pub(crate) struct Cancel {
    sender: watch::Sender<Option<Stop>>,
    /// The runtime of the thread that listens.
    thread: Handle,
    /// The signal that the ports watch.
    pub signal: CancelSignal,
}

impl Cancel {
    /// Starts listening.
    ///
    /// # Errors
    /// If the operating system refuses.
    pub(crate) fn on_signals() -> Result<Self> {
        let refused = |error: std::io::Error| {
            Error::of(FailureKind::Machine, "failed to listen for signals").because(&error)
        };
        let (sender, signal_out) = watch::channel(None);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(refused)?;
        let thread = runtime.handle().clone();
        let inside = runtime.enter();
        let signals = [
            (SignalKind::interrupt(), Stop::Interrupt),
            (SignalKind::terminate(), Stop::Terminate),
            (SignalKind::hangup(), Stop::Terminate),
        ];
        for (kind, stop) in signals {
            let mut stream = signal(kind).map_err(refused)?;
            let sender = sender.clone();
            runtime.spawn(async move {
                stream.recv().await;
                // Only the first signal counts: the runner sends a second one to all processes.
                sender.send_if_modified(|state| state.is_none() && state.replace(stop).is_none());
            });
        }
        // The runtime cannot move to its thread while it is entered.
        drop(inside);
        let listen = move || runtime.block_on(std::future::pending::<()>());
        std::thread::Builder::new().name("signals".to_owned()).spawn(listen).map_err(refused)?;
        Ok(Self { sender, thread, signal: signal_out })
    }

    /// Stops the run after `limit`.
    fn stop_after(&self, limit: Duration) {
        let sender = self.sender.clone();
        self.thread.spawn(async move {
            tokio::time::sleep(limit).await;
            sender.send_if_modified(|state| state.is_none() && state.replace(Stop::Timeout).is_none());
        });
    }
}

/// A signal that never comes.
#[must_use]
pub(crate) fn never() -> CancelSignal {
    watch::channel(None).1
}

/// How long cleaning up may take once the run is to stop: the runner kills everything 10 s
/// after its first signal.
const GRACE: Duration = Duration::from_secs(7);

/// The main job, from the inputs of each image to the exit code. Outputs, summary and annotations are written on
/// every path.
pub(crate) async fn run(raw: &[RawInputs], env: &Env, console: &Console, cancel: &Cancel) -> u8 {
    let watch = Stopwatch::start();
    let mut state = RunState::default();
    let signal = cancel.signal.clone();
    let ended = {
        let work = crash::caught_while(pipeline(raw, env, console, cancel, &watch, &mut state));
        tokio::pin!(work);
        tokio::select! {
            ended = &mut work => Some(ended),
            _ = cancelled(&signal) => tokio::time::timeout(GRACE, work).await.ok(),
        }
    };
    let dropped = ended.is_none();
    if let Some(Err(error)) = ended {
        state.fail(error);
    }
    let stop = *signal.borrow();
    // A run that was over before the signal came is not cancelled.
    if let Some(stop) = stop.filter(|_| dropped || state.failed()) {
        let phase = state.phase();
        state.fail(stopped(stop, &phase));
    }
    let mut report = state.finish();
    // A run that failed before its plan spent all its time on reading.
    if report.entries.is_empty() && report.read_seconds == 0.0 {
        report.read_seconds = watch.seconds();
    }
    report.seconds = watch.seconds();
    publish(&report, env, console)
}

/// The error of a run that was stopped. `phase`: what it was doing.
fn stopped(stop: Stop, phase: &str) -> Error {
    let error = |class, why: &str| Error::new(class, format!("{why} ({phase})"));
    match stop {
        Stop::Interrupt => error(FailureClass::Interrupted, "cancelled"),
        Stop::Terminate => error(FailureClass::Terminated, "terminated"),
        Stop::Timeout => {
            Error::of(FailureKind::Timeout, format!("took longer than the input timeout allows ({phase})"))
        }
    }
}

/// Reports a failure before the pipeline could start.
#[must_use]
pub(crate) fn fail(error: Error, env: &Env, console: &Console) -> u8 {
    let mut report = Report::default();
    report.fail(error);
    publish(&report, env, console)
}

/// Writes annotations, summary and outputs, and returns the exit code.
fn publish(report: &Report, env: &Env, console: &Console) -> u8 {
    for annotation in annotations(report) {
        console.annotate(&annotation);
    }
    if let Some(line) = more_failures(report) {
        console.line(&line);
    }
    if let Some(how) = report.worst().and_then(|error| how_to_report(error, report.facts.as_deref())) {
        console.line(&how);
    }
    let mut code = report.worst().map_or(0, |error| error.class.exit_code());
    if !report.without_summary
        && let Err(error) = actions::write_summary(env, &summary(report))
    {
        // That fails no run: the summary is for people, and later steps read the outputs.
        let message = format!("the job summary is not written: {error}");
        console.annotate(&Annotation::new(Level::Warning, "build-once", message));
    }
    if let Err(error) = actions::write_outputs(env, &outputs(report)) {
        let message = format!("the outputs are not written: {error}");
        console.annotate(&Annotation::new(Level::Error, "build-once", message));
        if code == 0 {
            code = error.class.exit_code();
        }
    }
    if code == 0 {
        console.line(&closing(report));
    }
    code
}

/// Says how to save what a failed run found out; `None` if the message alone says what to mend. `facts`: the file that
/// has it already.
fn how_to_report(error: &Error, facts: Option<&Path>) -> Option<String> {
    use FailureClass::{Access, Bug, Build, Input, Integrity, Interrupted, Resource, Terminated};
    use FailureClass::{Unavailable, Unsupported};
    match error.class {
        Input | Build | Resource | Interrupted | Terminated => return None,
        Access | Unavailable | Integrity | Unsupported | Bug => {}
    }
    let file = match facts {
        Some(facts) => format!("{} holds the plan and what it was made from", facts.display()),
        None => {
            "build-once plan --save-facts FILE, with the same inputs, saves what a run finds out".to_owned()
        }
    };
    Some(format!(
        "if this looks like a defect of build-once: {file}, without secrets; attach it to a report (build-once plan --facts FILE makes the plan from it again)"
    ))
}

/// The last line of a successful run: each image with its outcome.
fn closing(report: &Report) -> String {
    let words = |image: &ImageReport| {
        let reference = image.reference.as_ref().map(ToString::to_string);
        let name = reference.or_else(|| image.local_image.clone()).unwrap_or_default();
        format!("{} {name}", image.outcome.map(plan::Outcome::name).unwrap_or_default())
    };
    format!("{} in {:.2}s", shown::list(report.images.iter().map(words)), report.seconds)
}

/// Runs everything from the inputs to the journal.
async fn pipeline(
    raw: &[RawInputs],
    env: &Env,
    console: &Console,
    cancel: &Cancel,
    watch: &Stopwatch,
    state: &mut RunState,
) -> Result<()> {
    sweep(env);
    let prepared = &prepare(raw, env, console, cancel.signal.clone()).await?;
    let Prepared { request, run, ports, .. } = prepared;
    state.report.start(request, run);
    if let Some(limit) = request.settings.reliability.timeout {
        cancel.stop_after(limit);
    }
    if request.settings.call == Call::Check {
        return until(&cancel.signal, commands::check::run(prepared, &mut state.report)).await;
    }
    ports.registry.warm_up();
    state.places = (0..request.images.len()).collect();
    let boot = Boot::default();
    let attempt = Attempt { env, cancel, prepared, watch, boot: &boot };
    let done = attempt.run_twice_if_lost(state).await;
    // Also after a failure, which may have left a builder that booted for nothing.
    boot.discard().await;
    done
}

/// What the attempts at a request share.
struct Attempt<'a> {
    env: &'a Env,
    cancel: &'a Cancel,
    prepared: &'a Prepared,
    watch: &'a Stopwatch,
    boot: &'a Boot,
}

impl Attempt<'_> {
    /// Runs once; and once more for images that were found and then deleted, which most likely builds them.
    async fn run_twice_if_lost(&self, state: &mut RunState) -> Result<()> {
        Box::pin(self.run(state, &[])).await?;
        let lost = state.lost();
        if lost.is_empty() {
            return Ok(());
        }
        let names = shown::list(&lost);
        let retry = format!("the image {names} was deleted while this run was using it: looking it up again");
        self.prepared.ports.console.line(&retry);
        state.start_over(retry);
        self.prepared.ports.forget_bases();
        Box::pin(self.run(state, &lost)).await
    }

    /// Plans the images that are left and carries the plan out. `lost`: images that are known to be deleted.
    async fn run(&self, state: &mut RunState, lost: &[Digest]) -> Result<()> {
        let Self { cancel, prepared, watch, boot, .. } = self;
        let Prepared { request, ports, .. } = prepared;
        let all = prepared.images();
        let images: Vec<ImageRun<'_>> =
            state.places.iter().filter_map(|place| all.get(*place)).copied().collect();
        state.stage = Stage::Looking;
        // Boxed here and below: the futures of a whole run are too large for the stack of a debug build.
        // A read can be dropped at any time.
        let mut facts = until(&cancel.signal, Box::pin(gather(ports, &images))).await?;
        for facts in facts.images.iter_mut().flatten() {
            for digest in lost {
                facts.forget(digest);
            }
        }
        state.report.add_facts(&state.places, &facts.images);
        let chosen = |choice: &plan::Choice| boot.start(choice, ports, &request.settings);
        let decided = until(&cancel.signal, Box::pin(plan_for(prepared, &images, facts, chosen))).await?;
        state.report.read_seconds = watch.seconds();
        if request.settings.store.report {
            state.report.disk.before(&decided.found.store);
        }
        self.log_decisions(&images, &decided);
        state.stage = Stage::Steps;
        let files = self.write_files(state, &images, &decided)?;
        self.execute(state, &images, decided, &files).await;
        Ok(())
    }

    /// Begins lines of the log about the image: with its name where the run has several, else with nothing.
    fn prefix(images: &[ImageRun<'_>], at: usize) -> String {
        if images.len() > 1 { format!("{}: ", images[at].request.image) } else { String::new() }
    }

    fn log_decisions(&self, images: &[ImageRun<'_>], decided: &Decided) {
        let console = &self.prepared.ports.console;
        for (at, planned) in decided.plan.images.iter().enumerate().filter(|(_, planned)| planned.needed) {
            let Decision { outcome, reason, changes } = &planned.decision;
            console.line(&format!("{}{}: {reason}", Self::prefix(images, at), outcome.name()));
            for change in crate::facts::explain::list_for_log(changes) {
                console.line(&format!("  {change}"));
            }
        }
    }

    /// Writes the plan, and names it and buildx's metadata in the report if they outlive the run.
    fn write_files(
        &self,
        state: &mut RunState,
        images: &[ImageRun<'_>],
        decided: &Decided,
    ) -> Result<RunFiles> {
        let builds = decided.plan.builds();
        // A hit is as fast as it can be, so its file has no facts; `plan --save-facts` saves them.
        let plan = || decided.json(self.prepared, images, builds);
        let files = match RunFiles::create(self.env, images.len(), plan) {
            // Only a build needs these files.
            Err(error) if !builds => {
                let notice = format!("the plan is not kept for later steps: {}", error.headline());
                state.report.notices.push(notice);
                RunFiles::default()
            }
            files => files?,
        };
        state.report.plan.clone_from(&files.plan);
        state.report.facts = files.plan.clone().filter(|_| builds);
        state.metadata = if files.plan.is_some() { files.metadata.clone() } else { Vec::new() };
        Ok(files)
    }

    /// Carries the plan out, and warns if the run's credentials can do more than the run may.
    async fn execute(
        &self,
        state: &mut RunState,
        images: &[ImageRun<'_>],
        mut decided: Decided,
        files: &RunFiles,
    ) {
        let plan = state.plan.insert(std::mem::take(&mut decided.plan));
        let facts = &decided.found.judged.facts;
        let repository = facts.iter().flatten().find_map(|facts| facts.repository.repository());
        let reader = images.iter().find(|image| plan.builds() && image.access.warn_if_writable);
        let watched = repository.filter(|_| reader.is_some());
        #[expect(clippy::disallowed_methods, reason = "the plan is complete: now it is executed")]
        let writes = Writes::granted();
        let image = |at: usize| {
            let metadata = files.metadata.get(at).cloned().unwrap_or_default();
            OneImage::new(images[at], facts[at].as_ref(), metadata, Self::prefix(images, at))
        };
        let execution = Execution {
            writes,
            ports: &self.prepared.ports,
            images: (0..images.len()).map(image).collect(),
            toolchain: decided.found.toolchain(),
            boot: self.boot,
            watch: *self.watch,
            watched,
            retries: &state.retries,
        };
        let changes_disk = plan.actions.iter().any(|planned| planned.action.changes_disk());
        Box::pin(execute(plan, &execution, &mut state.journal)).await;
        if self.prepared.request.settings.store.report
            && let Ok(docker) = self.prepared.ports.docker()
        {
            let store = &decided.found.store;
            let folder = store.disk.as_ref().map(|disk| disk.folder.as_path());
            let usage = if changes_disk || store.usage.is_empty() {
                until(&self.cancel.signal, docker.disk_usage()).await.unwrap_or_default()
            } else {
                store.usage.clone()
            };
            state.report.disk.after(folder.and_then(disk::space), usage);
        }
        if let (Some(repository), Some(image), true) = (watched, reader, state.journal.may_push) {
            state.report.notices.insert(0, plan::too_many_rights(image.access, repository));
        }
    }
}

/// Runs reads until a signal comes.
///
/// # Errors
/// Those of `work`, or that the run was stopped.
pub(crate) async fn until<T>(signal: &CancelSignal, work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::select! {
        // The signal is polled first, so that nothing is decided on interrupted answers.
        biased;
        stop = cancelled(signal) => Err(stopped(stop, "while looking")),
        done = work => done,
    }
}
