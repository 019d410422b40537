//! Computes the build key: reads the files, resolves what the Dockerfile names.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use futures_util::future::try_join_all;

use super::bases::{Base, Pin, resolve};
use super::sources;
use crate::crash;
use crate::env;
use crate::error::{Error, FailureClass, Result};
use crate::image::{ImageReference, Platform};
use crate::inputs::{BuildInputs, ContextSource, Inputs, KeyScope, SecretSource};
use crate::key::dockerfile::{self, Analysis, Copied, Place, Request};
use crate::key::dockerignore::Ignore;
use crate::key::{BuildKey, EntryKind, KeyBuilder, KeyError, Scope, files, period};
use crate::plan::extra_args_for_key;
use crate::ports::Ports;
use crate::ports::buildx::SourcePin;
use crate::ports::clock::unix_seconds;
use crate::run::RunContext;

/// The key, and what it pinned.
#[derive(Debug)]
pub struct Computed {
    /// The key.
    pub key: BuildKey,
    /// Images, each held to the content that the key was computed from.
    pub bases: Vec<Base>,
    /// What else is held still.
    pub pins: Pins,
}

/// What besides base images the build must take as the key saw it.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Pins {
    /// `BUILDKIT_SYNTAX` with the frontend's digest.
    pub frontend: Option<String>,
    /// The context's repository at its commit.
    pub context: Option<String>,
    /// Build contexts: images by digest, repositories by commit.
    pub contexts: Vec<(String, String)>,
    /// `ADD` of URLs and repositories that could move.
    pub sources: Vec<SourcePin>,
    /// Registries that images come from, for which the build needs the logins.
    pub registries: BTreeSet<String>,
}

/// Named build contexts, sorted by what they are.
#[derive(Default)]
struct NamedContexts {
    folders: Vec<(String, PathBuf)>,
    images: Vec<(String, String)>,
    repositories: Vec<(String, String)>,
    fixed: Vec<(String, String)>,
}

/// Everything that other machines say, asked for side by side.
struct Remote {
    images: Vec<(EntryKind, Base)>,
    sources: Vec<(SourcePin, bool)>,
    /// Name, URL, commit.
    repositories: Vec<(String, String, String)>,
}

/// Reads and resolves everything, files and images side by side.
///
/// # Errors
/// If a file cannot be read, the Dockerfile is not valid, or an image has no digest.
pub async fn compute(ports: &Ports, inputs: &Inputs, run: &RunContext) -> Result<Computed> {
    let build = &inputs.build;
    let file = build.dockerfile();
    let context_commit = match &build.context {
        ContextSource::Folder(_) => None,
        ContextSource::Remote(url) => Some((url, sources::commit(ports, url).await?)),
    };
    let text = dockerfile_text(ports, &file, context_commit.as_ref()).await?;
    let parse = |platform: &Platform| dockerfile::Platform::parse(&platform.to_string()).map_err(key_error);
    let builds_on = parse(&Platform::of_this_machine())?;
    let platforms: Vec<dockerfile::Platform> = build.platforms.iter().map(parse).collect::<Result<_>>()?;
    let extra = extra_args_for_key(inputs, run, &ports.env)?;
    let mut build_args = build.build_args.clone();
    build_args.extend(extra.build_args);
    let names: Vec<String> = build.build_contexts.iter().map(|(name, _)| name.clone()).collect();
    let file_name = file.display().to_string();
    let request = Request {
        file: &file_name,
        target: build.target.as_deref(),
        build_args: &build_args,
        platforms: &platforms,
        build_platform: &builds_on,
        build_contexts: &names,
    };
    let mut analysis = dockerfile::analyse(&text, &request).map_err(key_error)?;
    let contexts = named_contexts(build, &analysis)?;
    if inputs.key.scope == KeyScope::Copied {
        note_triggers(ports, &mut analysis).await;
    }
    let walk = spawn_walk(inputs, &analysis, &file, &contexts);
    let (walked, remote) = tokio::join!(walk, remote(ports, &analysis, &contexts, &file));
    let (mut key, remote) = (walked?, remote?);

    // buildx makes it an argument of the same name; it reaches the image where the Dockerfile declares it.
    if let Some(epoch) = ports.env.get(env::SOURCE_DATE_EPOCH)
        && analysis.declared_args.contains(env::SOURCE_DATE_EPOCH)
    {
        build_args.insert(0, (env::SOURCE_DATE_EPOCH.to_owned(), epoch.to_owned()));
    }
    let labels: Vec<_> = build.labels.iter().chain(&extra.labels).cloned().collect();
    key.dockerfile(&analysis).build_args(&build_args, Some(&analysis)).labels(&labels).plain(
        EntryKind::Target,
        "",
        build.target.as_deref().unwrap_or_default(),
    );
    for (kind, base) in &remote.images {
        key.plain(*kind, &base.name, &base.content());
    }
    for (source, _) in &remote.sources {
        key.plain(EntryKind::AddSource, &source.url, &source.content);
    }
    for (name, content) in &contexts.fixed {
        key.plain(EntryKind::BuildContext, name, content);
    }
    for (name, url, commit) in &remote.repositories {
        key.plain(EntryKind::BuildContext, name, &sources::content(url, commit));
    }
    if let Some((url, commit)) = context_commit.as_ref().filter(|_| inputs.key.scope != KeyScope::Files) {
        key.plain(EntryKind::BuildContext, "context", &sources::content(url, commit));
    }
    for platform in &platforms {
        key.plain(EntryKind::Platform, &platform.to_string(), "");
    }
    settings(&mut key, inputs);
    for argument in &extra.args {
        key.extra_arg(argument);
    }
    let key = key.finish();
    say(ports, &build_args, &key, &remote);
    let context = context_commit.map(|(url, commit)| sources::at_commit(url, &commit));
    let pins = pins(&analysis, &remote, context);
    let bases = remote.images.into_iter().filter(|(kind, base)| {
        // The engine's own images need its BuildKit, whoever names them.
        *kind == EntryKind::BaseImage && base.pin != Pin::AsWritten || matches!(base.pin, Pin::Engine(_))
    });
    Ok(Computed { key, bases: bases.map(|(_, base)| base).collect(), pins })
}

