//! Carries out one action and writes its record.

use super::journal::may_go_on;
use super::together::Together;
use super::{
    Made, Record, StepContext, TagResult, alias, build, builder, put_index, read_back, remove_images,
    set_key_tag, set_up, tag_platforms, together,
};
use crate::buildkit::NewBuilder;
use crate::error::{Error, Result};
use crate::failure::FailureClass;
use crate::image::{Digest, ImageReference, Platform};
use crate::plan::{Action, ActionId, GoesWithout, Plan, Planned, Source};
use crate::ports::docker::Docker;
use crate::ports::registry::{Probe, gone};

/// What earlier actions hand to an action.
pub(super) struct Earlier<'a> {
    /// The image that the action works on, if an earlier one made it.
    made: Option<Made>,
    /// The images that earlier actions built for it.
    parts: Vec<Option<Made>>,
    /// The builder that was made for this run alone.
    own_builder: Option<&'a NewBuilder>,
    /// True if the builder was to be made and did not boot.
    no_builder: bool,
    /// True if an earlier action has made the repository.
    new_repository: bool,
}

impl<'a> Earlier<'a> {
    /// Collects what the action needs. `records`: those of ended actions; `None` for the others.
    pub(super) fn for_action(planned: &Planned, plan: &'a Plan, records: &[Option<&mut Record>]) -> Self {
        let record = |id: ActionId| records.get(id.index()).and_then(Option::as_ref);
        let source = match &planned.action {
            // Its source is the build itself: the registry has no digest for it yet.
            Action::ReadBack { build, .. } => Some(*build),
            Action::SetKeyTag { source, .. }
            | Action::TagPlatforms { source, .. }
            | Action::Alias { source, .. }
            | Action::Pull { source, .. } => source.action(),
            Action::Tag { source, .. } => source.action(),
            _ => None,
        };
        let made = source.and_then(|id| record(id)?.made.clone());
        let parts = match &planned.action {
            Action::JoinIndex { joined, .. } => {
                let made = joined.built.iter().map(|own| record(own.source.action()?)?.made.clone());
                made.collect()
            }
            _ => Vec::new(),
        };
        let made_repository = |id| record(id)?.set_up.as_ref().map(|done| done.made);
        let new_repository = planned.after.iter().any(|id| made_repository(*id) == Some(true));
        let Action::Build { builder: Some(id), .. } = planned.action else {
            return Self { made, parts, own_builder: None, no_builder: false, new_repository };
        };
        let own_builder = match plan.actions.get(id.index()).map(|planned| &planned.action) {
            Some(Action::CreateBuilder { builder, keep: false, .. }) => Some(builder),
            _ => None,
        };
        let no_builder = record(id).is_some_and(|record| record.no_builder);
        Self { made, parts, own_builder: own_builder.filter(|_| !no_builder), no_builder, new_repository }
    }

    /// The image by its digest, as `h/repo@sha256:…`.
    fn image(&self, source: &Source) -> Result<ImageReference> {
        match source {
            Source::Known(reference) => Ok(reference.clone()),
            Source::BuiltBy { name, .. } => Ok(name.repository().at(self.digest()?)),
        }
    }

    fn digest(&self) -> Result<Digest> {
        let digest = self.made.as_ref().and_then(|made| made.digest.clone());
        digest.ok_or_else(|| Error::new(FailureClass::Bug, "an image whose digest is not known"))
    }
}

/// Carries the action out; the result is in the record.
pub(super) async fn act<'a>(
    planned: &'a Planned,
    earlier: Earlier<'_>,
    context: StepContext<'_>,
    docker: &Docker,
    record: &'a mut Record,
) -> (&'a Planned, &'a mut Record) {
    record.begin();
    if let Err(error) = carry_out(&planned.action, earlier, &context, docker, record).await {
        record.error = Some(error);
    }
    record.end();
    (planned, record)
}

