//! Computes the build key: reads the files, resolves what the Dockerfile names.

mod contexts;
mod entries;
mod material;
mod remote;
mod triggers;
mod walk;

use std::collections::BTreeSet;

use super::bases::Base;
use super::engine_base::Engine;
use super::pin::Pin;
use crate::buildkit::SourcePin;
use crate::coherence::epoch::Epoch;
use crate::error::{Error, Result};
use crate::failure::FailureKind;
use crate::inputs::ImageRequest;
use crate::key::{BuildKey, EntryKind, KeyError};
use crate::ports::Ports;
use crate::run::RunContext;
use material::Material;
use remote::{Remote, pins, remote};
use walk::{Walked, walk};

/// The key, and what it pinned.
#[derive(Debug)]
pub(crate) struct Computed {
    pub key: BuildKey,
    /// Images, each held to the content that the key was computed from.
    pub bases: Vec<Base>,
    /// What else is held still.
    pub pins: Pins,
    /// Whether the engine was asked for images of its own under the bases' names.
    asked_engine: bool,
    material: Material,
    remote: Remote,
}

/// What besides base images the build must take as the key saw it.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Pins {
    /// `BUILDKIT_SYNTAX` with the frontend's digest.
    pub frontend: Option<String>,
    /// The frontend as it is named, by the Dockerfile or by `BUILDKIT_SYNTAX`.
    #[serde(skip)]
    pub frontend_name: Option<String>,
    /// The context's repository at its commit.
    pub context: Option<String>,
    /// Build contexts: images by digest, repositories by commit.
    pub contexts: Vec<(String, String)>,
    /// `ADD` of URLs and repositories that could move.
    pub sources: Vec<SourcePin>,
    /// Whether another frontend than Docker's reads the Dockerfile.
    #[serde(skip)]
    pub foreign_frontend: bool,
    /// Names of the Dockerfile's stages, which no context may take.
    pub stage_names: BTreeSet<String>,
    /// `FROM --platform=` of the image that the target stage begins with.
    pub from_platform: Option<String>,
    /// Registries that images come from, for which the build needs the logins.
    pub registries: BTreeSet<String>,
    /// The ignore file that the build needs in place of the context's own: with the patterns of `exclude`.
    #[serde(skip)]
    pub ignore: Option<Vec<u8>>,
    /// Keeps layers of another epoch out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<Epoch>,
}

/// Reads and resolves everything, files and images side by side. Where the key covers no more than the Dockerfile
/// names, it holds only if no base has `ONBUILD` instructions: an image under it was made by a run that had asked
/// ([`Computed::settle`]), so a hit needs no question.
/// The engine is asked for images of its own at once where `ask_engine` says so, else with [`Computed::settle`]: a
/// hit in a registry starts no docker.
///
/// # Errors
/// If a file cannot be read, the Dockerfile is not valid, or an image has no digest.
pub(crate) async fn compute(
    ports: &Ports,
    inputs: &ImageRequest,
    run: &RunContext,
    ask_engine: bool,
) -> Result<Computed> {
    let material = Material::read(ports, inputs, run, &[]).await?;
    let walk = walk(inputs, &material);
    let engine = ask_engine.then(|| Engine::new(ports, inputs, run));
    let remote =
        remote(ports, &material.analysis, &material.contexts, &material.file, engine, Remote::default());
    let (walked, remote) = tokio::join!(walk, remote);
    let computed = Computed::of(material, remote?, walked?, inputs, ask_engine);
    computed.material.say(ports, inputs, &computed.key, &computed.remote);
    Ok(computed)
}

/// The images that the build stands on.
fn bases(remote: &Remote) -> Vec<Base> {
    let bases = remote.images.iter().filter(|(kind, base)| {
        // The engine's own images need its BuildKit, whoever names them.
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
        let Walked { key, ignore } = walked;
        let key = material.key(key, inputs, &remote);
        let epoch = Epoch::of(&key, &material.analysis.secrets);
        let pins = Pins { ignore, epoch, ..pins(&material.analysis, &remote, material.repository.as_ref()) };
        Self { key, bases: bases(&remote), pins, material, remote, asked_engine }
    }

    /// Makes sure of the key where it rests on bases without `ONBUILD` instructions: asks, and computes it again
    /// with those that there are. Says whether the key is another one now.
    ///
    /// # Errors
    /// If neither registry nor engine says whether there are some, or a file cannot be read.
    pub(crate) async fn settle(
        mut self,
        ports: &Ports,
        inputs: &ImageRequest,
        run: &RunContext,
    ) -> Result<(Self, bool)> {
        let mut other = !self.asked_engine && self.prefer_engine(ports, inputs, run).await;
        self.asked_engine = true;
        if self.material.knows_triggers(inputs)
            && let triggers = triggers::found(ports, inputs, &self.material.analysis, &self.remote).await?
            && !triggers.is_empty()
        {
            let material = Material::read(ports, inputs, run, &triggers).await?;
            if material.analysis.copied != self.material.analysis.copied {
                material.say_scope(ports, inputs);
            }
            self.material = material;
            let Material { analysis, contexts, file, .. } = &self.material;
            let engine = Some(Engine::new(ports, inputs, run));
            self.remote = remote(ports, analysis, contexts, file, engine, self.remote).await?;
            other = true;
        }
        if other {
            let walked = walk(inputs, &self.material).await?;
            self = Self::of(self.material, self.remote, walked, inputs, true);
        }
        Ok((self, other))
    }

    /// Takes the engine's own image where `docker build` would take it; says whether there is one.
    async fn prefer_engine(&mut self, ports: &Ports, inputs: &ImageRequest, run: &RunContext) -> bool {
        let engine = Engine::new(ports, inputs, run);
        let mut other = false;
        for (_, base) in self.remote.images.iter_mut().filter(|(kind, _)| *kind == EntryKind::BaseImage) {
            let Pin::Registry(reference) = &base.pin else { continue };
            let (Ok(name), Some(digest)) = (base.name.parse(), reference.digest().cloned()) else { continue };
            if let Some(pin) = engine.instead_of(&name, &base.name, &digest).await {
                base.pin = pin;
                other = true;
            }
        }
        other
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
        KeyError::Ignore { file, line, .. } => {
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
