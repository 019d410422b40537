//! Carries out the plan's actions, side by side where none waits for another. No other code writes outside this
//! program; the journal tells what happened.

mod act;
mod alias;
mod build;
mod builder;
mod converge;
mod journal;
mod logins;
mod put_index;
mod react;
mod read_back;
mod remove_images;
mod retry;
mod set_key_tag;
mod set_up;
mod tag_platforms;
mod tag_wait;
mod together;
mod transfer;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::FutureExt as _;
use futures_util::stream::{FuturesUnordered, StreamExt as _};

pub(crate) use builder::Boot;
pub(crate) use journal::{ImageResult, Journal, Made, Progressing, Record, TagResult};

use crate::error::{Error, Result};
use crate::facts::{ImageFacts, PlatformFacts, Toolchain};
use crate::image::Repository;
use crate::inputs::{ImageRequest, Mode, SecretValues};
use crate::key::BuildKey;
use crate::plan::{Action, ActionId, Plan, Planned, brief, describe};
use crate::ports::actions::inert;
use crate::ports::clock::Stopwatch;
use crate::ports::console::Foreign;
use crate::ports::docker::Docker;
use crate::ports::{Ports, Writes};
use crate::trust::{Access, ImageRun};
use act::{Earlier, act, act_together};

/// The most actions that run at once. Most of them only wait for a registry.
const ACTIONS_AT_ONCE: usize = 16;
/// The most of them that an engine or a BuildKit works for: more would only slow it.
const WITH_DOCKER_AT_ONCE: usize = 4;

/// What carrying out a plan needs.
pub(crate) struct Execution<'a> {
    /// The right to write.
    pub writes: Writes,
    pub ports: &'a Ports,
    /// In the plan's order; at least one.
    pub images: Vec<OneImage<'a>>,
    /// The tools, if something is built.
    pub toolchain: Option<&'a Toolchain>,
    /// The builder that boots already, if one does.
    pub boot: &'a Boot,
    /// Runs since the program began; the input `timeout` counts from there.
    pub watch: Stopwatch,
    /// For a build in a run that may only read: the repository that is asked whether the credentials could push to it.
    pub watched: Option<&'a Repository>,
    /// What was tried again, and why, one text each.
    pub retries: &'a RefCell<Vec<String>>,
}

/// What the actions of one image need besides [`Execution`].
pub(crate) struct OneImage<'a> {
    pub image: ImageRun<'a>,
    /// The key that the image must carry, if there is one.
    pub key: Option<&'a BuildKey>,
    /// The platforms, if there are several.
    pub platforms: &'a [PlatformFacts],
    /// The file for buildx's metadata.
    pub metadata: PathBuf,
    /// The same for a build of one of the platforms by itself, in their order: they are built side by side.
    pub own_metadata: Vec<PathBuf>,
    /// Begins lines of the log about the image: `app: ` where the run has several images, else empty.
    pub prefix: String,
}

impl<'a> OneImage<'a> {
    pub(crate) fn new(
        image: ImageRun<'a>,
        facts: Option<&'a ImageFacts>,
        metadata: PathBuf,
        prefix: String,
    ) -> Self {
        let platforms: &[_] = facts.map_or(&[], |facts| &facts.platforms);
        let own_metadata = (0..platforms.len()).map(|at| metadata.with_extension(format!("{at}.json")));
        let own_metadata = own_metadata.collect();
        let key = facts.and_then(|facts| facts.key.as_ref());
        Self { image, key, platforms, metadata, own_metadata, prefix }
    }
}

/// Everything an action needs.
#[derive(Clone, Copy)]
pub(crate) struct StepContext<'a> {
    pub writes: Writes,
    pub ports: &'a Ports,
    pub image: ImageRun<'a>,
    pub request: &'a ImageRequest,
    pub toolchain: Option<&'a Toolchain>,
    pub key: Option<&'a BuildKey>,
    /// The key that an image made by the action must carry.
    key_hex: Option<&'a str>,
    pub access: &'a Access,
    pub metadata: &'a std::path::Path,
    /// Every image of the run.
    images: &'a [OneImage<'a>],
    /// Begins lines of the log about the image.
    prefix: &'a str,
    pub boot: &'a Boot,
    pub watch: Stopwatch,
    pub retries: &'a RefCell<Vec<String>>,
}

