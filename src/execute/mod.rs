//! Runs the plan's steps in order. The only writes; what happened is in the journal.

mod alias;
mod build;
mod builder;
mod converge;
mod journal;
mod put_index;
mod react;
mod read_back;
mod retry;
mod set_key_tag;
mod transfer;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;

pub(crate) use builder::Boot;
pub(crate) use journal::{Entry, Journal};

use crate::error::{Error, Result};
use crate::facts::Toolchain;
use crate::failure::FailureClass;
use crate::failure::FailureKind;
use crate::image::{Digest, ImageReference, Platform, Repository};
use crate::inputs::{Inputs, Mode};
use crate::key::BuildKey;
use crate::plan::{Plan, Step, brief, describe};
use crate::ports::actions::inert;
use crate::ports::clock::Stopwatch;
use crate::ports::docker::Docker;
use crate::ports::docker_config::PrivateDockerConfig;
use crate::ports::registry::{Probe, gone};
use crate::ports::{Ports, Writes};
use crate::trust::Access;

/// Everything a step needs: ports, inputs, the expected key, the files of the run.
pub(crate) struct StepContext<'a> {
    /// The right to write.
    pub writes: Writes,
    /// The ports.
    pub ports: &'a Ports,
    pub inputs: &'a Inputs,
    /// The tools, where a step needs them.
    pub toolchain: Option<&'a Toolchain>,
    /// The key that an image must carry, where there is one.
    pub key: Option<&'a BuildKey>,
    /// The run's rights.
    pub access: &'a Access,
    /// Where buildx writes what it built.
    pub metadata: &'a std::path::Path,
    /// A builder that boots already.
    pub boot: &'a Boot,
    /// Runs since the program began; the input `timeout` counts from there.
    pub watch: Stopwatch,
    /// The repository whose image a build of a run that may only read is asked for, to see whether it could push.
    pub watched: Option<&'a Repository>,
    /// What was tried again, and why.
    pub retries: &'a RefCell<Vec<String>>,
}

impl StepContext<'_> {
    /// The key as an image carries it.
    fn key_hex(&self) -> Option<&str> {
        self.key.map(|key| key.hex.as_str())
    }
}

/// Runs every step until one fails. Never an error: a failure is in the journal, which is the
/// caller's, because these steps may be broken off at any moment.
pub(crate) async fn execute(plan: &Plan, context: &StepContext<'_>, journal: &mut Journal) {
    journal.digest.clone_from(&plan.digest);
    journal.image_id.clone_from(&plan.image_id);
    journal.local_image.clone_from(&plan.local_image);
    if plan.steps.is_empty() {
        return;
    }
    // The question opens an upload. It runs beside the build: its answer only makes a notice.
    let rights = async {
        match context.watched {
            Some(home) => context.ports.registry.may_push(home, context.writes).await.unwrap_or_default(),
            None => false,
        }
    };
    let (done, may_push) = tokio::join!(steps(plan, context, journal), rights);
    journal.may_push = may_push;
    if let Err(error) = done {
        journal.error = Some(error);
    }
}

async fn steps(plan: &Plan, context: &StepContext<'_>, journal: &mut Journal) -> Result<()> {
    let ports = context.ports;
    let own_docker = match ports.writing_docker(context.writes) {
        // What is merged is in the registry.
        Err(_) if context.inputs.mode == Mode::Merge => Docker::absent(ports.exec.writing(context.writes)),
        docker => docker?,
    };
    // Removed when it goes out of scope, on every path.
    let config = private_config(plan, ports).await?;
    let docker = own_docker.with_logins(Arc::new(config));
    let mut cleanup = Vec::new();
    let mut result = Ok(());
    for step in &plan.steps {
        ports.console.line(&format!("→ {}", describe(step)));
        journal.begin(brief(step));
        let done = one(step, plan, context, &docker, journal).await;
        if let (Step::CreateBuilder { builder, keep: false, .. }, Ok(()), false) =
            (step, &done, journal.no_builder)
        {
            cleanup.push(builder::Temporary::new(builder.name.clone(), own_docker.clone()));
        }
        journal.end(done.is_err());
        match (step, done) {
            (_, Ok(())) => {}
            // Every tag by itself: one that is refused takes nothing from the others.
            (Step::Alias { target, .. }, Err(error)) if may_go_on(&error) => {
                journal.refused.push((target.to_string(), error));
            }
            // The image is there by another name.
            (Step::SetKeyTag { key_tag, .. }, Err(error)) if plan.digest.is_some() && may_go_on(&error) => {
                journal.notices.push(format!("{key_tag} is not set: {}", error.headline()));
            }
            (_, Err(error)) => {
                result = Err(error);
                break;
            }
        }
    }
    let result = result.and_then(|()| tags_refused(journal));
    for builder in cleanup {
        journal.begin(format!("remove the builder {}", builder.name));
        let removed = builder.remove().await;
        // No step of the plan.
        journal.under_way = None;
        if let Err(error) = removed {
            journal.notices.push(error.headline());
        }
    }
    result
}

