//! Refuses images that a build reads and that this run may not trust.

use super::context::PlanContext;
use crate::error::{Error, Result};
use crate::facts::Pin;
use crate::trust::UserReferences;

/// Refuses a base, a build context or another image that the run may not read.
///
/// # Errors
/// Names the first such image.
pub(super) fn refuse_foreign_bases(given: &PlanContext<'_>, user_refs: &UserReferences<'_>) -> Result<()> {
    let refused = |what: String, why: String| {
        Error::input(format!("{what}: {why}"))
            .cause(format!("this is {}", given.image.run.zone_reason))
            .hint("build on an image that this run may trust, or pin it by digest if it is known to be good")
    };
    for base in &given.facts.bases {
        if let Pin::Engine(image) = &base.pin {
            user_refs
                .may_read_engine(&image.private)
                .map_err(|why| refused(format!("base image {}", base.name), why))?;
        }
        if let Ok(reference) = base.name.parse() {
            user_refs
                .may_read(&reference)
                .map_err(|why| refused(format!("base image {}", base.name), why))?;
        }
    }
    for (what, name) in images_beside_bases(given) {
        // A text that is no reference is refused by the tool that reads it.
        if let Ok(reference) = name.parse() {
            user_refs.may_read(&reference).map_err(|why| refused(format!("{what} {name}"), why))?;
        }
    }
    for (name, value) in &given.image.request.build.build_contexts {
        user_refs.may_read_context(value).map_err(|why| refused(format!("build-contexts: {name}"), why))?;
    }
    Ok(())
}

/// Images that decide what is built without being its base: the frontend, the scanner, BuildKit itself. Each with
/// the word that a message begins with.
fn images_beside_bases(given: &PlanContext<'_>) -> Vec<(&'static str, String)> {
    let (inputs, facts) = (given.image.request, given.facts);
    let mut images: Vec<(&str, String)> = Vec::new();
    images.extend(facts.pins.frontend_name.clone().map(|name| ("frontend", name)));
    images.extend(inputs.settings.builder.image.clone().map(|name| ("buildkit-image", name)));
    for option in &inputs.settings.builder.driver_opts {
        images.extend(option.strip_prefix("image=").map(|name| ("driver-opts: image", name.to_owned())));
    }
    let attributes = inputs.build.sbom.to_string();
    for field in attributes.split(',').map(|field| field.trim_matches('"').trim()) {
        images.extend(field.strip_prefix("generator=").map(|name| ("sbom: generator", name.to_owned())));
    }
    images
}
