//! Computes the build key: reads the files, resolves what the Dockerfile names.

use std::path::{Path, PathBuf};

use futures_util::future::try_join_all;

use super::bases::{Base, Pin, resolve};
use crate::error::{Error, FailureClass, Result};
use crate::image::ImageReference;
use crate::inputs::{BuildInputs, ContextSource, Inputs, KeyScope, SecretSource};
use crate::key::dockerfile::{self, Analysis, Copied, Place, Request};
use crate::key::dockerignore::Ignore;
use crate::key::{BuildKey, EntryKind, KeyBuilder, KeyError, Scope, files, period};
use crate::ports::Ports;
use crate::ports::clock::unix_seconds;

/// The key, and what it pinned.
#[derive(Debug)]
pub struct Computed {
    /// The key.
    pub key: BuildKey,
    /// Images, each held to the content that the key was computed from.
    pub bases: Vec<Base>,
}

/// Named build contexts, sorted by what they are.
#[derive(Default)]
struct NamedContexts {
    folders: Vec<(String, PathBuf)>,
    images: Vec<(String, String)>,
    fixed: Vec<(String, String)>,
}

/// Reads and resolves everything, files and images side by side.
///
/// # Errors
/// If a file cannot be read, the Dockerfile is not valid, or an image has no digest.
pub async fn compute(ports: &Ports, inputs: &Inputs) -> Result<Computed> {
    let build = &inputs.build;
    let file = build.dockerfile();
    let text = fs_err::read(&file).map_err(|error| {
        Error::new(FailureClass::Build, "failed to read the Dockerfile")
            .because(&error)
            .hint("name it in the input file, relative to the working folder")
    })?;
    let builds_on = build_platform().map_err(key_error)?;
    let platforms: Vec<dockerfile::Platform> = build
        .platforms
        .iter()
        .map(|platform| dockerfile::Platform::parse(&platform.to_string()))
        .collect::<Result<_, _>>()
        .map_err(key_error)?;
    let names: Vec<String> = build.build_contexts.iter().map(|(name, _)| name.clone()).collect();
    let file_name = file.display().to_string();
    let request = Request {
        file: &file_name,
        target: build.target.as_deref(),
        build_args: &build.build_args,
        platforms: &platforms,
        build_platform: &builds_on,
        build_contexts: &names,
    };
    let mut analysis = dockerfile::analyse(&text, &request).map_err(key_error)?;
    let contexts = named_contexts(build, &analysis)?;
    let sources = remote_sources(&analysis, &file_name)?;
    if inputs.key.scope == KeyScope::Copied {
        note_triggers(ports, &mut analysis).await;
    }
    let walk = spawn_walk(inputs, &analysis, &file, &contexts);
    let images = images(ports, &analysis, &contexts, &file);
    let (walked, images) = tokio::join!(walk, images);
    let (mut key, images) = (walked?, images?);

    key.dockerfile(&analysis).build_args(&build.build_args, Some(&analysis)).labels(&build.labels).plain(
        EntryKind::Target,
        "",
        build.target.as_deref().unwrap_or_default(),
    );
    for (kind, base) in &images {
        key.plain(*kind, &base.name, &base.content());
    }
    for (url, content) in sources {
        key.plain(EntryKind::AddSource, &url, &content);
    }
    for (name, content) in &contexts.fixed {
        key.plain(EntryKind::BuildContext, name, content);
    }
    for platform in if platforms.is_empty() { std::slice::from_ref(&builds_on) } else { &platforms } {
        key.plain(EntryKind::Platform, &platform.to_string(), "");
    }
    settings(&mut key, inputs);
    let key = key.finish();
    for warning in &key.warnings {
        ports.console.line(&format!("note: {warning}; {}", warning.hint()));
    }
    for name in crate::key::digest::secret_looking(&build.build_args) {
        ports.console.line(&format!("note: the build argument {name} looks like a secret: its value stays in the image and the layer cache; use the input secrets"));
    }
    let mut bases: Vec<Base> = images.into_iter().map(|(_, base)| base).collect();
    bases.retain(|base| base.pin != Pin::AsWritten);
    Ok(Computed { key, bases })
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
    for argument in &build.extra_args {
        key.extra_arg(argument);
    }
    if let Some(extra) = &inputs.key.extra {
        key.hashed(EntryKind::KeyExtra, "", extra);
    }
    if let Some(age) = inputs.key.max_age {
        key.plain(EntryKind::Period, "", &period(age.as_secs(), unix_seconds()));
    }
}

