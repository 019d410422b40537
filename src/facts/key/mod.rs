//! Computes the build key: reads the files, resolves what the Dockerfile names.

mod contexts;
mod entries;
mod remote;
mod walk;

use std::collections::BTreeSet;
use std::path::Path;

use super::bases::{Base, Pin};
use super::sources;
use crate::env;
use crate::error::{Error, FailureClass, Result};
use crate::image::{ImageReference, Platform};
use crate::inputs::{ContextSource, Inputs, KeyScope};
use crate::key::dockerfile::{self, Analysis, Copied, Request};
use crate::key::{BuildKey, EntryKind, KeyError};
use crate::plan::extra_args_for_key;
use crate::ports::Ports;
use crate::ports::buildx::SourcePin;
use crate::run::RunContext;
use contexts::named_contexts;
use entries::settings;
use remote::{Remote, pins, remote};
use walk::spawn_walk;

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
    /// Names of the Dockerfile's stages, which no context may take.
    pub stage_names: BTreeSet<String>,
    /// Registries that images come from, for which the build needs the logins.
    pub registries: BTreeSet<String>,
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