/// Carries out builds that go together. The results are in the records.
pub(super) async fn act_together<'a>(
    builds: Vec<(&'a Planned, Earlier<'a>, StepContext<'a>, &'a mut Record)>,
    docker: &Docker,
) -> Vec<(&'a Planned, &'a mut Record)> {
    let mut planned = Vec::new();
    let mut images = Vec::new();
    for (build, earlier, context, record) in builds {
        record.begin();
        let Action::Build { spec, .. } = &build.action else { continue };
        let spec = if earlier.no_builder { spec.without_own_builder() } else { (**spec).clone() };
        planned.push(build);
        images.push(Together { spec, context, record, own: earlier.own_builder });
    }
    together::run(&mut images, docker).await;
    let records = images.into_iter().map(|image| image.record);
    planned
        .into_iter()
        .zip(records)
        .map(|(planned, record)| {
            record.end();
            (planned, record)
        })
        .collect()
}

/// Calls the module that does the action, with what earlier actions hand to it.
async fn carry_out(
    action: &Action,
    earlier: Earlier<'_>,
    context: &StepContext<'_>,
    docker: &Docker,
    record: &mut Record,
) -> Result<()> {
    match action {
        Action::CreateRepository { repository, settings } => {
            set_up::create(repository, settings, context, docker, record).await
        }
        Action::SetUp { repository, change, required } => {
            let how = (*required, earlier.new_repository);
            set_up::change(repository, change, how, context, docker, record).await
        }
        Action::RemoveBuilders { builders } => {
            builder::remove_leftovers(builders, docker, record).await;
            Ok(())
        }
        Action::RemoveImages { images } => {
            remove_images::run(images, docker, record).await;
            Ok(())
        }
        Action::NoteMaker { volume } => docker.create_volume(volume).await,
        Action::CreateBuilder { builder, keep, optional } => {
            let done = builder::create(builder, *keep, optional.is_some(), context, docker).await;
            builder_or_without(done, *optional, record)
        }
        Action::Build { spec, .. } if earlier.no_builder => {
            build::run(&spec.without_own_builder(), None, context, docker, record).await
        }
        Action::Build { spec, .. } => build::run(spec, earlier.own_builder, context, docker, record).await,
        Action::Load { spec } => build::run(spec, None, context, docker, record).await,
        Action::ReadBack { reference, .. } => {
            read_back::run(reference, earlier.made.unwrap_or_default(), context, record).await
        }
        Action::SetKeyTag { source, key_tag, others, guard } => {
            let image = earlier.image(source)?;
            let Some(own) = image.digest().cloned() else {
                return Err(Error::new(FailureClass::Bug, "a key's tag without an image"));
            };
            let tag = (key_tag, guard);
            let done = set_key_tag::run(tag, others, own, earlier.made, context, docker, record).await;
            key_tag_or_notice(done, source, key_tag, record)
        }
        Action::TagPlatforms { source, platforms, guard } => {
            let index = earlier.image(source)?;
            tag_platforms::run(&index, (platforms, guard), context, docker, record).await
        }
        Action::PutIndex { index, target, .. } => {
            put_index::run(index, target, context, docker, record).await
        }
        Action::JoinIndex { joined, target } => {
            let built = earlier.parts.iter().map(|made| made.as_ref()?.digest.clone());
            let built = built.collect::<Option<Vec<_>>>();
            let built = built.ok_or_else(|| Error::new(FailureClass::Bug, "a part without a digest"))?;
            put_index::join(joined, &built, target, context, docker, record).await
        }
        Action::Alias { source, target, required, guard } => {
            let done = alias::run(&earlier.image(source)?, target, guard, context, docker).await;
            alias_or_notice(done, target, *required, record)
        }
        Action::Pull { source, platform } => {
            pull(&earlier.image(source)?, platform.as_ref(), context, docker).await
        }
        Action::Tag { source, name, required } => {
            let named = set_local_name(source, name, *required, &earlier, context, docker).await;
            local_name_or_line(named, name, *required, context, record)
        }
    }
}

/// The result of setting the key's tag. An image from before this run has another name already, so for it a failure is
/// only a notice.
fn key_tag_or_notice(
    done: Result<()>,
    source: &Source,
    key_tag: &ImageReference,
    record: &mut Record,
) -> Result<()> {
    match (source, done) {
        (Source::Known(_), Err(error)) if may_go_on(&error) => {
            record.notices.push(format!("{key_tag} is not set: {}", error.headline()));
            Ok(())
        }
        (_, done) => done,
    }
}

