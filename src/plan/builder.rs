//! Which builder builds: the one at hand if it can do what is asked, else one that is made.

use crate::buildkit::NewBuilder;
use crate::buildkit::owner::{Owner, PREFIX};
use crate::coherence::makers::Lasting;
use crate::error::{Error, Result};
use crate::facts::{BuilderFacts, ImageFacts, Pin, Toolchain};
use crate::failure::FailureKind;
use crate::guards::Guard;
use crate::image::sanitise;
use crate::inputs::{BuilderInputs, CacheKind, Driver};
use crate::plan::Build;
use crate::trust::{Access, ImageRun};

/// What the build asks of a builder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "one a need")]
pub(crate) struct Needs {
    /// Writing a registry cache.
    pub cache_export: bool,
    /// A result that is an index: several platforms, attestations or annotations of an index.
    pub index: bool,
    /// A manifest with annotations, or with layers packed as asked.
    pub manifest: bool,
    /// Base images that only the engine's store has.
    pub engine_images: bool,
    /// Layers that no run of another repository or zone has made.
    pub own_layers: bool,
}

impl Needs {
    /// What either asks.
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

    /// With what is known of the builder at hand, and of the engine's where only that one sees a base. Untrusted runs
    /// take what is there.
    #[must_use]
    pub(crate) fn with(
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
}

impl Needs {
    /// What this build asks.
    #[must_use]
    pub(crate) fn of(image: ImageRun<'_>, facts: &ImageFacts, build: &Build) -> Self {
        let ImageRun { request: inputs, access, .. } = image;
        let Build { publish, shared, .. } = *build;
        let home = shared && facts.repository.repository().is_some();
        Self {
            // One that is named by hand is tried; what cannot be written is left out then.
            cache_export: access.write_cache
                && inputs.cache.kinds.iter().any(|cache| match cache.kind {
                    CacheKind::Registry => publish && home,
                    // Any builder puts it into the image.
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

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// The one at hand. A named one is passed on by name.
    AtHand {
        /// Its name, unless it is the current one.
        name: Option<String>,
        /// What it cannot do and goes without.
        without_cache_export: bool,
        /// Its own layers are not used.
        without_layers: bool,
    },
    /// One that an earlier run made with the same settings, and left.
    Kept { name: String },
    /// A new one.
    Fresh {
        /// What is made.
        builder: NewBuilder,
        /// Whether it stays.
        keep: bool,
        /// Only the cache needs it.
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
}

/// Names for a builder that is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Names<'a> {
    /// Of this run alone.
    pub unique: &'a str,
    /// Whose it is, where the machine tells.
    pub owner: Option<&'a Owner>,
    /// Of one that is kept, and whether it is there.
    pub kept: Option<&'a (String, bool)>,
}

impl<'a> Names<'a> {
    /// With those facts that this run's rights let it use.
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

/// What keeps the builder at hand from doing this. BuildKit inside the engine exports caches and indexes only with
/// containerd's image store (docker docs, "containerd image store"); annotations and compression it drops without a
/// word.
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

/// The choice.
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
            return Err(Error::of(
                FailureKind::UnsupportedDriver,
                format!("a {} builder cannot do what this build asks", driver.name()),
            )
            .cause(ENGINE_ONLY)
            .hint("push the base image to a registry, or leave the input driver out"));
        }
        return Ok(made(asked, entitlements, driver, names, false));
    }
    if can(toolchain, needs) {
        return Ok(Choice::AtHand {
            name: asked.name.clone(),
            without_cache_export: false,
            without_layers: false,
        });
    }
    let without_layers = needs.own_layers;
    let any_layers = Needs { own_layers: false, ..needs };
    let without_cache = Needs { cache_export: false, ..any_layers };
    if let Some(name) = &asked.name {
        let Some(why) = lacks(toolchain, without_cache) else {
            let without_cache_export = !can(toolchain, any_layers);
            return Ok(Choice::AtHand { name: Some(name.clone()), without_cache_export, without_layers });
        };
        return Err(Error::of(
            FailureKind::UnsupportedDriver,
            format!("the builder {name} cannot do what this build asks"),
        )
        .cause(why)
        .hint("leave the input builder out, and a builder that can is made"));
    }
    if needs.engine_images {
        // Only the engine's own BuildKit sees its images; the cache is the lesser loss.
        let classic = toolchain.engine.as_ref().is_some_and(|engine| !engine.containerd_store);
        if classic && (needs.index || needs.manifest) {
            return Err(Error::of(FailureKind::UnsupportedDriver, "no builder can do what this build asks")
                .cause(ENGINE_ONLY.replace("this builder", "a builder of its own"))
                .cause(CLASSIC)
                .hint("push the base image to a registry"));
        }
        return Ok(Choice::AtHand {
            name: Some("default".to_owned()),
            without_cache_export: needs.cache_export && classic,
            without_layers,
        });
    }
    Ok(made(asked, entitlements, Driver::DockerContainer, names, can(toolchain, without_cache)))
}

fn made(
    asked: &BuilderInputs,
    entitlements: &[String],
    driver: Driver,
    names: Names<'_>,
    optional: bool,
) -> Choice {
    let name = match names.kept {
        Some((name, true)) => return Choice::Kept { name: name.clone() },
        Some((name, false)) => name.clone(),
        None => fresh_name(driver, names),
    };
    let image = asked.image.iter().map(|image| format!("image={image}"));
    // Remote BuildKit decides for itself what it grants.
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

/// A name that no other run uses; it holds the owner.
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
mod tests {
    use super::*;
    use crate::buildkit::Engine;
    use crate::buildkit::{Builder, BuildxVersion};
    use crate::env::Env;
    use crate::failure::FailureClass;
    use crate::inputs::{ImageRequest, RawInputs};

    fn toolchain(driver: &str, containerd_store: bool) -> Toolchain {
        Toolchain {
            buildx: BuildxVersion::parse("v0.29.1").unwrap(),
            builder: Some(Builder {
                name: "b".into(),
                driver: driver.into(),
                buildkit: None,
                platforms: vec![],
                native: None,
            }),
            engine: Some(Engine { version: "28".into(), platform: None, containerd_store, buildx: None }),
        }
    }

    fn inputs(change: impl FnOnce(&mut RawInputs)) -> BuilderInputs {
        let mut raw = RawInputs { image: Some("app".into()), ..RawInputs::default() };
        change(&mut raw);
        ImageRequest::read(&raw, &Env::default()).unwrap().settings.builder.clone()
    }

    fn named(name: Option<&str>) -> BuilderInputs {
        inputs(|raw| match name {
            Some(name) => raw.builder = Some(name.into()),
            None => raw.buildkit_image = Some("i".into()),
        })
    }

    const NAMES: Names<'_> = Names { unique: "u", owner: None, kept: None };

    const CACHE: Needs = Needs { cache_export: true, ..PLAIN };
    const INDEX: Needs = Needs { index: true, ..PLAIN };
    const MANIFEST: Needs = Needs { manifest: true, ..PLAIN };
    const PLAIN: Needs =
        Needs { cache_export: false, index: false, manifest: false, engine_images: false, own_layers: false };
    const LOCAL: Needs = Needs { cache_export: true, engine_images: true, ..PLAIN };

    #[test]
    fn the_least_that_suffices() {
        let at_hand = |name: Option<&str>, without_cache_export| Choice::AtHand {
            name: name.map(str::to_owned),
            without_cache_export,
            without_layers: false,
        };
        let rows = [
            ("docker", true, None, CACHE, Some(at_hand(None, false))),
            ("docker", false, None, PLAIN, Some(at_hand(None, false))),
            ("docker", false, None, CACHE, None),
            ("docker", false, None, INDEX, None),
            // D77
            ("docker", false, None, MANIFEST, None),
            ("docker", true, None, MANIFEST, Some(at_hand(None, false))),
            ("docker-container", true, None, LOCAL, Some(at_hand(Some("default"), false))),
            ("docker-container", false, None, CACHE, Some(at_hand(None, false))),
            ("docker-container", false, None, LOCAL, Some(at_hand(Some("default"), true))),
            ("docker", false, Some("b"), CACHE, Some(at_hand(Some("b"), true))),
        ];
        for (driver, containerd, name, needs, expected) in rows {
            let choice = choose(&named(name), &[], &toolchain(driver, containerd), needs, NAMES).unwrap();
            match expected {
                Some(expected) => assert_eq!(choice, expected, "{driver} {needs:?}"),
                None => assert!(
                    matches!(choice, Choice::Fresh { ref builder, keep: false, optional } if builder.name == "build-once-u" && builder.options == ["image=i"] && optional == needs.cache_export)
                ),
            }
        }
        for needs in [INDEX, MANIFEST] {
            let refused =
                choose(&named(Some("b")), &[], &toolchain("docker", false), needs, NAMES).unwrap_err();
            assert_eq!(refused.class, FailureClass::Unsupported);
            // D77: the engine alone has the base, and its store cannot hold what is asked.
            let local = Needs { engine_images: true, ..needs };
            let refused =
                choose(&named(Some("b")), &[], &toolchain("docker", false), local, NAMES).unwrap_err();
            assert!(refused.to_string().contains("containerd image store"), "{refused}");
            assert!(choose(&named(None), &[], &toolchain("docker-container", false), local, NAMES).is_err());
        }
    }

    #[test]
    fn a_driver_that_is_asked_for_is_made_whatever_is_at_hand() {
        let remote = inputs(|raw| {
            raw.driver = Some("remote".into());
            raw.endpoints = Some("tcp://a:1\ntcp://b:1 platforms=linux/arm64".into());
            raw.allow = Some("network.host".into());
        });
        let none = Toolchain { builder: None, engine: None, ..toolchain("docker", true) };
        let Choice::Fresh { builder, keep: false, optional: false } =
            choose(&remote, &["network.host".to_owned()], &none, CACHE, NAMES).unwrap()
        else {
            panic!()
        };
        assert_eq!((builder.driver, builder.nodes.len()), (Driver::Remote, 2));
        assert!(builder.entitlements.is_empty());
        let error = choose(&remote, &["network.host".to_owned()], &none, LOCAL, NAMES).unwrap_err();
        assert_eq!(error.class, FailureClass::Unsupported, "{error}");

        let container = inputs(|raw| {
            raw.driver = Some("docker-container".into());
            raw.allow = Some("security.insecure".into());
        });
        let Choice::Fresh { builder, .. } =
            choose(&container, &["security.insecure".to_owned()], &toolchain("docker", true), PLAIN, NAMES)
                .unwrap()
        else {
            panic!()
        };
        assert_eq!(builder.entitlements, ["security.insecure"]);
    }

    #[test]
    fn a_kept_one_is_made_once() {
        let kept = |there| {
            let kept = ("build-once-kept-0".to_owned(), there);
            let names = Names { kept: Some(&kept), ..NAMES };
            choose(&named(None), &[], &toolchain("docker", false), CACHE, names).unwrap()
        };
        let Choice::Fresh { builder, keep: true, .. } = kept(false) else { panic!() };
        assert_eq!(builder.name, "build-once-kept-0");
        assert_eq!(kept(true), Choice::Kept { name: builder.name });
    }

    #[test]
    fn names_say_whose_a_builder_is_and_fit() {
        let owner = Owner {
            machine: "0123abcd".into(),
            boot: "aaaaaa".into(),
            namespace: "bbbb".into(),
            pid: u32::MAX >> 10,
            started: 0xfff_ffff,
        };
        let unique = format!("123456789012-3-{}-0a1b2c3d", "job".repeat(60));
        let names = Names { unique: &unique, owner: Some(&owner), kept: None };
        let container = fresh_name(Driver::DockerContainer, names);
        assert_eq!(Owner::of_builder(&container).as_ref(), Some(&owner));
        assert!(container.len() < 200, "{container}");
        let pods = fresh_name(Driver::Kubernetes, names);
        assert!(pods.starts_with("build-once-0a1b2c3d-") && pods.len() < 63, "{pods}");
        assert_eq!(Owner::of_builder(&pods), Some(owner));
    }
}
