//! Which builder builds: the one at hand if it can do what is asked, else a fresh one.

use crate::error::{Error, FailureClass, Result};
use crate::facts::Toolchain;
use crate::inputs::BuilderInputs;
use crate::ports::buildx::NewBuilder;

/// What the build asks of a builder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Needs {
    /// Writing a registry cache.
    pub cache_export: bool,
    /// A result that is an index: several platforms or attestations.
    pub index: bool,
    /// Base images that only the engine's store has.
    pub engine_images: bool,
}

/// The choice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// The one at hand. A named one is passed on by name.
    AtHand {
        name: Option<String>,
        /// What it cannot do and goes without.
        without_cache_export: bool,
    },
    /// A new one.
    Fresh {
        builder: NewBuilder,
        /// Only the cache needs it.
        optional: bool,
    },
}

/// BuildKit inside the engine exports caches and indexes only with containerd's image store
/// (docker docs, "containerd image store").
fn can(toolchain: &Toolchain, needs: Needs) -> bool {
    let Some(builder) = &toolchain.builder else { return false };
    let containerd = toolchain.engine.as_ref().is_some_and(|engine| engine.containerd_store);
    if builder.is_engine() {
        containerd || !(needs.cache_export || needs.index)
    } else {
        !needs.engine_images
    }
}

pub(super) fn choose(
    inputs: &BuilderInputs,
    toolchain: &Toolchain,
    needs: Needs,
    unique: &str,
) -> Result<Choice> {
    if can(toolchain, needs) {
        return Ok(Choice::AtHand { name: inputs.name.clone(), without_cache_export: false });
    }
    if let Some(name) = &inputs.name {
        let without_cache = Needs { cache_export: false, ..needs };
        if can(toolchain, without_cache) {
            return Ok(Choice::AtHand { name: Some(name.clone()), without_cache_export: true });
        }
        return Err(Error::new(
            FailureClass::Unsupported,
            format!("the builder {name} cannot do what this build asks"),
        )
        .cause(if needs.engine_images {
            "a base image is only in the engine's store, which this builder does not see"
        } else {
            "several platforms or attestations need an engine with the containerd image store"
        })
        .hint("leave the input builder out, and a builder that can is made"));
    }
    if needs.engine_images {
        // Only the engine's own BuildKit sees its images; the cache is the lesser loss.
        return Ok(Choice::AtHand {
            name: Some("default".to_owned()),
            without_cache_export: needs.cache_export,
        });
    }
    let image = inputs.image.iter().map(|image| format!("image={image}"));
    let builder = NewBuilder {
        name: format!("build-once-{unique}"),
        options: inputs.driver_opts.iter().cloned().chain(image).collect(),
        config: inputs.config.clone(),
    };
    Ok(Choice::Fresh { builder, optional: can(toolchain, Needs { cache_export: false, ..needs }) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::buildx::{Builder, BuildxVersion};
    use crate::ports::docker::Engine;

    fn toolchain(driver: &str, containerd_store: bool) -> Toolchain {
        Toolchain {
            buildx: BuildxVersion::parse("v0.29.1").unwrap(),
            builder: Some(Builder {
                name: "b".into(),
                driver: driver.into(),
                buildkit: None,
                platforms: vec![],
            }),
            engine: Some(Engine { version: "28".into(), containerd_store, buildx: None }),
        }
    }

    fn inputs(name: Option<&str>) -> BuilderInputs {
        BuilderInputs {
            name: name.map(str::to_owned),
            driver_opts: vec![],
            image: Some("i".into()),
            config: None,
            keep: false,
        }
    }

    const CACHE: Needs = Needs { cache_export: true, index: false, engine_images: false };
    const INDEX: Needs = Needs { cache_export: false, index: true, engine_images: false };
    const PLAIN: Needs = Needs { cache_export: false, index: false, engine_images: false };
    const LOCAL: Needs = Needs { cache_export: true, index: false, engine_images: true };

    #[test]
    fn the_least_that_suffices() {
        let at_hand = |name: Option<&str>, without_cache_export| Choice::AtHand {
            name: name.map(str::to_owned),
            without_cache_export,
        };
        let rows = [
            ("docker", true, None, CACHE, Some(at_hand(None, false))),
            ("docker", false, None, PLAIN, Some(at_hand(None, false))),
            ("docker", false, None, CACHE, None),
            ("docker", false, None, INDEX, None),
            ("docker-container", false, None, CACHE, Some(at_hand(None, false))),
            ("docker-container", false, None, LOCAL, Some(at_hand(Some("default"), true))),
            ("docker", false, Some("b"), CACHE, Some(at_hand(Some("b"), true))),
        ];
        for (driver, containerd, name, needs, expected) in rows {
            let choice = choose(&inputs(name), &toolchain(driver, containerd), needs, "u").unwrap();
            match expected {
                Some(expected) => assert_eq!(choice, expected, "{driver} {needs:?}"),
                None => assert!(
                    matches!(choice, Choice::Fresh { ref builder, optional } if builder.name == "build-once-u" && builder.options == ["image=i"] && optional == needs.cache_export)
                ),
            }
        }
        assert!(choose(&inputs(Some("b")), &toolchain("docker", false), INDEX, "u").is_err());
    }
}
