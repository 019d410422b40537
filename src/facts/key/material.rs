//! Reads the inputs and the Dockerfile, as far as they decide the key; for a context that is a git repository its commit
//! too. Files of the context and base images come later.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use super::contexts::{NamedContexts, named_contexts};
use super::dockerfile_text::{dockerfile_text, refuse_link_out};
use super::entries::add_settings;
use super::remote::Remote;
use super::{Parent, key_error};
use crate::error::Result;
use crate::facts::sources::{self, AddedSource, GitSource};
use crate::image::Platform;
use crate::inputs::extra_args::{self, Extra};
use crate::inputs::{BuildInputs, ContextSource, ImageRequest, KeyScope};
use crate::key::dockerfile::{self, Analysis, AnalysisRequest, BaseTriggers, Copied};
use crate::key::files::CopySource;
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
    /// The main context, if it is a git repository.
    pub(super) git_context: Option<GitSource>,
    /// For all platforms together.
    pub(super) all: Reading,
    /// For each platform alone, if there are several.
    pub(super) each: Vec<OnePlatform>,
    /// The images of this run that the target is built on.
    pub(super) parents: Vec<Parent>,
}

/// One of several platforms, read as a request for it alone is.
#[derive(Debug)]
pub(super) struct OnePlatform {
    pub(super) platform: Platform,
    /// The request for this platform alone.
    pub(super) request: ImageRequest,
    pub(super) reading: Reading,
}

/// What the inputs and the Dockerfile say for some platforms.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) analysis: Analysis,
    /// The named build contexts that the target uses.
    pub(super) contexts: NamedContexts,
    /// All build arguments that may count, those of extra arguments and of proxies included. Of two with one name
    /// the last counts.
    build_args: Vec<(String, String)>,
    extra_args: Extra,
}

/// The `ONBUILD` instructions of base images, as far as they are known.
#[derive(Debug, Default)]
pub(super) struct KnownTriggers {
    pub(super) all: Vec<BaseTriggers>,
    /// For each of several platforms, in their order.
    pub(super) each: Vec<Vec<BaseTriggers>>,
}

impl KnownTriggers {
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty() && self.each.iter().all(Vec::is_empty)
    }
}

/// What the platforms take from the main context together; `None` if there is one platform, or if it is not known of one.
fn known_sources(each: &[OnePlatform]) -> Option<BTreeSet<CopySource>> {
    let mut sources = BTreeSet::new();
    for one in each {
        match &one.reading.analysis.copied {
            Copied::Known(own) => sources.extend(own.iter().cloned()),
            Copied::Unknown(_) => return None,
        }
    }
    Some(sources).filter(|_| !each.is_empty())
}

/// The platforms of a request that has several, each once, sorted; else none.
fn several(request: &ImageRequest) -> BTreeSet<&Platform> {
    let platforms: BTreeSet<&Platform> = request.build.platforms.iter().collect();
    if platforms.len() > 1 { platforms } else { BTreeSet::new() }
}

impl Material {
    pub(super) async fn read(
        ports: &Ports,
        inputs: &ImageRequest,
        run: &RunContext,
        parents: &[Parent],
        triggers: &KnownTriggers,
    ) -> Result<Self> {
        let build = &inputs.build;
        let dockerfile = build.dockerfile();
        let mut extra_args = extra_args::for_key(inputs, run, &ports.env)?;
        let git_context = match &build.context {
            ContextSource::Folder(_) => None,
            ContextSource::Remote(url) => {
                let build_args = build_arguments(ports, build, &mut extra_args);
                Some(sources::look_up_main_context(ports, url, &build_args).await?)
            }
        };
        // With `exclude` BuildKit gets a copy of the Dockerfile in place of the link.
        let inline = build.dockerfile_inline.as_deref();
        if git_context.is_none() && build.exclude.is_empty() && inline.is_none() {
            refuse_link_out(&dockerfile)?;
        }
        let text: Arc<[u8]> = dockerfile_text(ports, inline, &dockerfile, git_context.as_ref()).await?.into();
        let of_parents: Vec<BaseTriggers> = parents.iter().filter_map(Parent::triggers).collect();
        let with_those = |triggers: &[BaseTriggers]| of_parents.iter().chain(triggers).cloned().collect();
        let mut all = Reading::of(ports, inputs, run, &text, with_those(&triggers.all)).await?;
        let mut each = Vec::new();
        for (at, platform) in several(inputs).into_iter().enumerate() {
            let mut request = inputs.clone();
            request.build.platforms = vec![platform.clone()];
            let triggers = with_those(triggers.each.get(at).map(Vec::as_slice).unwrap_or_default());
            let reading = Reading::of(ports, &request, run, &text, triggers).await?;
            each.push(OnePlatform { platform: platform.clone(), request, reading });
        }
        // A base's instructions that differ by platform can be read for each.
        if let Some(sources) = known_sources(&each) {
            all.analysis.copied = Copied::Known(sources.into_iter().collect());
        }
        Ok(Self { dockerfile, git_context, all, each, parents: parents.to_vec() })
    }

