//! Computes the build key: reads the files, and looks up the images and sources that the Dockerfile names.

mod contexts;
mod dockerfile_text;
mod entries;
mod material;
mod remote;
mod triggers;
mod walk;

use std::collections::BTreeSet;
use std::path::Path;

use super::bases::Base;
use super::engine_base::Engine;
use super::pin::Pin;
use crate::buildkit::SourcePin;
use crate::coherence::epoch::Epoch;
use crate::error::{Error, Result};
use crate::failure::FailureKind;
use crate::image::{ImageReference, Platform};
use crate::inputs::{ImageRequest, Link};
use crate::key::dockerfile::BaseTriggers;
use crate::key::dockerignore::EXCLUDE;
use crate::key::{BuildKey, EntryKind, KeyError, PlatformKey};
use crate::ports::Ports;
use crate::run::RunContext;
use material::{KnownTriggers, Material, Reading};
use remote::{Remote, look_up_remote, pins};
use walk::{Walked, walk};

/// An image of this run that another one is built on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parent {
    /// The name of the build context that stands for it.
    pub context: String,
    /// Its key, which stands for its content: its digest is not known before it is built, and differs in each build.
    pub key: String,
    /// The key of each of its platforms, if it has several.
    pub platforms: Vec<(Platform, String)>,
    /// Its `ONBUILD` instructions; `None` if they cannot be told.
    pub onbuild: Option<Vec<String>>,
    /// The image, if it is of another step or job.
    pub pinned: Option<ImageReference>,
}

impl Parent {
    /// Its key for an image of these platforms: of one platform, the key of that platform.
    fn key_for(&self, platforms: &[Platform]) -> &str {
        let [platform] = platforms else { return &self.key };
        let own = self.platforms.iter().find(|(own, _)| own == platform);
        own.map_or(&self.key, |(_, key)| key)
    }

    /// Its `ONBUILD` instructions, as those of a base image; `None` without any.
    fn triggers(&self) -> Option<BaseTriggers> {
        let texts = self.onbuild.clone();
        // The analysis does not tell which instruction names a build context.
        let of_context = || BaseTriggers { base: self.context.clone(), line: 1, texts: texts.clone() };
        texts.as_ref().is_none_or(|texts| !texts.is_empty()).then(of_context)
    }
}

/// The key, and the content that the build must be held to.
#[derive(Debug)]
pub(crate) struct Computed {
    pub key: BuildKey,
    /// The key of each platform, if there are several.
    pub platforms: Vec<PlatformKey>,
    /// Images, each held to the content that the key was computed from.
    pub bases: Vec<Base>,
    pub pins: Pins,
    /// The engine was asked for its own images under the bases' names.
    asked_engine: bool,
    material: Material,
    remote: Remote,
}

/// Besides base images, all that holds the build to the content that the key was computed from.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Pins {
    /// `BUILDKIT_SYNTAX` with the frontend's digest.
    pub frontend: Option<String>,
    /// The frontend as the Dockerfile or `BUILDKIT_SYNTAX` names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frontend_name: Option<String>,
    /// The main context at its commit, if it is a git repository.
    pub context: Option<String>,
    /// Build contexts: images by digest, repositories by commit.
    pub contexts: Vec<(String, String)>,
    /// URLs and git repositories whose content could change before the build reads them.
    pub sources: Vec<SourcePin>,
    /// Another frontend than Docker's reads the Dockerfile.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub foreign_frontend: bool,
    /// Names of the Dockerfile's stages. A build context of such a name would replace the stage.
    pub stage_names: BTreeSet<String>,
    /// `FROM --platform=` of the image that the target stage begins with.
    pub from_platform: Option<String>,
    /// Registries that images come from, for which the build needs the logins.
    pub registries: BTreeSet<String>,
    /// The text of the ignore file with the patterns of `exclude`, which the build gets in place of the context's own.
    #[serde(skip)]
    pub ignore: Option<Vec<u8>>,
    /// Keeps layers of another epoch out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<Epoch>,
}

/// Reads files and looks up images side by side. A key that covers only what the Dockerfile names is right only if no
/// base has `ONBUILD` instructions. [`Computed::settle`] checks that before a build; a hit needs no check, because the
/// run that made the image did it.
/// `parents` are the images of this run that this one is built on.
/// With `ask_engine` the engine is asked for its own images now, else in [`Computed::settle`]: a hit in a registry
/// starts no docker.
///
/// # Errors
/// If a file cannot be read, the Dockerfile is not valid, or an image has no digest.
pub(crate) async fn compute(
    ports: &Ports,
    inputs: &ImageRequest,
    run: &RunContext,
    parents: &[Parent],
    ask_engine: bool,
) -> Result<Computed> {
    let material = Material::read(ports, inputs, run, parents, &KnownTriggers::default()).await?;
    let walk = walk(inputs, &material);
    let engine = ask_engine.then(|| Engine::new(ports, inputs, run));
    let Reading { analysis, contexts, .. } = &material.all;
    let remote = look_up_remote(ports, analysis, contexts, &material.dockerfile, engine, Remote::default());
    let (walked, remote) = tokio::join!(walk, remote);
    let computed = Computed::of(material, remote?, walked?, inputs, ask_engine);
    computed.material.log_notes(ports, inputs, &computed.key, &computed.remote);
    Ok(computed)
}