/// The Dockerfile, from the working folder or from the repository that is the context.
async fn dockerfile_text(ports: &Ports, file: &Path, context: Option<&(&String, String)>) -> Result<Vec<u8>> {
    let Some((url, commit)) = context else {
        return fs_err::read(file).map_err(|error| {
            Error::new(FailureClass::Build, "failed to read the Dockerfile")
                .because(&error)
                .hint("name it in the input file, relative to the working folder")
        });
    };
    sources::dockerfile(ports, url, commit, &file.display().to_string()).await.map_err(|error| {
        Error::new(error.class, format!("failed to read the Dockerfile of {url}"))
            .cause(error.headline())
            .hint("name it in the input file, relative to the repository's folder")
    })
}

/// What the user should know of the key.
fn say(ports: &Ports, build_args: &[(String, String)], key: &BuildKey, remote: &Remote) {
    for warning in &key.warnings {
        ports.console.line(&format!("note: {warning}; {}", warning.hint()));
    }
    for name in crate::key::digest::secret_looking(build_args) {
        ports.console.line(&format!("note: the build argument {name} looks like a secret: its value stays in the image and the layer cache; use the input secrets"));
    }
    for (source, _) in remote.sources.iter().filter(|(_, moves)| *moves) {
        ports.console.line(&format!(
            "note: ADD {} is looked up for every key and held to {}; fixed in the Dockerfile, it would not be",
            source.url, source.content
        ));
    }
}

fn pins(analysis: &Analysis, remote: &Remote, context: Option<String>) -> Pins {
    let frontend =
        remote.images.iter().find_map(|(kind, base)| match (kind, &base.pin, &analysis.frontend) {
            (EntryKind::Frontend, Pin::Registry(reference), Some(frontend)) => {
                // What follows the image is the frontend's own.
                let rest = frontend.directive.strip_prefix(&frontend.reference).unwrap_or_default();
                Some(format!("{reference}{rest}"))
            }
            _ => None,
        });
    let mut contexts = Vec::new();
    for (kind, base) in &remote.images {
        if let (EntryKind::BuildContext, Pin::Registry(reference)) = (kind, &base.pin) {
            contexts.push((base.name.clone(), format!("docker-image://{reference}")));
        }
    }
    for (name, url, commit) in &remote.repositories {
        contexts.push((name.clone(), sources::at_commit(url, commit)));
    }
    let sources =
        remote.sources.iter().filter(|(_, moves)| *moves).map(|(source, _)| source.clone()).collect();
    let registries = remote.images.iter().filter_map(|(_, base)| base.registry()).collect();
    Pins { frontend, context, contexts, sources, registries }
}