impl Execution<'_> {
    /// The context of an action. One that serves several images gets the context of the first one, because all share the
    /// settings.
    fn context(&self, planned: &Planned) -> Option<StepContext<'_>> {
        let at = planned.image;
        let OneImage { image, key, platforms, metadata, own_metadata, prefix } =
            self.images.get(at.unwrap_or_default())?;
        let position = platforms.iter().position(|own| Some(&own.platform) == planned.platform.as_ref());
        let own = position.and_then(|at| platforms.get(at));
        let metadata = position.and_then(|at| own_metadata.get(at)).unwrap_or(metadata);
        Some(StepContext {
            writes: self.writes,
            ports: self.ports,
            image: *image,
            request: image.request,
            toolchain: self.toolchain,
            key: *key,
            key_hex: own.map(|own| own.key.as_str()).or(key.map(|key| key.hex.as_str())),
            access: image.access,
            metadata,
            images: &self.images,
            prefix: if at.is_some() { prefix } else { "" },
            boot: self.boot,
            watch: self.watch,
            retries: self.retries,
        })
    }
}

impl<'a> StepContext<'a> {
    /// The same for an image of this key.
    const fn of_key(self, key: &'a str) -> Self {
        Self { key_hex: Some(key), ..self }
    }

    /// The secrets of an image of the run.
    fn secrets_of(&self, image: &str) -> Option<&'_ SecretValues> {
        let mut requests = self.images.iter().map(|image| image.image.request);
        requests.find(|request| request.image.as_str() == image).map(|request| &request.secrets)
    }

    /// A fold in the log for the output of a child that works for several images.
    fn log_of_all(&self, title: &str) -> Foreign {
        self.ports.console.foreign(&inert(title.as_bytes()))
    }

    /// A fold in the log for a child's output.
    fn log(&self, title: &str) -> Foreign {
        self.ports.console.foreign(&inert(format!("{}{title}", self.prefix).as_bytes()))
    }
}

/// Carries out every action that can be. Failures are in the journal, which belongs to the caller, because this function
/// may be stopped at any moment.
pub(crate) async fn execute(plan: &Plan, execution: &Execution<'_>, journal: &mut Journal) {
    let label = |planned: &Planned| {
        let prefix = execution.context(planned).map_or("", |context| context.prefix);
        format!("{prefix}{}", brief(&planned.action))
    };
    journal.records = plan.actions.iter().map(|planned| Record::new(label(planned))).collect();
    if plan.actions.is_empty() {
        return;
    }
    // This question opens an upload. It runs beside the build, because its answer only makes a notice.
    let rights = async {
        match execution.watched {
            Some(repository) => {
                let answer = execution.ports.registry.may_push(repository, execution.writes).await;
                answer.unwrap_or_default()
            }
            None => false,
        }
    };
    let (done, may_push) = tokio::join!(run_actions(plan, execution, journal), rights);
    journal.may_push = may_push;
    if let Err(error) = done {
        journal.error = Some(error);
    }
}

/// Starts each action once those that it waits for have succeeded, until none runs and none can start; then removes the
/// builders of this run alone.
async fn run_actions(plan: &Plan, execution: &Execution<'_>, journal: &mut Journal) -> Result<()> {
    let own_docker = docker(plan, execution)?;
    // The configuration is removed when it goes out of scope, on every path.
    let config = logins::collected(plan, execution.ports).await?;
    let docker = own_docker.with_logins(Arc::new(config));
    let mut temporary_builders = Vec::new();
    let mut records: Vec<Option<&mut Record>> = journal.records.iter_mut().map(Some).collect();
    let mut waiting: Vec<&Planned> = plan.actions.iter().collect();
    let mut hopeless = BTreeSet::new();
    let mut running = FuturesUnordered::new();
    let mut with_docker = 0;
    loop {
        drop_hopeless(&mut waiting, &mut hopeless, &records);
        // Builds that go together begin together.
        let hold_back = waiting.iter().any(|planned| is_together(planned) && !can_begin(planned, &records));
        let mut together = Vec::new();
        waiting.retain(|planned| {
            let needs_docker = planned.action.needs_docker();
            let is_full =
                running.len() >= ACTIONS_AT_ONCE || (needs_docker && with_docker >= WITH_DOCKER_AT_ONCE);
            if is_full || (hold_back && is_together(planned)) || !can_begin(planned, &records) {
                return true;
            }
            let earlier = Earlier::for_action(planned, plan, &records);
            let context = execution.context(planned);
            // The action has its record until it ends.
            if let Some((context, record)) = context.zip(records[planned.id.index()].take()) {
                let what = describe(&planned.action);
                execution.ports.console.line(&format!("→ {}{what}", context.prefix));
                if is_together(planned) {
                    together.push((*planned, earlier, context, record));
                } else {
                    with_docker += usize::from(needs_docker);
                    let acted = act(planned, earlier, context, &docker, record);
                    running.push(acted.map(|ended| vec![ended]).boxed_local());
                }
            }
            false
        });
        if !together.is_empty() {
            with_docker += 1;
            running.push(act_together(together, &docker).boxed_local());
        }
        let Some(ended) = running.next().await else { break };
        with_docker -= usize::from(ended.iter().any(|(planned, _)| planned.action.needs_docker()));
        for (planned, record) in ended {
            if let (Action::CreateBuilder { builder, keep: false, .. }, true, false) =
                (&planned.action, record.succeeded(), record.no_builder)
            {
                temporary_builders.push(builder::Temporary::new(builder.name.clone(), own_docker.clone()));
            }
            // A stopped run starts nothing more, and waits for what runs.
            if record.error.as_ref().is_some_and(Error::is_stopped) {
                waiting.clear();
            }
            records[planned.id.index()] = Some(record);
        }
    }
    // `running` borrows the journal's records.
    drop(running);
    remove(temporary_builders, journal).await;
    Ok(())
}

