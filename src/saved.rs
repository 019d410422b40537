//! What a plan was made from, as a document: a run saves it, `build-once plan --facts` makes the plan from it again.
//!
//! It holds no secret: of a secret it has the id, of a build argument the name, of an event the members that decide.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::env::{self, Env};
use crate::error::{Error, Result};
use crate::facts::{ImageFacts, LateFacts, NoRepository, RepositoryFact, StoreFacts};
use crate::inputs::{
    self, CacheKind, Command, ContextSource, ImageInputs, ImageRequest, RawInputs, Request, RunFlags,
    extra_args, inline_secret, items, quoted_item,
};
use crate::run::{Commit, RunContext};

/// The version of the document.
pub(crate) const VERSION: u64 = 1;

/// Stands in place of a value that is not saved.
const HIDDEN: &str = "***";

/// Everything that a plan is made from.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Saved {
    /// [`VERSION`].
    pub version: u64,
    /// A person's remark, as in the files of `tests/plans`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub about: String,
    /// The variables that the run and the plan read. Of those that grant access, only that they are set.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// The members of the event that decide ([`crate::run::essence`]).
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub event: Value,
    /// The commit and branch, in a run without an event: on a developer's machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git: Option<Checkout>,
    #[serde(default)]
    pub store: StoreFacts,
    pub images: Vec<SavedImage>,
}

/// What git says of the checkout.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Checkout {
    #[serde(default)]
    pub commit: Option<Commit>,
    #[serde(default)]
    pub branch: Option<String>,
}

/// One image of the request.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SavedImage {
    /// The inputs by their names.
    pub inputs: BTreeMap<String, String>,
    /// Inputs whose values are not saved, because they may hold a secret: the plan is made without them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
    /// The image is there only because others are built on it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub only_linked: bool,
    /// Names in the engine alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub local_names: Vec<String>,
    /// `None` if they could not be read.
    #[serde(default)]
    pub facts: Option<ImageFacts>,
    /// What only a build reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<LateFacts>,
    /// Why facts are missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<Error>,
}

/// Variables that are saved as they are.
const VARIABLES: [&str; 17] = [
    env::GITHUB_ACTIONS,
    env::GITHUB_EVENT_NAME,
    env::GITHUB_JOB,
    env::GITHUB_REF,
    env::GITHUB_REF_NAME,
    env::GITHUB_REF_PROTECTED,
    env::GITHUB_REPOSITORY,
    env::GITHUB_REPOSITORY_ID,
    env::GITHUB_RUN_ATTEMPT,
    env::GITHUB_RUN_ID,
    env::GITHUB_SERVER_URL,
    env::GITHUB_SHA,
    env::ACTIONS_CACHE_MODE,
    env::ACTIONS_CACHE_SERVICE_V2,
    env::BUILDX_BUILDER,
    env::DOCKER_DEFAULT_PLATFORM,
    env::RUNNER_ENVIRONMENT,
];
/// Lists of caches, of which those without a credential are saved.
const LISTS: [&str; 2] = [env::BUILD_ONCE_CACHE_FROM, env::BUILD_ONCE_CACHE_TO];
/// Variables that grant access, or tell whether there is access; their values are not saved.
const GRANTS: [&str; 3] = [env::ACTIONS_CACHE_URL, env::ACTIONS_RESULTS_URL, env::ACTIONS_RUNTIME_TOKEN];

/// The variables of a run that are saved.
#[must_use]
pub(crate) fn variables(env: &Env) -> BTreeMap<String, String> {
    let saved =
        |name: &str, show: fn(&str) -> String| env.get(name).map(|value| (name.to_owned(), show(value)));
    let plain = VARIABLES.into_iter().filter_map(|name| saved(name, str::to_owned));
    let lists = LISTS.into_iter().filter_map(|name| saved(name, without_credentials));
    let grants = GRANTS.into_iter().filter_map(|name| saved(name, |_| HIDDEN.to_owned()));
    plain.chain(lists).chain(grants).collect()
}

/// The items of a list of caches, without those that have a credential in them.
fn without_credentials(list: &str) -> String {
    let items = items(list).into_iter();
    items.filter(|item| inline_secret(item).is_none()).collect::<Vec<_>>().join("\n")
}

/// The inputs of an image as they are saved, and the names of those that are left out.
#[must_use]
pub(crate) fn inputs(raw: &RawInputs, request: &ImageRequest) -> (BTreeMap<String, String>, Vec<String>) {
    let defaults: BTreeMap<_, _> = RawInputs::schema().map(|(_, name, default)| (name, default)).collect();
    let (mut saved, mut left_out) = (BTreeMap::new(), Vec::new());
    for (name, value) in raw.entries() {
        let Some(value) = value.filter(|value| defaults.get(&name).copied().flatten() != Some(*value)) else {
            continue;
        };
        let value = match name.as_str() {
            "extra-args" | "key-extra" | "ssh" => {
                left_out.push(name);
                continue;
            }
            // `checked_inputs` has these.
            "secrets" | "secret-envs" | "secret-files" | "build-args" | "build-args-file" | "tags"
            | "tags-file" | "labels-file" | "annotations-file" | "build-contexts" | "cache-dir"
            | "context" => {
                continue;
            }
            // The file is on no other machine.
            "lifecycle" if inputs::is_lifecycle_file(value) => {
                left_out.push(name);
                continue;
            }
            "github-token" => HIDDEN.to_owned(),
            "cache" | "cache-from" | "cache-to" => without_credentials(value),
            _ => value.to_owned(),
        };
        saved.insert(name, value);
    }
    let checked = checked_inputs(raw, request).into_iter().filter(|(_, items)| !items.is_empty());
    saved.extend(checked.map(|(name, items)| (name.to_owned(), items.join("\n"))));
    (saved, left_out)
}