/// Whether the other tags can be set all the same: unless the run is to stop, or the image is gone.
fn may_go_on(error: &Error) -> bool {
    !matches!(error.class, FailureClass::Interrupted | FailureClass::Terminated)
        && !error.is(FailureKind::SourceGone)
}

/// Where tags could not be set: which, and which others are.
fn tags_refused(journal: &mut Journal) -> Result<()> {
    let Some((_, error)) = journal.refused.first() else { return Ok(()) };
    let refused: Vec<&str> = journal.refused.iter().map(|(tag, _)| tag.as_str()).collect();
    let set = match journal.tags.as_slice() {
        [] => String::new(),
        set => format!("set: {}; ", set.join(", ")),
    };
    Err(error.clone().cause(format!("{set}not set: {}", refused.join(", "))))
}

async fn one(
    step: &Step,
    plan: &Plan,
    context: &StepContext<'_>,
    docker: &Docker,
    journal: &mut Journal,
) -> Result<()> {
    match step {
        Step::Sweep { builders } => {
            builder::sweep(builders, docker, journal).await;
            Ok(())
        }
        Step::NoteMaker { volume } => docker.create_volume(volume).await,
        Step::CreateBuilder { builder, keep, optional } => {
            match builder::create(builder, *keep, *optional, context, docker).await {
                // No fault of the cache fails a build that would pass without it.
                Err(error) if *optional && error.class != FailureClass::Interrupted => {
                    let is_apart = |step: &Step| matches!(step, Step::Build { spec } if spec.apart.is_some());
                    if plan.steps.iter().any(is_apart) {
                        journal.without_layers(&error);
                    } else {
                        journal.without_cache(&error);
                    }
                    journal.no_builder = true;
                    Ok(())
                }
                other => other,
            }
        }
        Step::Build { spec } if journal.no_builder => {
            build::run(&spec.without_own_builder(), None, context, docker, journal).await
        }
        Step::Build { spec } => {
            let own = plan.steps.iter().find_map(|step| match step {
                Step::CreateBuilder { builder, keep: false, .. } => Some(builder),
                _ => None,
            });
            build::run(spec, own, context, docker, journal).await
        }
        Step::Load { spec } => {
            // The build's own figures are what is told.
            let (attempts, progress) = (journal.attempts, journal.progress.take());
            build::run(spec, None, context, docker, journal).await?;
            (journal.attempts, journal.progress) = (attempts, progress);
            Ok(())
        }
        Step::ReadBack { reference } => read_back::run(reference, context, journal).await,
        Step::SetKeyTag { key_tag, replace: true, .. } => {
            set_key_tag::replace(key_tag, context, docker, journal).await
        }
        Step::SetKeyTag { key_tag, others, .. } => {
            set_key_tag::run(key_tag, others, plan.digest.is_some(), context, docker, journal).await
        }
        Step::PutIndex { index, target } => put_index::run(index, target, context, docker, journal).await,
        Step::Alias { source, target, required } => {
            let source = &now_known(source, plan, journal);
            match alias::run(source, target, context, docker).await {
                Err(error) if !required && alias::may_go_without(&error) => {
                    journal.notices.push(format!("{}; the digest carries the hand-over", error.headline()));
                    Ok(())
                }
                other => other.map(|()| journal.tags.push(target.to_string())),
            }
        }
        Step::Pull { reference, platform } => {
            pull(&now_known(reference, plan, journal), platform.as_ref(), context, docker).await
        }
        // What this engine has is not what counts.
        Step::Tag { required: false, .. } if journal.adopted => Ok(()),
        Step::Tag { image, name, required } => {
            match name_it(image, name, plan, context, docker, journal).await {
                Ok(()) => {
                    // The first is the private one.
                    journal.local_image.get_or_insert_with(|| name.clone());
                    Ok(())
                }
                Err(error) if !required && error.class != FailureClass::Interrupted => {
                    context.ports.console.line(&format!("not named: {}", error.headline()));
                    Ok(())
                }
                Err(error) => Err(error),
            }
        }
    }
}