/// Tells whether the action is a build that goes together with others.
fn is_together(planned: &Planned) -> bool {
    matches!(planned.action, Action::Build { together: true, .. })
}

/// The docker of this machine. Without one, plans work whose actions need none, and most of a merge, whose images are in the
/// registry.
fn docker(plan: &Plan, execution: &Execution<'_>) -> Result<Docker> {
    let Execution { ports, writes, .. } = execution;
    let merges = execution.images.iter().all(|image| image.image.request.settings.mode == Mode::Merge);
    let needed = plan.actions.iter().any(|planned| planned.action.needs_docker());
    match ports.writing_docker(*writes) {
        Err(_) if merges || !needed => Ok(Docker::absent(ports.exec.writing(*writes))),
        docker => docker,
    }
}

/// Removes the builders; the journal says which one meanwhile.
async fn remove(builders: Vec<builder::Temporary>, journal: &mut Journal) {
    for builder in builders {
        journal.removing = Some(builder.name.clone());
        let removed = builder.remove().await;
        journal.removing = None;
        if let Err(error) = removed {
            journal.notices.push(error.headline());
        }
    }
}

/// Tells whether all that the action waits for has succeeded. `records`: `None` for actions that are running.
fn can_begin(planned: &Planned, records: &[Option<&mut Record>]) -> bool {
    planned.after.iter().all(|id| records[id.index()].as_ref().is_some_and(|record| record.succeeded()))
}

/// Drops the actions that wait for one that has failed, or for one that was dropped. `waiting` is in the plan's order, in
/// which an action waits for earlier ones alone.
fn drop_hopeless(
    waiting: &mut Vec<&Planned>,
    hopeless: &mut BTreeSet<ActionId>,
    records: &[Option<&mut Record>],
) {
    waiting.retain(|planned| {
        let failed = |id: &ActionId| {
            records[id.index()].as_ref().is_some_and(|record| record.error.is_some()) || hopeless.contains(id)
        };
        !planned.after.iter().any(failed) || !hopeless.insert(planned.id)
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::FailureKind;
    use crate::plan::Source;

    #[test]
    fn what_waits_for_an_action_that_never_begins_never_begins() {
        let waits = [vec![], vec![0], vec![1], vec![], vec![3], vec![4, 2]];
        let planned = |(number, after): (usize, &Vec<usize>)| Planned {
            id: ActionId::after(number),
            image: None,
            platform: None,
            after: after.iter().map(|number| ActionId::after(*number)).collect(),
            action: Action::Tag { source: Source::Known("a".into()), name: "b".into(), required: true },
        };
        let plan: Vec<Planned> = waits.iter().enumerate().map(planned).collect();
        let mut records: Vec<Record> = plan.iter().map(|_| Record::default()).collect();
        records[0].error = Some(Error::of(FailureKind::Hang, "failed"));
        let records: Vec<Option<&mut Record>> = records.iter_mut().map(Some).collect();
        let (mut waiting, mut hopeless) = (plan.iter().skip(1).collect(), BTreeSet::new());
        drop_hopeless(&mut waiting, &mut hopeless, &records);
        let left: Vec<usize> = waiting.iter().map(|planned| planned.id.index()).collect();
        assert_eq!(left, [3, 4]);
        assert!(can_begin(waiting[0], &records) && !can_begin(waiting[1], &records));
    }
}