/// The base images that must be pinned, and the engine's own images.
fn bases(remote: &Remote) -> Vec<Base> {
    let bases = remote.images.iter().filter(|(kind, base)| {
        // Only the engine's BuildKit can read the engine's own images, also those that a build context names.
        *kind == EntryKind::BaseImage && base.pin != Pin::AsWritten || matches!(base.pin, Pin::Engine(_))
    });
    bases.map(|(_, base)| base.clone()).collect()
}

impl Computed {
    fn of(
        material: Material,
        remote: Remote,
        walked: Walked,
        inputs: &ImageRequest,
        asked_engine: bool,
    ) -> Self {
        let Walked { key, each, ignore } = walked;
        let mut key = material.complete_key(&material.all, key, inputs, &remote);
        let own = material.each.iter().zip(each).map(|(one, key)| PlatformKey {
            platform: one.platform.clone(),
            key: material.complete_key(&one.reading, key, &one.request, &remote),
        });
        let platforms: Vec<PlatformKey> = own.collect();
        if !platforms.is_empty() {
            key = BuildKey::of_platforms(&platforms, key);
        }
        let analysis = &material.all.analysis;
        let epoch = Epoch::of(&key, &analysis.secrets);
        let mut pins = Pins { ignore, epoch, ..pins(analysis, &remote, material.git_context.as_ref()) };
        for (parent, image) in material.parents.iter().filter_map(|own| Some((own, own.pinned.as_ref()?))) {
            pins.contexts.push((parent.context.clone(), format!("docker-image://{image}")));
            pins.registries.insert(image.registry().to_owned());
        }
        Self { key, platforms, bases: bases(&remote), pins, material, remote, asked_engine }
    }

    /// Asks for the bases' `ONBUILD` instructions and for the engine's own images, and computes the key again if
    /// there are any, or if the key of one of the `parents` is another by now. Returns true if it did.
    ///
    /// # Errors
    /// If neither registry nor engine tells a base's instructions, or a file cannot be read.
    pub(crate) async fn settle(
        mut self,
        ports: &Ports,
        inputs: &ImageRequest,
        run: &RunContext,
        parents: &[Parent],
    ) -> Result<(Self, bool)> {
        let mut changed = !self.asked_engine && self.prefer_engine(ports, inputs, run).await;
        self.asked_engine = true;
        if self.material.parents.iter().any(|known| !parents.contains(known)) {
            self.material = Material::read(ports, inputs, run, parents, &KnownTriggers::default()).await?;
            changed = true;
        }
        let triggers = triggers::find_triggers(ports, inputs, &self.material, &self.remote).await?;
        if !triggers.is_empty() {
            let material = Material::read(ports, inputs, run, parents, &triggers).await?;
            if material.all.analysis.copied != self.material.all.analysis.copied {
                material.log_scope(ports, inputs);
            }
            self.material = material;
            let (Reading { analysis, contexts, .. }, dockerfile) =
                (&self.material.all, &self.material.dockerfile);
            let engine = Some(Engine::new(ports, inputs, run));
            self.remote = look_up_remote(ports, analysis, contexts, dockerfile, engine, self.remote).await?;
            changed = true;
        }
        if changed {
            let walked = walk(inputs, &self.material).await?;
            self = Self::of(self.material, self.remote, walked, inputs, true);
        }
        Ok((self, changed))
    }

    /// What the key of an image holds that is built on this one.
    pub(crate) fn as_parent(&self, link: &Link) -> Parent {
        let platforms = self.platforms.iter().map(|own| (own.platform.clone(), own.key.hex.clone()));
        Parent {
            context: link.context.clone(),
            key: self.key.hex.clone(),
            platforms: platforms.collect(),
            onbuild: self.material.all.analysis.onbuild.clone(),
            pinned: None,
        }
    }

    /// Pins each base to the engine's own image if `docker build` would use that. Returns true if there is one.
    async fn prefer_engine(&mut self, ports: &Ports, inputs: &ImageRequest, run: &RunContext) -> bool {
        let engine = Engine::new(ports, inputs, run);
        let mut changed = false;
        for (_, base) in self.remote.images.iter_mut().filter(|(kind, _)| *kind == EntryKind::BaseImage) {
            let Pin::Registry(reference) = &base.pin else { continue };
            let (Ok(name), Some(digest)) = (base.name.parse(), reference.digest().cloned()) else { continue };
            if let Some(pin) = engine.own_image(&name, &base.name, &digest).await {
                base.pin = pin;
                changed = true;
            }
        }
        changed
    }
}

fn key_error(error: KeyError) -> Error {
    let kind = if error.is_user_build_error() || matches!(error, KeyError::Target { .. }) {
        FailureKind::DockerfileError
    } else {
        FailureKind::BadInput
    };
    let at = match &error {
        KeyError::Dockerfile { file, line, .. } | KeyError::Unset { file, line, .. } => {
            Some((file.clone(), *line))
        }
        // Without `./`: annotations name files as the repository does.
        KeyError::Ignore { file, line, .. } if file != Path::new(EXCLUDE) => {
            Some((file.strip_prefix(".").unwrap_or(file).display().to_string(), *line))
        }
        _ => None,
    };
    let hint = error.hint();
    let reported = Error::of(kind, "failed to compute the build key").because(&error).hint(hint);
    match at {
        Some((file, line)) => reported.at(file, line),
        None => reported,
    }
}
