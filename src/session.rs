//! One run of the program: signals, the pipeline, the report, the exit code.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::env::Env;
use crate::error::{Error, Result};
use crate::execute::{Boot, StepContext, execute};
use crate::facts::{Facts, gather};
use crate::failure::FailureClass;
use crate::failure::FailureKind;
use crate::inputs::{Call, Inputs, RawInputs};
use crate::pipeline::{Decided, Prepared, plan_for, prepare};
use crate::plan::{self, Plan};
use crate::ports::Writes;
use crate::ports::actions::{self, Annotation, Level};
use crate::ports::clock::Stopwatch;
use crate::ports::console::Console;
use crate::ports::exec::{CancelSignal, Stop, cancelled};
use crate::ports::temporary::{PrivateFolder, RUN, sweep, temporary_folder};
use crate::report::{Report, RunState, Stage, annotations, outputs, summary};
use crate::{commands, crash, shown};

/// Turns SIGINT, SIGTERM, SIGHUP and the `timeout` input into one signal for everyone. A thread of its own listens:
/// the program's may wait for a file or a reader of its log.
pub(crate) struct Cancel {
    sender: watch::Sender<Option<Stop>>,
    thread: Handle,
    /// What the ports listen to.
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
                // The first one names the reason; the runner sends the second to everybody.
                sender.send_if_modified(|state| state.is_none() && state.replace(stop).is_none());
            });
        }
        drop(inside);
        let listen = move || runtime.block_on(std::future::pending::<()>());
        std::thread::Builder::new().name("signals".to_owned()).spawn(listen).map_err(refused)?;
        Ok(Self { sender, thread, signal: signal_out })
    }

    fn after(&self, limit: Duration) {
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

/// The main job, from inputs to exit code. Outputs, summary and annotations are written on
/// every path.
pub(crate) async fn run(raw: &RawInputs, env: &Env, console: &Console, cancel: &Cancel) -> ExitCode {
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
    if report.entries.is_empty() && report.read_seconds == 0.0 {
        report.read_seconds = watch.seconds();
    }
    report.seconds = watch.seconds();
    let wants_summary = Inputs::read(raw, env).map_or(true, |inputs| inputs.report.summary);
    publish(&report, env, console, wants_summary)
}

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

/// A failure before the pipeline could start.
#[must_use]
pub(crate) fn fail(error: Error, env: &Env, console: &Console) -> ExitCode {
    let mut report = Report::default();
    report.fail(error);
    publish(&report, env, console, true)
}

fn publish(report: &Report, env: &Env, console: &Console, wants_summary: bool) -> ExitCode {
    for annotation in annotations(report) {
        console.annotate(&annotation);
    }
    let mut code = report.error.as_ref().map_or(0, |error| error.class.exit_code());
    if wants_summary && let Err(error) = actions::write_summary(env, &summary(report)) {
        // For people alone; whoever uses the image goes by the outputs.
        let message = format!("the job summary is not written: {error}");
        console.annotate(&Annotation { level: Level::Warning, title: "build-once", message, at: None });
    }
    if let Err(error) = actions::write_outputs(env, &outputs(report)) {
        let message = format!("the outputs are not written: {error}");
        console.annotate(&Annotation { level: Level::Error, title: "build-once", message, at: None });
        if code == 0 {
            code = error.class.exit_code();
        }
    }
    if code == 0 {
        console.line(&closing(report));
    }
    ExitCode::from(code)
}

/// The last line of a good run: what a person looks for first.
fn closing(report: &Report) -> String {
    let image = report
        .reference
        .as_ref()
        .map(ToString::to_string)
        .or_else(|| report.local_image.clone())
        .unwrap_or_default();
    let outcome = report.outcome.map(plan::Outcome::name).unwrap_or_default();
    format!("{outcome} {image} in {:.2}s", report.seconds)
}

/// Everything from the inputs to the journal.
async fn pipeline(
    raw: &RawInputs,
    env: &Env,
    console: &Console,
    cancel: &Cancel,
    watch: &Stopwatch,
    state: &mut RunState,
) -> Result<()> {
    sweep(env);
    let prepared = prepare(raw, env, console, cancel.signal.clone()).await?;
    state.report.start(&prepared.inputs, &prepared.run);
    if let Some(limit) = prepared.inputs.reliability.timeout {
        cancel.after(limit);
    }
    let Prepared { inputs, run, access, ports } = &prepared;
    if inputs.call == Call::Check {
        return until(&cancel.signal, commands::check::run(&prepared, &mut state.report)).await;
    }
    ports.registry.warm_up();
    state.stage = Stage::Looking;
    // Reads leave nothing behind: they are simply dropped.
    let facts = until(&cancel.signal, gather(ports, inputs, run, access)).await?;
    state.report.repository(&facts.repository);
    state.report.key = facts.key.as_ref().map(|key| key.hex.clone());
    let boot = Boot::default();
    let done = async {
        attempt(env, cancel, &prepared, facts, watch, state, &boot).await?;
        let digest = state.plan.as_ref().and_then(|plan| plan.digest.clone());
        let Some(lost) = digest.filter(|_| state.journal.lost_its_image()) else { return Ok(()) };
        // It is gone when its turn comes: looked for once more, and most often built then.
        let retry = format!("the image {lost} was deleted while this run was using it: looking it up again");
        ports.console.line(&retry);
        state.start_over(retry);
        let mut facts = until(&cancel.signal, gather(ports, inputs, run, access)).await?;
        facts.forget(&lost);
        attempt(env, cancel, &prepared, facts, watch, state, &boot).await
    };
    let done = done.await;
    boot.discard().await;
    done
}

/// One plan, from the facts to its journal.
async fn attempt(
    env: &Env,
    cancel: &Cancel,
    prepared: &Prepared,
    facts: Facts,
    watch: &Stopwatch,
    state: &mut RunState,
    boot: &Boot,
) -> Result<()> {
    let Prepared { inputs, ports, .. } = prepared;
    let chosen = |choice: &plan::Choice| boot.start(choice, ports, inputs);
    let Decided { facts, late, plan } = until(&cancel.signal, plan_for(prepared, facts, chosen)).await?;
    state.report.read_seconds = watch.seconds();
    ports.console.line(&format!("{}: {}", plan.decision.outcome.name(), plan.decision.reason));
    for change in crate::facts::explain::rest(&plan.decision.changes) {
        ports.console.line(&format!("  {change}"));
    }
    state.stage = Stage::Steps;
    let mut plan = plan;
    let builds = plan.steps.iter().any(|step| matches!(step, plan::Step::Build { .. }));
    let files = match RunFiles::create(env, prepared, &facts, &plan) {
        // D100: only a build needs them.
        Err(error) if !builds => {
            plan.notices.push(format!("the plan is not kept for later steps: {}", error.headline()));
            RunFiles::default()
        }
        files => files?,
    };
    state.report.plan.clone_from(&files.plan);
    state.metadata = files.plan.is_some().then(|| files.metadata.clone());
    let plan = state.plan.insert(plan);
    let watched = facts.repository.repository().filter(|_| builds && prepared.access.warn_if_writable);
    #[expect(clippy::disallowed_methods, reason = "the plan is complete: now it is executed")]
    let writes = Writes::granted();
    let context = StepContext {
        writes,
        watched,
        ports,
        inputs,
        toolchain: late.toolchain.as_ref(),
        key: facts.key.as_ref(),
        access: &prepared.access,
        metadata: &files.metadata,
        boot,
        watch: *watch,
        retries: &state.retries,
    };
    execute(plan, &context, &mut state.journal).await;
    if let Some(home) = watched.filter(|_| state.journal.may_push) {
        plan.notices.insert(0, plan::too_many_rights(&prepared.access, home));
    }
    Ok(())
}

/// Reads, and nothing else, until a signal comes.
///
/// # Errors
/// The work's own, or that it was stopped.
pub(crate) async fn until<T>(signal: &CancelSignal, work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::select! {
        // First, so that nothing is decided on answers that broke off.
        biased;
        stop = cancelled(signal) => Err(stopped(stop, "while looking")),
        done = work => done,
    }
}

/// The plan, and what buildx says it built. In a workflow they outlive the step, for later
/// ones; elsewhere they go with the program.
#[derive(Default)]
struct RunFiles {
    plan: Option<PathBuf>,
    metadata: PathBuf,
    _folder: Option<PrivateFolder>,
}

impl RunFiles {
    fn create(env: &Env, prepared: &Prepared, facts: &Facts, plan: &Plan) -> Result<Self> {
        let failed = |error: std::io::Error| Error::of_io("failed to write the plan", &error);
        let parent = temporary_folder(env);
        let folder = PrivateFolder::new(RUN, &parent).map_err(failed)?;
        let metadata = folder.path().join("metadata.json");
        if !env.in_github_actions() {
            return Ok(Self { plan: None, metadata, _folder: Some(folder) });
        }
        let path = folder.keep().join("plan.json");
        let rendered = plan::Rendered {
            inputs: &prepared.inputs,
            run: &prepared.run,
            access: &prepared.access,
            facts,
            plan,
        };
        let mut plan = plan::json(&rendered);
        shown::hide_in(&mut plan);
        fs_err::write(&path, format!("{plan:#}\n")).map_err(failed)?;
        Ok(Self { plan: Some(path), metadata, _folder: None })
    }
}