/// The inputs that are saved as the program has read them: without values of secrets and build arguments, with the content
/// of files, and without folders of this machine, which no other has.
fn checked_inputs(raw: &RawInputs, request: &ImageRequest) -> Vec<(&'static str, Vec<String>)> {
    let build = &request.build;
    let is_remote = |value: &str| value.contains("://") && !value.starts_with("oci-layout:");
    let anywhere = |value: &str| {
        let is_kept = is_remote(value) || inputs::linked_image(value).is_some();
        if is_kept { value.to_owned() } else { ".".to_owned() }
    };
    let contexts = build.build_contexts.iter().map(|(name, value)| format!("{name}={}", anywhere(value)));
    let left_out_tags = request.left_out_tags.iter().map(|left_out| left_out.tag.to_string());
    let mut lists: Vec<(&str, Vec<String>)> = vec![
        ("secrets", build.secrets.iter().map(|secret| format!("{}={HIDDEN}", secret.id)).collect()),
        ("build-args", build.build_args.iter().map(|(name, _)| format!("{name}={HIDDEN}")).collect()),
        ("tags", request.tags.iter().map(ToString::to_string).chain(left_out_tags).collect()),
        ("build-contexts", contexts.collect()),
    ];
    for (name, file, pairs) in [
        ("labels", &raw.labels_file, &build.labels),
        ("annotations", &raw.annotations_file, &build.annotations),
    ] {
        if file.is_some() {
            let items = pairs.iter().map(|(name, value)| quoted_item(&format!("{name}={value}")));
            lists.push((name, items.collect()));
        }
    }
    if let ContextSource::Remote(url) = &build.context {
        lists.push(("context", vec![url.clone()]));
    }
    if let Some(dir) = request.cache.dir.as_ref().filter(|_| request.cache.has(CacheKind::Local)) {
        lists.push(("cache-dir", vec![dir.display().to_string()]));
    }
    lists
}

impl Saved {
    /// Reads the document, by itself or as the member `facts` of a plan.
    ///
    /// # Errors
    /// If it is no such document, or one of another version.
    pub(crate) fn read(text: &str) -> Result<Self> {
        let hint = "build-once plan --save-facts FILE writes one, and the output plan names one";
        let failed =
            |error: serde_json::Error| Error::input("failed to read the facts").because(&error).hint(hint);
        let mut document: Value = serde_json::from_str(text).map_err(failed)?;
        if let Some(inside) = document.get_mut("facts").filter(|facts| facts.is_object()) {
            document = inside.take();
        }
        match document.get("version").and_then(Value::as_u64) {
            Some(VERSION) => {}
            Some(other) => {
                let what = format!(
                    "the facts are a document of version {other}, and build-once {} reads version {VERSION}",
                    env!("CARGO_PKG_VERSION")
                );
                return Err(Error::input(what).hint("use the build-once that saved them"));
            }
            None => return Err(Error::input("the document has no facts of a version").hint(hint)),
        }
        serde_json::from_value(document).map_err(failed)
    }

    /// The variables, as the environment of the run.
    pub(crate) fn env(&self) -> Env {
        self.env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    /// The request and the run, read and classified again.
    ///
    /// # Errors
    /// As for a run.
    pub(crate) fn request(&self, env: &Env) -> Result<(Request, RunContext)> {
        let inputs = self.images.iter().map(SavedImage::inputs).collect::<Result<Vec<_>>>()?;
        let mut request = Request::read(&inputs, env)?;
        let event = Some(self.event.to_string()).filter(|_| !self.event.is_null());
        let mut run = RunContext::read(env, event.as_deref())?;
        if let Some(Checkout { commit, branch }) = &self.git {
            run.commit.clone_from(commit);
            run.branch.clone_from(branch);
        }
        for image in &mut request.images {
            extra_args::add_to_inputs(image, &run, env)?;
            // The date is in the saved tags.
            image.expand_tags(&run, 0)?;
        }
        Ok((request, run))
    }
}

impl SavedImage {
    /// The inputs, read by the parser of the command line.
    fn inputs(&self) -> Result<ImageInputs> {
        Ok(ImageInputs {
            raw: raw(&self.inputs)?,
            asked: !self.only_linked,
            local_names: self.local_names.clone(),
        })
    }

    /// Takes the facts out. If they name no repository, that of the input counts, so that a person can add it.
    ///
    /// # Errors
    /// The reason why the facts could not be read.
    pub(crate) fn found(&mut self, request: &ImageRequest) -> Result<ImageFacts> {
        let mut facts = match (self.facts.take(), &self.failed) {
            (None, Some(failed)) => return Err(failed.clone()),
            (facts, _) => facts.unwrap_or_default(),
        };
        if let (RepositoryFact::None(NoRepository::NotNamed), Some(repository)) =
            (&*facts.repository, &request.settings.repository)
        {
            let source = "input repository".to_owned();
            facts.repository = RepositoryFact::Found { repository: repository.clone(), source }.into();
        }
        Ok(facts)
    }
}

/// Reads the inputs by the parser of the command line, which knows every name.
fn raw(inputs: &BTreeMap<String, String>) -> Result<RawInputs> {
    let flags = inputs.iter().map(|(name, value)| format!("--{name}={value}"));
    let arguments: Vec<String> =
        ["build-once".to_owned(), "run".to_owned()].into_iter().chain(flags).collect();
    match inputs::parse(&arguments) {
        Ok(Command::Run(RunFlags { inputs, .. })) => Ok(inputs),
        Ok(_) => Err(Error::input("the facts name no inputs")),
        Err(error) => {
            let what = error.to_string();
            let what = what.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
            Err(Error::input("the facts name an input that there is none of").cause(what))
        }
    }
}
