//! Reads the inputs and the Dockerfile, as far as they decide the key; for a context that is a git repository its commit
//! too. Files of the context and base images come later.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::contexts::{NamedContexts, named_contexts};
use super::dockerfile_text::{dockerfile_text, refuse_link_out};
use super::entries::add_settings;
use super::key_error;
use super::remote::Remote;
use crate::error::Result;
use crate::facts::sources::{self, AddedSource, GitSource};
use crate::image::Platform;
use crate::inputs::extra_args::{self, Extra};
use crate::inputs::{BuildInputs, ContextSource, ImageRequest, KeyScope};
use crate::key::dockerfile::{self, Analysis, AnalysisRequest, BaseTriggers, Copied};
use crate::key::{BuildKey, EntryKind, KeyBuilder, MAIN_CONTEXT};
use crate::ports::Ports;
use crate::ports::actions::{Annotation, Level};
use crate::run::RunContext;
use crate::{crash, env, shown};

/// The inputs and the Dockerfile, as far as they decide the key.
#[derive(Debug)]
pub(super) struct Material {
    /// The Dockerfile's path, in the working folder or in the repository that is the main context.
    pub(super) dockerfile: PathBuf,
    pub(super) analysis: Analysis,
    /// The named build contexts that the target uses.
    pub(super) contexts: NamedContexts,
    /// All build arguments that may count, those of extra arguments and of proxies included. Of two with one name
    /// the last counts.
    pub(super) build_args: Vec<(String, String)>,
    pub(super) extra_args: Extra,
    /// The main context, if it is a git repository.
    pub(super) git_context: Option<GitSource>,
}

impl Material {
    pub(super) async fn read(
        ports: &Ports,
        inputs: &ImageRequest,
        run: &RunContext,
        triggers: &[BaseTriggers],
    ) -> Result<Self> {
        let build = &inputs.build;
        let dockerfile = build.dockerfile();
        let mut extra_args = extra_args::for_key(inputs, run, &ports.env)?;
        let mut build_args = build_arguments(ports, build, &mut extra_args);
        let git_context = match &build.context {
            ContextSource::Folder(_) => None,
            ContextSource::Remote(url) => Some(sources::look_up_main_context(ports, url, &build_args).await?),
        };
        // With `exclude` BuildKit gets a copy of the Dockerfile in place of the link.
        if git_context.is_none() && build.exclude.is_empty() {
            refuse_link_out(&dockerfile)?;
        }
        let text = dockerfile_text(ports, &dockerfile, git_context.as_ref()).await?;
        // buildx makes this variable an argument, unless the user gives one of that name.
        let epoch = ports.env.get(env::SOURCE_DATE_EPOCH);
        if let Some(epoch) = epoch {
            build_args.insert(0, (env::SOURCE_DATE_EPOCH.to_owned(), epoch.to_owned()));
        }
        let file = dockerfile.display().to_string();
        let mut analysis = analyse(text, file, build, build_args.clone(), triggers.to_vec()).await?;
        // Steps see `SOURCE_DATE_EPOCH` only if the Dockerfile declares it. Else it sets times alone, which do not count.
        if epoch.is_some() && !analysis.declared_args.contains(env::SOURCE_DATE_EPOCH) {
            build_args.remove(0);
        }
        analysis.remote.iter().for_each(|source| ports.console.mask_user(&source.url));
        let contexts = named_contexts(build, &analysis)?;
        if let Some((name, _)) = contexts.oci_layouts.first()
            && let Copied::Known(_) = analysis.copied
        {
            let why = format!("build context `{name}` is an OCI layout, which may have ONBUILD instructions");
            analysis.copied = Copied::Unknown(why);
        }
        Ok(Self { dockerfile, analysis, contexts, build_args, extra_args, git_context })
    }

    /// Tells whether the key covers only the part of the main context that the Dockerfile names.
    pub(super) fn is_narrow(&self, inputs: &ImageRequest) -> bool {
        inputs.key.scope == KeyScope::Auto
            && self.git_context.is_none()
            && matches!(self.analysis.copied, Copied::Known(_))
    }

    /// Tells whether the bases' `ONBUILD` instructions can be read as part of the Dockerfile: not where its whole text
    /// counts, because it cannot be taken apart.
    pub(super) fn can_read_triggers(&self, inputs: &ImageRequest) -> bool {
        inputs.key.scope == KeyScope::Auto && self.analysis.whole_text_reason.is_none()
    }