/// The platform of the machine: what a builder builds for when nothing is asked.
fn build_platform() -> Result<dockerfile::Platform, KeyError> {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        other => other,
    };
    dockerfile::Platform::parse(&format!("linux/{architecture}"))
}

/// Reads the files on threads of their own: hashing is the one thing that is not waiting.
async fn spawn_walk(
    inputs: &Inputs,
    analysis: &Analysis,
    file: &Path,
    contexts: &NamedContexts,
) -> Result<KeyBuilder> {
    let ContextSource::Folder(context) = inputs.build.context.clone();
    let (scope, patterns) = (inputs.key.scope, inputs.key.files.clone());
    let (file, copied, folders) = (file.to_owned(), analysis.copied.clone(), contexts.folders.clone());
    let walk = move || -> Result<KeyBuilder, KeyError> {
        let mut key = match scope {
            KeyScope::Files => {
                let mut key = KeyBuilder::new(Scope::Files);
                key.key_files(files::key_files(Path::new("."), &patterns)?);
                key
            }
            KeyScope::Context | KeyScope::Copied => {
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
    tokio::task::spawn_blocking(walk)
        .await
        .map_err(|error| Error::new(FailureClass::Bug, "the key's computation broke off").because(&error))?
        .map_err(key_error)
}

/// Resolves the frontend, every base and every image context, side by side.
async fn images(
    ports: &Ports,
    analysis: &Analysis,
    contexts: &NamedContexts,
    file: &Path,
) -> Result<Vec<(EntryKind, Base)>> {
    let mut wanted: Vec<(EntryKind, String, usize)> = Vec::new();
    let mut want = |kind, name: &str, line| {
        if !wanted.iter().any(|(_, known, _)| known == name) {
            wanted.push((kind, name.to_owned(), line));
        }
    };
    if let Some(frontend) = &analysis.frontend {
        want(EntryKind::Frontend, &frontend.reference, frontend.line);
    }
    for image in &analysis.images {
        want(EntryKind::BaseImage, &image.reference, image.line);
    }
    let each = wanted
        .into_iter()
        .map(async |(kind, name, line)| Ok::<_, Error>((kind, resolve(ports, &name, file, line).await?)));
    let mut images: Vec<(EntryKind, Base)> = try_join_all(each).await?;
    for (name, reference) in &contexts.images {
        let resolved = resolve(ports, reference, file, 0).await?;
        // The build gets the context by its own name, pinned.
        images.push((EntryKind::BuildContext, Base { name: name.clone(), pin: named_pin(resolved)? }));
    }
    Ok(images)
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
        } else if dockerfile::place(value) == Place::Local {
            contexts.folders.push((name.clone(), PathBuf::from(value)));
        } else {
            match dockerfile::commit(value) {
                Some(commit) => contexts.fixed.push((name.clone(), commit.to_owned())),
                None => return Err(unpinned_context(name, "a commit: URL#<40 hex digits>")),
            }
        }
    }
    Ok(contexts)
}

fn unpinned_context(name: &str, needs: &str) -> Error {
    Error::input(format!("build-contexts: what `{name}` holds can change without notice"))
        .hint(format!("name it with {needs}"))
}

/// `ADD` of a URL: fixed by a checksum or a commit, else it cannot be keyed.
fn remote_sources(analysis: &Analysis, file: &str) -> Result<Vec<(String, String)>> {
    analysis
        .remote
        .iter()
        .map(|source| match &source.pin {
            dockerfile::Pin::Fixed(content) => Ok((source.url.clone(), content.clone())),
            dockerfile::Pin::Open { git } => {
                let hint = if *git {
                    "name a commit: URL#<40 hex digits>"
                } else {
                    "add --checksum=sha256:… to the ADD instruction"
                };
                Err(Error::input(format!(
                    "{file}:{}: what {} holds can change without notice",
                    source.line, source.url
                ))
                .hint(hint)
                .at(file, source.line))
            }
            dockerfile::Pin::Unknown { variable } => Err(Error::input(format!(
                "{file}:{}: the source of ADD depends on {variable}, which only the base image knows",
                source.line
            ))
            .hint("give the variable in build-args, or write the source out")
            .at(file, source.line)),
        })
        .collect()
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