/// The image by its digest. Of what was pushed it is known only now.
fn now_known(reference: &ImageReference, plan: &Plan, journal: &Journal) -> ImageReference {
    match (&plan.digest, &journal.digest) {
        (None, Some(digest)) => reference.repository().at(digest.clone()),
        _ => reference.clone(),
    }
}

async fn name_it(
    image: &str,
    name: &str,
    plan: &Plan,
    context: &StepContext<'_>,
    docker: &Docker,
    journal: &Journal,
) -> Result<()> {
    // What was pushed and loaded is known by its digest only now.
    let image = match (&plan.digest, &journal.digest, image.parse::<ImageReference>()) {
        (None, Some(digest), Ok(reference)) if Some(reference.repository()) == plan.repository.as_ref() => {
            if journal.adopted {
                // What this engine has is the loser's.
                let winner = reference.repository().at(digest.clone());
                pull(&winner, None, context, docker).await?;
                winner.to_string()
            } else {
                return name_loaded(docker, &reference, digest, context.key_hex(), name).await;
            }
        }
        _ => image.to_owned(),
    };
    docker.tag(&image, name).await
}

async fn pull(
    reference: &ImageReference,
    platform: Option<&Platform>,
    context: &StepContext<'_>,
    docker: &Docker,
) -> Result<()> {
    let pulled = {
        let log = ports_log(context, &format!("docker pull {reference}"));
        docker.pull(reference, platform, |line| log.line(line)).await
    };
    match pulled {
        Err(error) if matches!(context.ports.registry.probe(reference).await, Probe::Absent { .. }) => {
            Err(gone(reference).because(&error))
        }
        pulled => pulled,
    }
}

/// Names the image that was pushed and loaded. The engine knows it by its digest, or where it was loaded without one,
/// by the id of what has its tag and its key. The tag alone does not tell: another job on this engine may have moved it.
async fn name_loaded(
    docker: &Docker,
    reference: &ImageReference,
    digest: &Digest,
    key: Option<&str>,
    name: &str,
) -> Result<()> {
    let by_digest = reference.repository().at(digest.clone()).to_string();
    // Not asked for first: a question costs what the answer does.
    let Err(error) = docker.tag(&by_digest, name).await else { return Ok(()) };
    match docker.inspect(&reference.to_string()).await?.filter(|image| image.key.as_deref() == key) {
        Some(image) => docker.tag(&image.id, name).await,
        None => Err(error),
    }
}

fn ports_log(context: &StepContext<'_>, title: &str) -> crate::ports::console::Foreign {
    context.ports.console.foreign(&inert(title.as_bytes()))
}

/// The children's docker configuration, with the credentials that these steps need.
async fn private_config(plan: &Plan, ports: &Ports) -> Result<PrivateDockerConfig> {
    let (mut registries, mut more) = (BTreeSet::new(), Vec::new());
    // A base that is written with its digest was not asked for, so its login is not known yet.
    let mut reads = BTreeSet::new();
    let mut add = |text: &str| {
        if let Ok(reference) = text.parse::<ImageReference>() {
            registries.insert(reference.registry().to_owned());
        }
    };
    let mut publishes = false;
    for step in &plan.steps {
        match step {
            Step::Alias { source, target, .. } => {
                publishes = true;
                add(&source.to_string());
                add(&target.to_string());
            }
            Step::PutIndex { target, .. } => add(&target.to_string()),
            Step::Pull { reference, .. }
            | Step::ReadBack { reference }
            | Step::SetKeyTag { key_tag: reference, .. } => {
                add(&reference.to_string());
            }
            Step::Build { spec } | Step::Load { spec } => {
                publishes |= spec.output.pushes();
                more.extend(spec.registries());
                reads.extend(spec.reads.iter().cloned());
            }
            // Its BuildKit's image may be where only this run is logged in.
            Step::CreateBuilder { builder, .. } => {
                builder.options.iter().filter_map(|option| option.strip_prefix("image=")).for_each(&mut add);
            }
            Step::Sweep { .. } | Step::NoteMaker { .. } | Step::Tag { .. } => {}
        }
    }
    registries.extend(more);
    for registry in registries.union(&reads) {
        match ports.registry.credentials().for_registry(registry).await {
            Err(error) if publishes && registries.contains(registry) => return Err(error),
            // Reading may work without; the step says so if it does not.
            Ok(_) | Err(_) => {}
        }
    }
    let credentials = ports.registry.credentials().collected().await;
    PrivateDockerConfig::create(&ports.env, &ports.user_config, &credentials)
}