    /// Completes the key of `reading`, one of this material: `key` has the files, this adds all else. `remote` may have
    /// answers for other platforms too.
    pub(super) fn complete_key(
        &self,
        reading: &Reading,
        mut key: KeyBuilder,
        inputs: &ImageRequest,
        remote: &Remote,
    ) -> BuildKey {
        let Reading { analysis, contexts, extra_args, build_args } = reading;
        let build = &inputs.build;
        let labels: Vec<_> = build.labels.iter().chain(&extra_args.labels).cloned().collect();
        // No step can read an argument that nothing declares. If the key is narrow, the ONBUILD instructions of all
        // bases are known, so the declarations are complete. A provenance lists all arguments.
        let is_narrow = inputs.key.scope == KeyScope::Auto
            && self.git_context.is_none()
            && matches!(analysis.copied, Copied::Known(_));
        let narrow = is_narrow.then_some(analysis);
        let declared_only = narrow.is_some() && !build.provenance.is_on();
        let counts = |(name, _): &&(String, String)| {
            let of_run = RUN_ARGS.contains(&name.as_str()) && !analysis.declared_args.contains(name);
            !of_run && !inputs.key.ignore_args.contains(name) && (!declared_only || analysis.may_read(name))
        };
        let build_args: Vec<_> = build_args.iter().filter(counts).cloned().collect();
        key.dockerfile(analysis, narrow.is_some())
            .build_args(&build_args, Some(analysis))
            .labels(&labels)
            .plain(EntryKind::Target, "", &analysis.target);
        for (kind, base) in remote.images.iter().filter(|(kind, base)| reading.names(*kind, &base.name)) {
            key.plain(*kind, &base.name, &base.content());
        }
        let mut names = Vec::new();
        for source in &analysis.remote {
            let looked_up = self.all.analysis.remote.iter().position(|other| other == source);
            if let Some(AddedSource { pin, .. }) = looked_up.and_then(|at| remote.sources.get(at)) {
                key.plain(EntryKind::AddSource, &public_name(&pin.url, &mut names), &pin.content);
            }
        }
        for (name, digest) in &contexts.oci_layouts {
            key.plain(EntryKind::BuildContext, name, digest);
        }
        for parent in self.parents.iter().filter(|parent| analysis.contexts.contains(&parent.context)) {
            let of_parent = format!("image with the key {}", parent.key_for(&build.platforms));
            key.plain(EntryKind::BuildContext, &parent.context, &of_parent);
        }
        let is_used = |(name, _): &&(String, GitSource)| analysis.contexts.contains(name);
        for (name, repository) in remote.repositories.iter().filter(is_used) {
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
        for name in crate::key::digest::secret_looking(&self.all.build_args) {
            let message = format!(
                "the build argument {name} looks like a secret: its value stays in the image and the layer cache; use the input secrets"
            );
            ports.console.annotate(&Annotation::new(Level::Warning, "build-once", message));
        }
        for AddedSource { pin, .. } in remote.sources.iter().filter(|source| source.looked_up) {
            ports.console.line(&format!("note: ADD {} {}", pin.url, sources::note(pin)));
        }
    }

    /// Logs why the key covers the whole context, where `key: auto` could not narrow it.
    pub(super) fn log_scope(&self, ports: &Ports, inputs: &ImageRequest) {
        if inputs.key.scope == KeyScope::Auto
            && self.git_context.is_none()
            && let Copied::Unknown(reason) = &self.all.analysis.copied
        {
            ports.console.line(&format!("note: the key covers the whole context: {reason}"));
        }
    }
}

impl Reading {
    /// Reads the Dockerfile's text for the platforms of `inputs`.
    async fn of(
        ports: &Ports,
        inputs: &ImageRequest,
        run: &RunContext,
        text: &Arc<[u8]>,
        triggers: Vec<BaseTriggers>,
    ) -> Result<Self> {
        let build = &inputs.build;
        let mut extra_args = extra_args::for_key(inputs, run, &ports.env)?;
        let mut build_args = build_arguments(ports, build, &mut extra_args);
        // buildx makes this variable an argument, unless the user gives one of that name.
        let epoch = ports.env.get(env::SOURCE_DATE_EPOCH);
        if let Some(epoch) = epoch {
            build_args.insert(0, (env::SOURCE_DATE_EPOCH.to_owned(), epoch.to_owned()));
        }
        let mut analysis = analyse(Arc::clone(text), build, build_args.clone(), triggers).await?;
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
        Ok(Self { analysis, contexts, build_args, extra_args })
    }

    /// Tells whether the bases' `ONBUILD` instructions can be read as part of the Dockerfile: not where its whole text
    /// counts, because it cannot be taken apart.
    pub(super) fn can_read_triggers(&self, inputs: &ImageRequest) -> bool {
        inputs.key.scope == KeyScope::Auto && self.analysis.whole_text_reason.is_none()
    }

    /// Tells whether the Dockerfile names this image from outside, by the name that the key knows it by.
    pub(super) fn names(&self, kind: EntryKind, name: &str) -> bool {
        let Self { analysis, contexts, .. } = self;
        match kind {
            EntryKind::Frontend => analysis.frontend.as_ref().is_some_and(|own| own.reference == name),
            EntryKind::BaseImage => analysis.images.iter().any(|image| image.reference == name),
            _ => contexts.images.iter().any(|(own, _)| own == name),
        }
    }
}

/// Build arguments of docker/metadata-action's definition for bake, which name the run. They count only if the Dockerfile
/// declares them.
const RUN_ARGS: [&str; 2] = ["DOCKER_META_IMAGES", "DOCKER_META_VERSION"];

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
    text: Arc<[u8]>,
    build: &BuildInputs,
    build_args: Vec<(String, String)>,
    triggers: Vec<BaseTriggers>,
) -> Result<Analysis> {
    let contexts: Vec<String> = build.build_contexts.iter().map(|(name, _)| name.clone()).collect();
    let (target, platforms) = (build.target.clone(), build.platforms.clone());
    let file = build.dockerfile().display().to_string();
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
