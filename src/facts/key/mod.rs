//! Computes the build key: reads the files, resolves what the Dockerfile names.

mod contexts;
mod entries;
mod remote;
mod triggers;
mod walk;

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::bases::Base;
use super::engine_base::Engine;
use super::pin::Pin;
use super::sources::{self, Repository};
use crate::budget;
use crate::buildkit::SourcePin;
use crate::coherence::epoch::Epoch;
use crate::error::{Error, Result};
use crate::failure::FailureClass;
use crate::failure::FailureKind;
use crate::image::Platform;
use crate::inputs::extra_args::{self, Extra};
use crate::inputs::{ContextSource, Inputs, KeyScope, small_letters};
use crate::key::dockerfile::{self, Analysis, BaseTriggers, Copied, Request};
use crate::key::dockerignore;
use crate::key::{BuildKey, EntryKind, KeyBuilder, KeyError};
use crate::ports::Ports;
use crate::ports::actions::{Annotation, Level};
use crate::run::RunContext;
use crate::{crash, env, shown};
use contexts::{NamedContexts, named_contexts};
use entries::settings;
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

/// What the inputs and the Dockerfile say the key is made from, beside files and what other machines say.
#[derive(Debug)]
struct Material {
    file: PathBuf,
    analysis: Analysis,
    contexts: NamedContexts,
    build_args: Vec<(String, String)>,
    extra: Extra,
    /// The context, if it is a repository.
    repository: Option<Repository>,
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
    inputs: &Inputs,
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
    fn of(material: Material, remote: Remote, walked: Walked, inputs: &Inputs, asked_engine: bool) -> Self {
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
        inputs: &Inputs,
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
    async fn prefer_engine(&mut self, ports: &Ports, inputs: &Inputs, run: &RunContext) -> bool {
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

impl Material {
    async fn read(
        ports: &Ports,
        inputs: &Inputs,
        run: &RunContext,
        triggers: &[BaseTriggers],
    ) -> Result<Self> {
        let build = &inputs.build;
        let file = build.dockerfile();
        let mut extra = extra_args::for_key(inputs, run, &ports.env)?;
        let mut build_args = build.build_args.clone();
        build_args.append(&mut extra.build_args);
        // buildx makes arguments of them too, unless they are given.
        for (name, proxy) in ports.user_config.proxies(&ports.env) {
            if !build_args.iter().any(|(given, _)| given == name) {
                build_args.push((name.to_owned(), proxy.to_owned()));
            }
        }
        // buildx makes it an argument of the same name, which one that is given takes the place of.
        let epoch = ports.env.get(env::SOURCE_DATE_EPOCH).map(str::to_owned);
        build_args.splice(0..0, epoch.map(|epoch| (env::SOURCE_DATE_EPOCH.to_owned(), epoch)));
        let repository = match &build.context {
            ContextSource::Folder(_) => None,
            ContextSource::Remote(url) => Some(sources::context(ports, url, &build_args).await?),
        };
        if repository.is_none() && build.exclude.is_empty() {
            refuse_link_out(&file)?;
        }
        let text = dockerfile_text(ports, &file, repository.as_ref()).await?;
        let names: Vec<String> = build.build_contexts.iter().map(|(name, _)| name.clone()).collect();
        let (target, platforms) = (build.target.clone(), build.platforms.clone());
        let (shown, args, triggers) = (file.display().to_string(), build_args.clone(), triggers.to_vec());
        // On a thread of its own: signals and `timeout` are heeded meanwhile.
        let analyse = move || {
            let request = Request {
                file: &shown,
                target: target.as_deref(),
                build_args: &args,
                platforms: &platforms,
                build_platform: &Platform::of_this_machine(),
                build_contexts: &names,
                triggers: &triggers,
            };
            dockerfile::analyse(&text, &request)
        };
        let analysed = tokio::task::spawn_blocking(analyse).await.map_err(|error| crash::joined(&error))?;
        let mut analysis = analysed.map_err(key_error)?;
        analysis.remote.iter().for_each(|source| ports.console.mask_user(&source.url));
        let contexts = named_contexts(build, &analysis)?;
        if let Some((name, _)) = contexts.fixed.first()
            && let Copied::Known(_) = analysis.copied
        {
            let why = format!("build context `{name}` is an OCI layout, which may have ONBUILD instructions");
            analysis.copied = Copied::Unknown(why);
        }
        // It reaches the image's content where the Dockerfile declares it.
        if ports.env.get(env::SOURCE_DATE_EPOCH).is_some()
            && !analysis.declared_args.contains(env::SOURCE_DATE_EPOCH)
        {
            build_args.remove(0);
        }
        Ok(Self { file, analysis, contexts, build_args, extra, repository })
    }

    /// Whether the key covers no more of the context than the Dockerfile names.
    fn is_narrow(&self, inputs: &Inputs) -> bool {
        inputs.key.scope == KeyScope::Auto
            && self.repository.is_none()
            && matches!(self.analysis.copied, Copied::Known(_))
    }

    /// Whether the bases' `ONBUILD` instructions can be read as part of the Dockerfile.
    fn knows_triggers(&self, inputs: &Inputs) -> bool {
        inputs.key.scope == KeyScope::Auto && self.analysis.whole_text.is_none()
    }

    /// The key, from the files that count on.
    fn key(&self, mut key: KeyBuilder, inputs: &Inputs, remote: &Remote) -> BuildKey {
        let Self { analysis, contexts, extra, .. } = self;
        let build = &inputs.build;
        let labels: Vec<_> = build.labels.iter().chain(&extra.labels).cloned().collect();
        // What the Dockerfile does not declare no step can read. Triggers of a base might, and a provenance
        // tells them all.
        let narrow = self.is_narrow(inputs).then_some(analysis);
        let declared_only = narrow.is_some() && !build.provenance.is_on();
        let ignored = |(name, _): &&(String, String)| {
            !inputs.key.ignore_args.contains(name) && (!declared_only || analysis.may_read(name))
        };
        let build_args: Vec<_> = self.build_args.iter().filter(ignored).cloned().collect();
        key.dockerfile(analysis, narrow.is_some())
            .build_args(&build_args, Some(analysis))
            .labels(&labels)
            .plain(EntryKind::Target, "", &analysis.target);
        for (kind, base) in &remote.images {
            key.plain(*kind, &base.name, &base.content());
        }
        let mut names = Vec::new();
        for (source, _) in &remote.sources {
            key.plain(EntryKind::AddSource, &public_name(&source.url, &mut names), &source.content);
        }
        for (name, content) in &contexts.fixed {
            key.plain(EntryKind::BuildContext, name, content);
        }
        for (name, repository) in &remote.repositories {
            key.plain(EntryKind::BuildContext, name, &repository.content());
        }
        if let Some(repository) = self.repository.as_ref().filter(|_| inputs.key.scope != KeyScope::Files) {
            key.plain(EntryKind::BuildContext, "context", &repository.content());
        }
        // Where none is asked for, the base image may have its own way.
        let own = inputs.build.implied_platform
            && (analysis.from_platform.is_some() || analysis.whole_text.is_some());
        let asked = if own { "not asked for" } else { "asked for" };
        for platform in &build.platforms {
            key.plain(EntryKind::Platform, &platform.to_string(), asked);
        }
        settings(&mut key, inputs, narrow);
        for argument in &extra.counted {
            key.extra_arg(argument);
        }
        key.finish()
    }

    /// What the user should know of the key. What a plan warns of is said with the plan.
    fn say(&self, ports: &Ports, inputs: &Inputs, key: &BuildKey, remote: &Remote) {
        self.say_scope(ports, inputs);
        for warning in key.warnings.iter().filter(|warning| !warning.is_grave()) {
            ports.console.line(&format!("note: {warning}; {}", warning.hint()));
        }
        for name in crate::key::digest::secret_looking(&self.build_args) {
            let message = format!(
                "the build argument {name} looks like a secret: its value stays in the image and the layer cache; use the input secrets"
            );
            ports.console.annotate(&Annotation {
                level: Level::Warning,
                title: "build-once",
                message,
                at: None,
            });
        }
        for (source, _) in remote.sources.iter().filter(|(_, moves)| *moves) {
            ports.console.line(&format!("note: ADD {} {}", source.url, sources::said(source)));
        }
    }

    fn say_scope(&self, ports: &Ports, inputs: &Inputs) {
        if inputs.key.scope == KeyScope::Auto
            && self.repository.is_none()
            && let Copied::Unknown(reason) = &self.analysis.copied
        {
            ports.console.line(&format!("note: the key covers the whole context: {reason}"));
        }
    }
}

/// The source's name without its user and its tokens, for entries travel with the image. The same address as another
/// user is another source, so each has its number.
fn public_name<'a>(url: &'a str, known: &mut Vec<&'a str>) -> String {
    let clean = shown::clean_urls(url);
    let others: BTreeSet<&str> =
        known.iter().copied().filter(|other| *other != url && shown::clean_urls(other) == clean).collect();
    known.push(url);
    if others.is_empty() { clean.into_owned() } else { format!("{clean} as user {}", others.len() + 1) }
}

/// The Dockerfile, from the working folder or from the repository that is the context.
/// BuildKit gets the folder of the Dockerfile, and follows a link in it alone. With `exclude` it gets a copy.
fn refuse_link_out(file: &Path) -> Result<()> {
    let Ok(target) = fs_err::read_link(file) else { return Ok(()) };
    if !fs_err::metadata(file).is_ok_and(|there| there.is_file()) {
        return Ok(());
    }
    let (Some(folder), Some(name)) = (file.parent(), file.file_name()) else { return Ok(()) };
    let there = dockerignore::follow(folder, name).ok().flatten();
    if there.is_some_and(|there| fs_err::canonicalize(there).ok() == fs_err::canonicalize(file).ok()) {
        return Ok(());
    }
    let (file, leads) = (file.display(), file.with_file_name(&target));
    Err(Error::of(FailureKind::DockerfileError, format!("{file} is a link that BuildKit does not follow"))
        .cause(format!("it leads to {}, and BuildKit gets the link's own folder alone", target.display()))
        .hint(format!("name the file itself: file: {}", leads.display())))
}

async fn dockerfile_text(ports: &Ports, file: &Path, context: Option<&Repository>) -> Result<Vec<u8>> {
    let Some(repository) = context else {
        let read = |file: &Path| budget::read_file(file, budget::DOCKERFILE);
        let found = match (read(file), small_letters(file)) {
            (Err(error), Some(small)) if error.kind() == ErrorKind::NotFound => {
                read(&small).map_err(|_| error)
            }
            (found, _) => found,
        };
        return found.map_err(|error| {
            Error::of(FailureKind::DockerfileError, "failed to read the Dockerfile")
                .because(&error)
                .hint("name it in the input file, relative to the working folder")
        });
    };
    repository.file(ports, &file.display().to_string()).await.map_err(|error| {
        let error = error.within(format!("failed to read the Dockerfile of {}", repository.url()));
        // A repository that is not there, or does not answer, has a hint of its own.
        match error.class {
            FailureClass::Access | FailureClass::Unavailable if error.hint.is_some() => error,
            _ => error.hint("name it in the input file, relative to the repository's folder"),
        }
    })
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
