//! Chooses the builder: the one at hand if it can do what the builds need, else a new one.

use crate::buildkit::NewBuilder;
use crate::buildkit::owner::{Owner, PREFIX};
use crate::coherence::makers::Lasting;
use crate::error::{Error, Result};
use crate::facts::{BuilderFacts, ImageFacts, KeptBuilder, Pin, Toolchain};
use crate::failure::FailureKind;
use crate::guards::Guard;
use crate::image::sanitise;
use crate::inputs::{BuilderInputs, CacheKind, Driver};
use crate::plan::Build;
use crate::trust::{Access, ImageRun};

/// What a build needs of a builder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "one a need")]
pub(crate) struct Needs {
    /// It writes a layer cache other than inline.
    pub cache_export: bool,
    /// Its result is an index: several platforms, attestations or annotations of an index.
    pub index: bool,
    /// Its manifest has annotations, or layers compressed as the input says.
    pub manifest: bool,
    /// It reads base images that only the engine's store has.
    pub engine_images: bool,
    /// It must use no layer that a run of another repository or zone has made.
    pub own_layers: bool,
}

impl Needs {
    /// The needs of both builds.
    #[must_use]
    pub(crate) const fn and(self, other: Self) -> Self {
        Self {
            cache_export: self.cache_export || other.cache_export,
            index: self.index || other.index,
            manifest: self.manifest || other.manifest,
            engine_images: self.engine_images || other.engine_images,
            own_layers: self.own_layers || other.own_layers,
        }
    }

    /// What must be possible at the least: a build can go without its layer cache and without the builder's layers.
    const fn without_cache(self) -> Self {
        Self { cache_export: false, own_layers: false, ..self }
    }

    /// The same with `own_layers`, if others have built with the builder at hand, or with the engine where only that
    /// one sees a base image. An untrusted run uses any layer.
    #[must_use]
    pub(crate) fn with_makers(
        self,
        builders: &BuilderFacts,
        access: &Access,
        toolchain: Option<&Toolchain>,
    ) -> Self {
        let at_hand = toolchain.and_then(|toolchain| toolchain.builder.as_ref()?.lasting());
        let used = at_hand.into_iter().chain(self.engine_images.then_some(Lasting::Engine));
        let others =
            builders.makers.as_ref().is_some_and(|makers| used.into_iter().any(|one| makers.has_others(one)));
        Self { own_layers: others && access.is_trusted() && Guard::OwnLayers.holds(), ..self }
    }

    /// The needs of one build, without `own_layers`.
    #[must_use]
    pub(crate) fn of_build(image: ImageRun<'_>, facts: &ImageFacts, build: &Build) -> Self {
        let ImageRun { request: inputs, access, .. } = image;
        let Build { publish, shared, .. } = *build;
        let home = shared && facts.repository.repository().is_some();
        Self {
            // A cache in `cache-to` needs nothing: if the builder cannot write it, it is left out.
            cache_export: access.write_cache
                && inputs.cache.kinds.iter().any(|cache| match cache.kind {
                    CacheKind::Registry => publish && home,
                    // Any builder puts this one into the image.
                    CacheKind::Inline => false,
                    CacheKind::Gha | CacheKind::Local | CacheKind::S3 | CacheKind::Azblob => true,
                }),
            index: inputs.build.platforms.len() > 1 || publish && inputs.build.makes_index(),
            manifest: publish
                && (!inputs.build.annotations.is_empty() || inputs.build.compression.is_asked()),
            engine_images: facts.bases.iter().any(|base| matches!(base.pin, Pin::Engine(_))),
            own_layers: false,
        }
    }
}

/// The builder that builds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// The one at hand: the current one, or the one that the input `builder` names.
    AtHand {
        /// `None` for the current one.
        name: Option<String>,
        /// True if a cache is wanted that it cannot write.
        without_cache_export: bool,
        /// True if the layers that it has are not used.
        without_layers: bool,
    },
    /// One that an earlier run made with the same settings and kept.
    Kept { name: String },
    /// A new one.
    Fresh {
        /// The builder to make.
        builder: NewBuilder,
        /// True if it stays for later runs.
        keep: bool,
        /// True if the build can do without it, with less.
        optional: bool,
    },
}

impl Choice {
    /// The builder's name, unless it is the current one.
    #[must_use]
    pub(crate) fn name(&self) -> Option<&str> {
        match self {
            Self::AtHand { name, .. } => name.as_deref(),
            Self::Kept { name } => Some(name),
            Self::Fresh { builder, .. } => Some(&builder.name),
        }
    }

    /// Whether a layer cache is wanted that the builder cannot write.
    pub(super) const fn is_without_cache_export(&self) -> bool {
        matches!(self, Self::AtHand { without_cache_export: true, .. })
    }
}

/// Names for a new builder.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Names<'a> {
    /// A text that no other run has.
    pub unique: &'a str,
    /// This process, if the machine tells; later runs find builders of killed runs by it.
    pub owner: Option<&'a Owner>,
    /// The kept builder, if the run may use one.
    pub kept: Option<&'a KeptBuilder>,
}

impl<'a> Names<'a> {
    /// The names that this run's rights let it use.
    #[must_use]
    pub(crate) fn new(
        unique: &'a str,
        owner: Option<&'a Owner>,
        builders: &'a BuilderFacts,
        access: &Access,
    ) -> Self {
        Self { unique, owner, kept: builders.kept.as_ref().filter(|_| access.keep_builder) }
    }
}

const ENGINE_ONLY: &str = "a base image is only in the engine's store, which this builder does not see";
const OTHERS: &str = "other repositories or runs of less trust have built with it";
const CLASSIC: &str = "several platforms, attestations, annotations and compression need an engine with the containerd image store";

