//! What the inputs and the Dockerfile say the key is made from.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::contexts::{NamedContexts, named_contexts};
use super::entries::settings;
use super::remote::Remote;
use crate::budget;
use crate::error::{Error, Result};
use crate::facts::sources::{self, Repository};
use crate::failure::FailureClass;
use crate::failure::FailureKind;
use crate::image::Platform;
use crate::inputs::extra_args::{self, Extra};
use crate::inputs::{ContextSource, ImageRequest, KeyScope, small_letters};
use crate::key::dockerfile::{self, Analysis, BaseTriggers, Copied, Request};
use crate::key::dockerignore;
use crate::key::{BuildKey, EntryKind, KeyBuilder};
use crate::ports::Ports;
use crate::ports::actions::{Annotation, Level};
use crate::run::RunContext;
use crate::{crash, env, shown};

use super::key_error;

/// What the inputs and the Dockerfile say the key is made from, beside files and what other machines say.
#[derive(Debug)]
pub(super) struct Material {
    pub(super) file: PathBuf,
    pub(super) analysis: Analysis,
    pub(super) contexts: NamedContexts,
    pub(super) build_args: Vec<(String, String)>,
    pub(super) extra: Extra,
    /// The context, if it is a repository.
    pub(super) repository: Option<Repository>,
}

impl Material {
    pub(super) async fn read(
        ports: &Ports,
        inputs: &ImageRequest,
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
    pub(super) fn is_narrow(&self, inputs: &ImageRequest) -> bool {
        inputs.key.scope == KeyScope::Auto
            && self.repository.is_none()
            && matches!(self.analysis.copied, Copied::Known(_))
    }

    /// Whether the bases' `ONBUILD` instructions can be read as part of the Dockerfile.
    pub(super) fn knows_triggers(&self, inputs: &ImageRequest) -> bool {
        inputs.key.scope == KeyScope::Auto && self.analysis.whole_text.is_none()
    }

    /// The key, from the files that count on.
    pub(super) fn key(&self, mut key: KeyBuilder, inputs: &ImageRequest, remote: &Remote) -> BuildKey {
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
    pub(super) fn say(&self, ports: &Ports, inputs: &ImageRequest, key: &BuildKey, remote: &Remote) {
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

    pub(super) fn say_scope(&self, ports: &Ports, inputs: &ImageRequest) {
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
