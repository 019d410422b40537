//! Recovers an unclear push: the registry is asked what it has before anything is pushed again.

use super::set_key_tag::not_replaced;
use super::{Record, StepContext};
use crate::buildkit::BuildSpec;
use crate::error::{Error, Result};
use crate::facts::{LookupBy, LookupResult, look_up};
use crate::failure::FailureClass;
use crate::failure::FailureKind;
use crate::image::{Digest, ImageReference};
use crate::phase::Phase;

/// A build failed that may have pushed all it had to: a reply was lost, or only its cache could
/// not be written. Done, if every name is there with this run's key.
///
/// # Errors
/// The failure, or what the registry says better: refusals without a body do not tell that a
/// token has expired.
pub(super) async fn after_push(
    spec: &BuildSpec,
    error: Error,
    phase: Option<Phase>,
    context: &StepContext<'_>,
    record: &mut Record,
) -> Result<()> {
    // Before the push there is nothing to look for; what is loaded too is not in the registry.
    let may_be_there = spec.output.pushes()
        && !spec.output.loads()
        && matches!(phase, None | Some(Phase::Push | Phase::CacheExport))
        && matches!(error.class, FailureClass::Access | FailureClass::Unavailable)
        && context.key.is_some()
        // What is there under these names may be the image from before.
        && !context.request.rebuild;
    if !may_be_there {
        return Err(error);
    }
    let mut found: Option<(Digest, Option<Digest>)> = None;
    for name in names(spec) {
        match seen(&name, context).await {
            LookupResult::Match { digest, config, .. }
                if found.as_ref().is_none_or(|(first, _)| *first == digest) =>
            {
                found = Some((digest, config));
            }
            LookupResult::Unknown(said) if said.is(FailureKind::AuthExpired) => {
                return Err(said.because(&error));
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

/// A push that failed for good, and the image is there under its first name: a rival's under a
/// tag that may not move, or this run's own, whose answer was lost. Else the failure stands.
pub(super) async fn adopt(
    spec: &BuildSpec,
    error: Error,
    context: &StepContext<'_>,
    record: &mut Record,
) -> Result<()> {
    use FailureClass::{Access, Integrity, Unavailable};
    let Some(name) = names(spec).next().filter(|_| spec.output.pushes()) else { return Err(error) };
    // What the build itself died of is not in the registry.
    if !matches!(error.class, Access | Integrity | Unavailable) || context.key.is_none() {
        return Err(error);
    }
    match seen(&name, context).await {
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
            record.tags.push(name.to_string());
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

fn names(spec: &BuildSpec) -> impl Iterator<Item = ImageReference> {
    spec.names.iter().filter_map(|name| name.parse().ok())
}

async fn seen(name: &ImageReference, context: &StepContext<'_>) -> LookupResult {
    look_up(&context.ports.registry, LookupBy::CommitTag, name.clone(), context.key_hex()).await.seen
}
