//! Holds the build to the base images that the key saw.
//!
//! A named build context takes the place of every stage of its name, so it is no safe way to hold
//! a base: `FROM node AS node` would lose the stage's own instructions. A source policy only says
//! which image a name means.

use std::collections::BTreeSet;

use super::versions;
use crate::buildkit::{Feature, ImagePin, Versions};
use crate::error::Result;
use crate::facts::{ImageFacts, Pin};
use crate::key::dockerfile::familiar;

/// What makes the build use the pinned base images.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Held {
    /// Rules of the source policy.
    pub images: BTreeSet<ImagePin>,
    /// Named build contexts, for a BuildKit that does not apply the policy to images.
    pub contexts: Vec<(String, String)>,
}

/// Holds every image of a registry that the Dockerfile or a build context names, whatever it is used for.
///
/// # Errors
/// If the builder knows no policies for images and a named context would replace a stage.
pub(super) fn hold(facts: &ImageFacts, versions: Versions<'_>) -> Result<Held> {
    let mut held = Held::default();
    let lack = versions.lacks(Feature::ImagePolicy);
    for base in &facts.bases {
        let (Pin::Registry(pinned), Ok(name)) = (&base.pin, base.name.parse()) else { continue };
        let Some(lack) = &lack else {
            held.images.insert(ImagePin { name, pinned: pinned.clone() });
            continue;
        };
        let short = familiar(&base.name);
        if facts.pins.stage_names.contains(&short) {
            return Err(versions::too_old(lack).hint(format!(
                "update the builder, or give the stage `{short}` a name that is no image's: it is that of the image {}",
                base.name
            )));
        }
        held.contexts.push((base.name.clone(), format!("docker-image://{pinned}")));
    }
    Ok(held)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buildkit::BuildxVersion;
    use crate::facts::{Base, NoRepository, Pins, RepositoryFact};
    use crate::failure::FailureClass;

    fn facts(bases: &[&str], stages: &[&str]) -> ImageFacts {
        let pin = |name: &str| {
            let digest = format!("sha256:{:064x}", 1).parse().unwrap();
            let reference: crate::image::ImageReference = name.parse().unwrap();
            Base { name: name.to_owned(), pin: Pin::Registry(reference.repository().at(digest)) }
        };
        ImageFacts {
            bases: bases.iter().map(|name| pin(name)).collect(),
            pins: Pins {
                stage_names: stages.iter().map(|&name| name.to_owned()).collect(),
                ..Pins::default()
            },
            ..ImageFacts::empty(RepositoryFact::None(NoRepository::NotNamed).into())
        }
    }

    fn held(facts: &ImageFacts, buildkit: &str) -> Result<Held> {
        let buildx = BuildxVersion::parse("v0.29.1").unwrap();
        hold(facts, Versions { buildx: &buildx, buildkit: Some(buildkit) })
    }

    // D01, D107
    #[test]
    fn d01_a_stage_of_an_images_name_is_never_replaced() {
        let bases = ["node", "docker.io/library/node", "node:latest", "index.docker.io/library/node:latest"];
        for base in bases {
            let facts = facts(&[base], &["node"]);
            let new = held(&facts, "v0.25.0").unwrap();
            assert!(new.contexts.is_empty(), "{base}");
            let names: Vec<_> = new.images.iter().map(|pin| pin.name.to_string()).collect();
            assert_eq!(names, ["docker.io/library/node:latest"]);
            let refused = held(&facts, "v0.11.6").unwrap_err();
            assert_eq!(refused.class, FailureClass::Unsupported);
            assert!(refused.hint.unwrap().contains("stage `node`"), "{base}");
        }
    }

    #[test]
    fn d01_an_old_builder_gets_contexts_where_they_are_safe() {
        let facts = facts(&["node:22", "h.example/o/node"], &["node", "h"]);
        let old = held(&facts, "v0.11.6").unwrap();
        assert_eq!((old.images.len(), old.contexts.len()), (0, 2));
        assert_eq!(held(&facts, "v0.12.0").unwrap().images.len(), 2);
        // A name of several spellings is held once.
        assert_eq!(held(&self::facts(&["node", "node:latest"], &[]), "v0.25.0").unwrap().images.len(), 1);
    }
}