/// Why the builder at hand cannot do this; `None` if it can. BuildKit inside the engine exports caches and indexes only with
/// containerd's image store (docker docs, "containerd image store"), and else ignores annotations and compression.
fn lacks(toolchain: &Toolchain, needs: Needs) -> Option<&'static str> {
    let Some(builder) = &toolchain.builder else { return Some("there is no builder") };
    let containerd = toolchain.engine.as_ref().is_some_and(|engine| engine.containerd_store);
    if !builder.is_engine() {
        return needs.engine_images.then_some(ENGINE_ONLY).or_else(|| needs.own_layers.then_some(OTHERS));
    }
    let store = !containerd && (needs.cache_export || needs.index || needs.manifest);
    store.then_some(CLASSIC).or_else(|| needs.own_layers.then_some(OTHERS))
}

fn can(toolchain: &Toolchain, needs: Needs) -> bool {
    lacks(toolchain, needs).is_none()
}

/// Chooses the builder: of the driver that is asked for, else the one at hand if it can, else a new one.
///
/// # Errors
/// If no builder that may be used or made can do what is asked.
pub(crate) fn choose(
    asked: &BuilderInputs,
    entitlements: &[String],
    toolchain: &Toolchain,
    needs: Needs,
    names: Names<'_>,
) -> Result<Choice> {
    if let Some(driver) = asked.driver {
        if needs.engine_images {
            return Err(cannot(&format!("a {} builder", driver.name()), ENGINE_ONLY)
                .hint("push the base image to a registry, or leave the input driver out"));
        }
        return Ok(kept_or_fresh(asked, entitlements, driver, names, false));
    }
    if can(toolchain, needs) {
        return Ok(Choice::AtHand {
            name: asked.name.clone(),
            without_cache_export: false,
            without_layers: false,
        });
    }
    if let Some(name) = &asked.name {
        return named(name, toolchain, needs);
    }
    if needs.engine_images {
        return engines_own(toolchain, needs);
    }
    let optional = can(toolchain, needs.without_cache());
    Ok(kept_or_fresh(asked, entitlements, Driver::DockerContainer, names, optional))
}

fn cannot(builder: &str, why: &str) -> Error {
    let what = format!("{builder} cannot do what this build asks");
    Error::of(FailureKind::UnsupportedDriver, what).cause(why)
}

/// The builder of the input `builder`, which cannot do all that is needed: it builds with less, if that is a cache.
fn named(name: &str, toolchain: &Toolchain, needs: Needs) -> Result<Choice> {
    if let Some(why) = lacks(toolchain, needs.without_cache()) {
        return Err(cannot(&format!("the builder {name}"), why)
            .hint("leave the input builder out, and a builder that can is made"));
    }
    Ok(Choice::AtHand {
        name: Some(name.to_owned()),
        without_cache_export: !can(toolchain, Needs { own_layers: false, ..needs }),
        without_layers: needs.own_layers,
    })
}

/// The engine's own BuildKit, which alone sees the engine's images. To lose the cache is less bad than to lose the image.
fn engines_own(toolchain: &Toolchain, needs: Needs) -> Result<Choice> {
    let is_classic = toolchain.engine.as_ref().is_some_and(|engine| !engine.containerd_store);
    if is_classic && (needs.index || needs.manifest) {
        return Err(Error::of(FailureKind::UnsupportedDriver, "no builder can do what this build asks")
            .cause(ENGINE_ONLY.replace("this builder", "a builder of its own"))
            .cause(CLASSIC)
            .hint("push the base image to a registry"));
    }
    Ok(Choice::AtHand {
        name: Some("default".to_owned()),
        without_cache_export: needs.cache_export && is_classic,
        without_layers: needs.own_layers,
    })
}

/// A kept builder if there is one, else a new one.
fn kept_or_fresh(
    asked: &BuilderInputs,
    entitlements: &[String],
    driver: Driver,
    names: Names<'_>,
    optional: bool,
) -> Choice {
    let name = match names.kept {
        Some(KeptBuilder { name, exists: true }) => return Choice::Kept { name: name.clone() },
        Some(KeptBuilder { name, exists: false }) => name.clone(),
        None => fresh_name(driver, names),
    };
    let image = asked.image.iter().map(|image| format!("image={image}"));
    // A remote BuildKit has its own configuration of what it grants.
    let entitlements = if driver == Driver::Remote { Vec::new() } else { entitlements.to_vec() };
    let builder = NewBuilder {
        name,
        driver,
        options: asked.driver_opts.iter().cloned().chain(image).collect(),
        config: asked.config.clone(),
        entitlements,
        nodes: asked.endpoints.clone(),
    };
    Choice::Fresh { builder, keep: names.kept.is_some(), optional }
}

/// A name that no other run uses, with the owner in it.
fn fresh_name(driver: Driver, names: Names<'_>) -> String {
    let unique = match driver {
        // It names a deployment and is in its label: 63 characters (Kubernetes docs, "Object
        // Names and IDs"), of which the owner takes 40 and buildx one. The end of `unique` is
        // what no other run has.
        Driver::Kubernetes => {
            let skip = names.unique.len().saturating_sub(8);
            names.unique.get(skip..).unwrap_or(names.unique).to_lowercase()
        }
        Driver::DockerContainer | Driver::Remote => sanitise(names.unique),
    };
    match names.owner {
        Some(owner) => format!("{PREFIX}{unique}-{owner}"),
        None => format!("{PREFIX}{unique}"),
    }
}

#[cfg(test)]
mod tests;
