//! Recovers a push with an unclear end: asks the registry which image it has before anything is pushed again.

use super::set_key_tag::not_replaced;
use super::{Record, StepContext};
use crate::buildkit::BuildSpec;
use crate::error::{Error, Result};
use crate::facts::{LookupBy, LookupResult, look_up};
use crate::failure::{FailureClass, FailureKind};
use crate::image::{Digest, ImageReference};
use crate::phase::Phase;

/// Recovers a failed build that may have pushed everything: a reply was lost, or only the cache could not be written. It
/// counts as done if the registry has every name with this run's key.
///
/// # Errors
/// The failure; or that a token has expired, which the registry's answer tells more clearly than buildx.
pub(super) async fn after_push(
    spec: &BuildSpec,
    error: Error,
    phase: Option<Phase>,
    context: &StepContext<'_>,
    record: &mut Record,
) -> Result<()> {
    if !may_be_pushed(spec, &error, phase, context) {
        return Err(error);
    }
    // The image's digest, and that of its configuration.
    let mut found: Option<(Digest, Option<Digest>)> = None;
    for name in names(spec) {
        match look_up_name(&name, context).await {
            LookupResult::Match { digest, config, .. }
                if found.as_ref().is_none_or(|(first, _)| *first == digest) =>
            {
                found = Some((digest, config));
            }
            LookupResult::Unknown(expired) if expired.is(FailureKind::AuthExpired) => {
                return Err(expired.because(&error));
            }
            _ => return Err(error),
        }
    }
    let Some((digest, config)) = found else { return Err(error) };
    if phase == Some(Phase::CacheExport) {
        record.without_cache(&error);
    } else {
        let what = format!(
            "the image is already stored as {digest}, although the push failed: {}",
            error.headline()
        );
        context.ports.console.line(&what);
        record.notices.push(what);
    }
    record.published(&spec.names);
    record.adopt(digest, config);
    Ok(())
}

/// Tells whether the registry may have the image of this failed build. Before the push it cannot. An image that is loaded
/// too may not be in the engine, so such a build has to be repeated.
fn may_be_pushed(spec: &BuildSpec, error: &Error, phase: Option<Phase>, context: &StepContext<'_>) -> bool {
    spec.output.pushes()
        && !spec.output.loads()
        && matches!(phase, None | Some(Phase::Push | Phase::CacheExport))
        && matches!(error.class, FailureClass::Access | FailureClass::Unavailable)
        && context.key.is_some()
        // With the input `rebuild`, the image under these names may be the one from before.
        && !context.request.rebuild
}

/// Recovers a push that failed for good, if the registry has an image with this run's key under the first name: another
/// run's under a tag that may not move, or this run's own, whose answer was lost.
///
/// # Errors
/// The failure, if there is no such image.
pub(super) async fn adopt(
    spec: &BuildSpec,
    error: Error,
    context: &StepContext<'_>,
    record: &mut Record,
) -> Result<()> {
    use FailureClass::{Access, Integrity, Unavailable};
    let Some(name) = names(spec).next().filter(|_| spec.output.pushes()) else { return Err(error) };
    // If the build itself failed, there is nothing to look for.
    if !matches!(error.class, Access | Integrity | Unavailable) || context.key.is_none() {
        return Err(error);
    }
    match look_up_name(&name, context).await {
        // With the input `rebuild` this is the image from before: the registry lets no tag be moved, or the push failed.
        LookupResult::Match { .. } if context.request.rebuild && error.class == Integrity => {
            Err(not_replaced(&name).because(&error))
        }
        LookupResult::Match { .. } if context.request.rebuild => Err(error),
        LookupResult::Match { digest, config, .. } => {
            record.notices.push(format!(
                "{name} is there with this key, {digest}, although the push failed: {}",
                error.headline()
            ));
            record.built = true;
            record.adopt(digest, config);
            record.add_tag(name.to_string());
            Ok(())
        }
        LookupResult::OtherKey { digest, .. } if error.class == Integrity => {
            let error = error.cause(format!("{name} is {digest}, made from other inputs"));
            let own = record.progress.as_ref().and_then(|progress| progress.exported.as_ref());
            Err(match own {
                Some(own) => error.cause(format!("this build made {own}")),
                None => error,
            })
        }
        LookupResult::OtherKey { .. } | LookupResult::Absent { .. } | LookupResult::Unknown(_) => Err(error),
    }
}

/// The names that the build pushes. The plan pushes one and sets the others afterwards; all of them are references.
fn names(spec: &BuildSpec) -> impl Iterator<Item = ImageReference> {
    spec.names.iter().filter_map(|name| name.parse().ok())
}

/// Asks which image has the name. [`LookupBy`] only matters to what is reported of a lookup, and this one is not.
async fn look_up_name(name: &ImageReference, context: &StepContext<'_>) -> LookupResult {
    look_up(&context.ports.registry, LookupBy::CommitTag, name.clone(), context.key_hex).await.seen
}