/// The result of setting an alias. Without a commit's alias other jobs find the image by its digest, so a refusal is only
/// a notice.
fn alias_or_notice(
    done: Result<TagResult>,
    target: &ImageReference,
    required: bool,
    record: &mut Record,
) -> Result<()> {
    match done {
        Err(error) if !required && alias::may_go_without(&error) => {
            record.notices.push(format!("{}; the digest carries the hand-over", error.headline()));
            Ok(())
        }
        Err(error) => Err(error),
        Ok(result) => {
            if let TagResult::Older(why) = &result {
                record.notices.push(format!("{target} is not set: {why}"));
            } else {
                record.tags.push(target.to_string());
            }
            record.tag_result = Some(result);
            Ok(())
        }
    }
}

/// The result of making a builder. One that builds can do without is a notice in the record.
fn builder_or_without(done: Result<()>, optional: Option<GoesWithout>, record: &mut Record) -> Result<()> {
    match (done, optional) {
        (Err(error), Some(without)) if error.class != FailureClass::Interrupted => {
            match without {
                GoesWithout::OwnLayers => record.without_layers(&error),
                GoesWithout::CacheExport => record.without_cache(&error),
            }
            record.no_builder = true;
            Ok(())
        }
        (done, _) => done,
    }
}

/// The result of giving the image a local name. If the name is not required, a failure is only a line in the log.
fn local_name_or_line(
    named: Result<bool>,
    name: &str,
    required: bool,
    context: &StepContext<'_>,
    record: &mut Record,
) -> Result<()> {
    match named {
        Err(error) if !required && error.class != FailureClass::Interrupted => {
            context.ports.console.line(&format!("not named: {}", error.headline()));
            Ok(())
        }
        named => named.map(|named| record.local_image = named.then(|| name.to_owned())),
    }
}

/// Gives the image its local name. Returns false if this engine does not have the image that the run reports, and the name
/// is not required.
async fn set_local_name(
    source: &Source<String>,
    name: &str,
    required: bool,
    earlier: &Earlier<'_>,
    context: &StepContext<'_>,
    docker: &Docker,
) -> Result<bool> {
    let pushed = match source {
        Source::Known(image) => return docker.tag(image, name).await.map(|()| true),
        Source::BuiltBy { name, .. } => name,
    };
    let digest = earlier.digest()?;
    if !earlier.made.as_ref().is_some_and(|made| made.adopted) {
        return name_loaded(docker, pushed, &digest, context.key_hex, name).await.map(|()| true);
    }
    // Another run's image was adopted, and this engine has only the image of this run.
    if !required {
        return Ok(false);
    }
    let adopted = pushed.repository().at(digest);
    pull(&adopted, None, context, docker).await?;
    docker.tag(&adopted.to_string(), name).await.map(|()| true)
}

/// Pulls the image. `platform`: the one to take from an index; `None` for the engine's own.
async fn pull(
    reference: &ImageReference,
    platform: Option<&Platform>,
    context: &StepContext<'_>,
    docker: &Docker,
) -> Result<()> {
    let pulled = {
        let mut log = context.log(&format!("docker pull {reference}"));
        docker.pull(reference, platform, |line| log.line(line)).await
    };
    match pulled {
        // The registry tells more clearly than docker that the image was deleted; the run then looks once more.
        Err(error) if matches!(context.ports.registry.probe(reference).await, Probe::Absent { .. }) => {
            Err(gone(reference).because(&error))
        }
        pulled => pulled,
    }
}

/// Names the image that was pushed and loaded. The engine knows it by its digest. If it was loaded without one, the image
/// with its tag and its key is named. The tag alone does not tell: another job on this engine may have moved it.
async fn name_loaded(
    docker: &Docker,
    reference: &ImageReference,
    digest: &Digest,
    key: Option<&str>,
    name: &str,
) -> Result<()> {
    let by_digest = reference.repository().at(digest.clone()).to_string();
    // Tried without a look first: the look would cost as much.
    let Err(error) = docker.tag(&by_digest, name).await else { return Ok(()) };
    match docker.inspect(&reference.to_string()).await?.filter(|image| image.key.as_deref() == key) {
        Some(image) => docker.tag(&image.id, name).await,
        None => Err(error),
    }
}