/// What decides the image besides files and images (`docs/keys.md` says why each is in or out).
fn settings(key: &mut KeyBuilder, inputs: &Inputs) {
    let build = &inputs.build;
    for secret in &build.secrets {
        // Where a secret's value comes from does not reach the image, its id does.
        let (SecretSource::Value(_) | SecretSource::File(_)) = &secret.source;
        key.plain(EntryKind::SecretId, &secret.id, "");
    }
    for ssh in &build.ssh {
        key.plain(EntryKind::SecretId, &format!("ssh:{}", ssh.split('=').next().unwrap_or_default()), "");
    }
    let compression = match build.compression {
        crate::inputs::Compression::Gzip => "gzip",
        crate::inputs::Compression::Zstd => "zstd",
    };
    let hosts = build.add_hosts.join(",");
    for (name, value) in [
        ("network", build.network.as_deref().unwrap_or_default()),
        ("compression", compression),
        ("provenance", &build.provenance),
        ("sbom", &build.sbom),
        ("add-hosts", &hosts),
    ] {
        key.plain(EntryKind::Setting, name, value);
    }
    if let Some(extra) = &inputs.key.extra {
        key.hashed(EntryKind::KeyExtra, "", extra);
    }
    if let Some(age) = inputs.key.max_age {
        key.plain(EntryKind::Period, "", &period(age.as_secs(), unix_seconds()));
    }
}

/// Reads the files on threads of their own: hashing is the one thing that is not waiting.
async fn spawn_walk(
    inputs: &Inputs,
    analysis: &Analysis,
    file: &Path,
    contexts: &NamedContexts,
) -> Result<KeyBuilder> {
    let context = match &inputs.build.context {
        ContextSource::Folder(context) => Some(context.clone()),
        ContextSource::Remote(_) => None,
    };
    let (scope, patterns) = (inputs.key.scope, inputs.key.files.clone());
    let (file, copied, folders) = (file.to_owned(), analysis.copied.clone(), contexts.folders.clone());
    let walk = move || -> Result<KeyBuilder, KeyError> {
        let mut key = match (scope, context) {
            (KeyScope::Files, _) => {
                let mut key = KeyBuilder::new(Scope::Files);
                key.key_files(files::key_files(Path::new("."), &patterns)?);
                key
            }
            // Its commit says all.
            (KeyScope::Context | KeyScope::Copied, None) => KeyBuilder::new(Scope::Context),
            (scope, Some(context)) => {
                let ignore = Ignore::load(&context, &file)?;
                let (scope, selector) = match (scope, &copied) {
                    (KeyScope::Copied, Copied::Known(sources)) => {
                        (Scope::Copied, files::Selector::copied(&context, ignore, sources)?)
                    }
                    _ => (Scope::Context, files::Selector::context(ignore)),
                };
                let (tree, warnings) = files::walk(&context, &selector)?;
                let mut key = KeyBuilder::new(scope);
                key.files("context", tree, warnings);
                key
            }
        };
        for (name, folder) in folders {
            let ignore = Ignore::of_context(&folder)?;
            let (tree, warnings) = files::walk(&folder, &files::Selector::context(ignore))?;
            key.files(&name, tree, warnings);
        }
        Ok(key)
    };
    tokio::task::spawn_blocking(walk).await.map_err(|error| crash::joined(&error))?.map_err(key_error)
}