    /// Completes the key: `key` has the files, this adds all else.
    pub(super) fn complete_key(
        &self,
        mut key: KeyBuilder,
        inputs: &ImageRequest,
        remote: &Remote,
    ) -> BuildKey {
        let Self { analysis, contexts, extra_args, .. } = self;
        let build = &inputs.build;
        let labels: Vec<_> = build.labels.iter().chain(&extra_args.labels).cloned().collect();
        // No step can read an argument that nothing declares. If the key is narrow, the ONBUILD instructions of all
        // bases are known, so the declarations are complete. A provenance lists all arguments.
        let narrow = self.is_narrow(inputs).then_some(analysis);
        let declared_only = narrow.is_some() && !build.provenance.is_on();
        let counts = |(name, _): &&(String, String)| {
            !inputs.key.ignore_args.contains(name) && (!declared_only || analysis.may_read(name))
        };
        let build_args: Vec<_> = self.build_args.iter().filter(counts).cloned().collect();
        key.dockerfile(analysis, narrow.is_some())
            .build_args(&build_args, Some(analysis))
            .labels(&labels)
            .plain(EntryKind::Target, "", &analysis.target);
        for (kind, base) in &remote.images {
            key.plain(*kind, &base.name, &base.content());
        }
        let mut names = Vec::new();
        for source in &remote.sources {
            let name = public_name(&source.pin.url, &mut names);
            key.plain(EntryKind::AddSource, &name, &source.pin.content);
        }
        for (name, digest) in &contexts.oci_layouts {
            key.plain(EntryKind::BuildContext, name, digest);
        }
        for (name, repository) in &remote.repositories {
            key.plain(EntryKind::BuildContext, name, &repository.content());
        }
        // With `key: files` nothing of the main context counts but those files.
        if let Some(git) = self.git_context.as_ref().filter(|_| inputs.key.scope != KeyScope::Files) {
            key.plain(EntryKind::BuildContext, MAIN_CONTEXT, &git.content());
        }
        // Where the user asks for no platform, the platform of the base image may stand in the configuration.
        let base_may_decide = inputs.build.implied_platform
            && (analysis.from_platform.is_some() || analysis.whole_text_reason.is_some());
        let asked = if base_may_decide { "not asked for" } else { "asked for" };
        for platform in &build.platforms {
            key.plain(EntryKind::Platform, &platform.to_string(), asked);
        }
        add_settings(&mut key, inputs, narrow);
        for argument in &extra_args.counted {
            key.extra_arg(argument);
        }
        key.finish()
    }

    /// Logs the notes on the key. The plan reports the grave warnings.
    pub(super) fn log_notes(&self, ports: &Ports, inputs: &ImageRequest, key: &BuildKey, remote: &Remote) {
        self.log_scope(ports, inputs);
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
        for AddedSource { pin, .. } in remote.sources.iter().filter(|source| source.looked_up) {
            ports.console.line(&format!("note: ADD {} {}", pin.url, sources::note(pin)));
        }
    }

    /// Logs why the key covers the whole context, where `key: auto` could not narrow it.
    pub(super) fn log_scope(&self, ports: &Ports, inputs: &ImageRequest) {
        if inputs.key.scope == KeyScope::Auto
            && self.git_context.is_none()
            && let Copied::Unknown(reason) = &self.analysis.copied
        {
            ports.console.line(&format!("note: the key covers the whole context: {reason}"));
        }
    }
}

/// Joins the build arguments of the input, of extra arguments (taken out of `extra_args`) and of docker's proxies.
fn build_arguments(ports: &Ports, build: &BuildInputs, extra_args: &mut Extra) -> Vec<(String, String)> {
    let mut build_args = build.build_args.clone();
    build_args.append(&mut extra_args.build_args);
    // buildx makes arguments of docker's proxies too, unless the user gives them.
    for (name, proxy) in ports.user_config.proxies(&ports.env) {
        if !build_args.iter().any(|(given, _)| given == name) {
            build_args.push((name.to_owned(), proxy.to_owned()));
        }
    }
    build_args
}

/// Analyses the Dockerfile on a thread of its own, so that signals and `timeout` are heeded meanwhile.
async fn analyse(
    text: Vec<u8>,
    file: String,
    build: &BuildInputs,
    build_args: Vec<(String, String)>,
    triggers: Vec<BaseTriggers>,
) -> Result<Analysis> {
    let contexts: Vec<String> = build.build_contexts.iter().map(|(name, _)| name.clone()).collect();
    let (target, platforms) = (build.target.clone(), build.platforms.clone());
    let analyse = move || {
        let request = AnalysisRequest {
            file: &file,
            target: target.as_deref(),
            build_args: &build_args,
            platforms: &platforms,
            build_platform: &Platform::of_this_machine(),
            build_contexts: &contexts,
            triggers: &triggers,
        };
        dockerfile::analyse(&text, &request)
    };
    let analysed = tokio::task::spawn_blocking(analyse).await.map_err(|error| crash::joined(&error))?;
    analysed.map_err(key_error)
}

/// Names a source without the user and the tokens of its URL, because entries travel with the image. One address
/// with two users is two sources, so the second one gets a number.
fn public_name<'a>(url: &'a str, known: &mut Vec<&'a str>) -> String {
    let clean = shown::clean_urls(url);
    let others: BTreeSet<&str> =
        known.iter().copied().filter(|other| *other != url && shown::clean_urls(other) == clean).collect();
    known.push(url);
    if others.is_empty() { clean.into_owned() } else { format!("{clean} as user {}", others.len() + 1) }
}