/// Resolves the frontend, every base, every context that is an image or a repository, and every `ADD` from
/// outside.
async fn remote(ports: &Ports, analysis: &Analysis, contexts: &NamedContexts, file: &Path) -> Result<Remote> {
    let mut wanted: Vec<(EntryKind, &str, &str, usize)> = Vec::new();
    if let Some(frontend) = &analysis.frontend {
        wanted.push((EntryKind::Frontend, &frontend.reference, &frontend.reference, frontend.line));
    }
    for image in &analysis.images {
        if !wanted.iter().any(|(kind, name, ..)| *kind == EntryKind::BaseImage && *name == image.reference) {
            wanted.push((EntryKind::BaseImage, &image.reference, &image.reference, image.line));
        }
    }
    for (name, reference) in &contexts.images {
        wanted.push((EntryKind::BuildContext, name, reference, 0));
    }
    let images = try_join_all(wanted.into_iter().map(async |(kind, name, reference, line)| {
        let base = resolve(ports, reference, file, line).await?;
        // The build gets a context by its own name, pinned.
        let is_context = kind == EntryKind::BuildContext;
        let base = if is_context { Base { name: name.to_owned(), pin: named_pin(base)? } } else { base };
        Ok::<_, Error>((kind, base))
    }));
    let repositories = try_join_all(contexts.repositories.iter().map(async |(name, url)| {
        let commit = sources::commit(ports, url).await.map_err(|error| {
            Error::new(error.class, format!("build-contexts: what `{name}` holds is not known"))
                .cause(error.headline())
                .hint("name it with a commit: URL#<40 hex digits>")
        })?;
        Ok::<_, Error>((name.clone(), url.clone(), commit))
    }));
    let file_name = file.display().to_string();
    let (images, repositories, sources) =
        tokio::join!(images, repositories, sources::added(ports, analysis, &file_name));
    Ok(Remote { images: images?, sources: sources?, repositories: repositories? })
}

fn named_pin(base: Base) -> Result<Pin> {
    match base.pin {
        Pin::AsWritten => base
            .name
            .parse()
            .map(Pin::Registry)
            .map_err(|error| Error::input("build-contexts").because(&error)),
        pin => Ok(pin),
    }
}

fn named_contexts(build: &BuildInputs, analysis: &Analysis) -> Result<NamedContexts> {
    let mut contexts = NamedContexts::default();
    for (name, value) in build.build_contexts.iter().filter(|(name, _)| analysis.contexts.contains(name)) {
        if let Some(reference) = value.strip_prefix("docker-image://") {
            contexts.images.push((name.clone(), reference.to_owned()));
        } else if let Some(layout) = value.strip_prefix("oci-layout://") {
            match layout.rsplit_once('@') {
                Some((_, digest)) if digest.parse::<crate::image::Digest>().is_ok() => {
                    contexts.fixed.push((name.clone(), digest.to_owned()));
                }
                _ => return Err(unpinned_context(name, "a digest: oci-layout://PATH@sha256:…")),
            }
        } else if sources::is_repository(value) {
            contexts.repositories.push((name.clone(), value.clone()));
        } else if dockerfile::place(value) == Place::Local {
            contexts.folders.push((name.clone(), PathBuf::from(value)));
        } else {
            return Err(unpinned_context(name, "a folder, an image or a git repository"));
        }
    }
    Ok(contexts)
}

fn unpinned_context(name: &str, needs: &str) -> Error {
    Error::input(format!("build-contexts: what `{name}` holds can change without notice"))
        .hint(format!("name it with {needs}"))
}

/// A base with `ONBUILD` copies what its text says, not what this Dockerfile's does.
async fn note_triggers(ports: &Ports, analysis: &mut Analysis) {
    let references: Vec<String> = analysis.images.iter().map(|image| image.reference.clone()).collect();
    for name in references {
        let Ok(reference) = name.parse::<ImageReference>() else { continue };
        match ports.registry.has_triggers(&reference).await {
            Ok(false) => {}
            // What cannot be known counts as having some.
            Ok(true) | Err(_) => analysis.base_has_triggers(&name),
        }
    }
    if let Copied::Unknown(reason) = &analysis.copied {
        ports.console.line(&format!("note: the key covers the whole context: {reason}"));
    }
}

fn key_error(error: KeyError) -> Error {
    let class = if error.is_user_build_error() || matches!(error, KeyError::Target { .. }) {
        FailureClass::Build
    } else {
        FailureClass::Input
    };
    let at = match &error {
        KeyError::Dockerfile { file, line, .. } => Some((file.clone(), *line)),
        KeyError::Ignore { file, line, .. } => Some((file.display().to_string(), *line)),
        _ => None,
    };
    let hint = error.hint();
    let reported = Error::new(class, "failed to compute the build key").because(&error).hint(hint);
    match at {
        Some((file, line)) => reported.at(file, line),
        None => reported,
    }
}
