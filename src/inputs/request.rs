//! What a run asks for, checked: [`RawInputs`] of each image in, [`Request`] out.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::bake::ImageInputs;
use super::build::{BuildInputs, Call, with_file};
use super::builder;
use super::caches::CacheInputs;
use super::contexts::ContextSource;
use super::key;
use super::links::{self, Link};
use super::lists::{InputText as _, comma_items};
use super::merge::{self, Part};
use super::outputs::{Outputs, outputs};
use super::problems::Problems;
use super::raw::RawInputs;
use super::secrets::{Secret, SecretValues};
use super::settings::Settings;
use super::types::{KeyInputs, KeyScope, Mode, Switch};
use super::user_tags::{self, LeftOutTag, UserTag};
use crate::env::Env;
use crate::error::{Error, Result};
use crate::image::{Digest, ImageName, Platform, Repository};
use crate::run::RunContext;
use crate::secret::SecretString;

/// What one run asks for.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub settings: Arc<Settings>,
    /// At least one.
    pub images: Vec<ImageRequest>,
}

/// What is asked for one image.
#[derive(Clone, Debug)]
pub struct ImageRequest {
    /// The same for all images of the run.
    pub settings: Arc<Settings>,
    /// What the image is called.
    pub image: ImageName,
    /// The target of the definition that describes it, with the input `bake`.
    pub(crate) bake_target: Option<String>,
    /// False if the image is there only because others are built on it: then it is not published.
    pub(crate) asked: bool,
    /// The images of the same run that this one is built on.
    pub(crate) links: Vec<Link>,
    /// More tags to publish.
    pub tags: Vec<UserTag>,
    /// More names in the engine that the image is loaded into, as a definition gives them.
    pub(crate) local_names: Vec<String>,
    /// Those of the input `tags` that name a fact which this run does not have.
    pub(crate) left_out_tags: Vec<LeftOutTag>,
    /// With `mode: pull`, pull exactly this image; no key is needed then.
    pub digest: Option<Digest>,
    /// With `mode: merge`, the images that become one index; if there are none, they are found by their keys.
    pub(crate) parts: Vec<Part>,
    /// Build although the image is there.
    pub rebuild: bool,
    /// True of the request for one platform that the program makes of a request for several.
    pub(crate) is_part: bool,
    /// Make the image available to the local engine.
    pub load: Switch,
    /// Publish the image if it is built.
    pub push: Switch,
    pub build: BuildInputs,
    /// The values of the secrets that `build` names.
    pub secrets: SecretValues,
    pub key: KeyInputs,
    /// The layer cache.
    pub cache: CacheInputs,
}

impl Request {
    /// Reads one [`RawInputs`] for each image. What images share is what the first one says.
    ///
    /// # Errors
    /// One error that names every bad input of an image; if there is no image, or two have one name.
    pub(crate) fn read(images: &[ImageInputs], env: &Env) -> Result<Self> {
        let several = images.len() > 1;
        let read =
            |ImageInputs { raw, asked, local_names }: &ImageInputs| match ImageRequest::read(raw, env) {
                Ok(image) if *asked => Ok(ImageRequest { local_names: local_names.clone(), ..image }),
                Ok(image) => Ok(ImageRequest {
                    asked: false,
                    tags: Vec::new(),
                    load: Switch::Off,
                    push: Switch::Off,
                    ..image
                }),
                Err(error) => {
                    // With a definition the target is named, also if it is the only one.
                    let name = raw.image.as_deref().filter(|_| {
                        several || raw.targets.trimmed().is_some_and(|target| target != "default")
                    });
                    Err(name.map_or(error.clone(), |name| error.within(format!("image {name}"))))
                }
            };
        let mut images = images.iter().map(read).collect::<Result<Vec<_>>>()?;
        let first = images.first().ok_or_else(|| Error::input("no image is asked for"))?;
        let mut warnings = Vec::new();
        for warning in images.iter().flat_map(|image| &image.settings.warnings) {
            if !warnings.contains(warning) {
                warnings.push(warning.clone());
            }
        }
        let settings = Arc::new(Settings { warnings, ..(*first.settings).clone() });
        if settings.mode == Mode::Plan {
            let mut problems = Problems::default();
            let built: Vec<&Platform> = images.iter().flat_map(|image| &image.build.platforms).collect();
            settings.runners.check(&built, &mut problems);
            problems.finish()?;
        }
        links::check_links(&images.iter().map(|image| (&image.image, &image.links[..])).collect::<Vec<_>>())?;
        let tags = images.iter().map(|image| (&image.image, &image.tags[..], &image.local_names[..]));
        links::check_tags(&tags.collect::<Vec<_>>())?;
        let mut names = BTreeSet::new();
        for image in &mut images {
            image.settings = Arc::clone(&settings);
            // Tags are made from the name: two images of one name would overwrite each other's.
            if !names.insert(image.image.to_string()) {
                return Err(Error::input(format!("two images are called {}", image.image))
                    .hint("give each its own name"));
            }
        }
        Ok(Self { settings, images })
    }
}

impl ImageRequest {
    /// Checks the inputs of one image. Besides `raw` this reads the environment, for build arguments without a value
    /// among others, and the files that inputs name. With `mode: merge`, and with `digest`, bad inputs of a build count
    /// only if they matter to the image that is made or pulled.
    ///
    /// # Errors
    /// One error that names every bad input that counts.
    pub fn read(raw: &RawInputs, env: &Env) -> Result<Self> {
        let problems = &mut Problems::default();
        let mode = problems.choice(
            "mode",
            raw.mode.trimmed().unwrap_or("build"),
            &[("build", Mode::Build), ("pull", Mode::Pull), ("merge", Mode::Merge), ("plan", Mode::Plan)],
        );
        let digest: Option<Digest> = problems.parse("digest", raw.digest.trimmed());
        let rebuild = problems.boolean("rebuild", raw.rebuild.trimmed().unwrap_or("false"));
        let parts = merge::parts(problems, mode, &raw.digests.items());
        // Who names images by digest needs no checkout: a file or a context that is not there is no problem then. Nor
        // is anything else that only a build would use.
        let builds = parts.is_empty() && !(mode == Mode::Pull && digest.is_some());
        let ignored = &mut Problems::default();
        let of_tags = if builds || mode == Mode::Merge { &mut *problems } else { &mut *ignored };
        let tags = with_file(of_tags, "tags", raw.tags.items(), raw.tags_file.trimmed());
        let of_build = if builds { &mut *problems } else { ignored };
        let outputs = outputs(of_build, raw.outputs.as_deref());
        let mut secrets = SecretValues::default();
        let mut build = BuildInputs::read(raw, &outputs, env, &mut secrets, of_build);
        if !builds {
            // Which images must be in the index that is made, or which one is taken out of the pulled one.
            problems.parse_all::<Platform>("platforms", raw.platforms.comma_items());
        }
        if mode == Mode::Merge {
            merge::check(problems, raw, (&outputs, !parts.is_empty()), &mut build);
        }
        let Names { image, tags, repository } = Names::read(raw, &tags, &outputs, problems);
        let load = switch(problems, "load", raw.load.trimmed(), outputs.given.then_some(outputs.load));
        let push = switch(problems, "push", raw.push.trimmed(), outputs.given.then_some(outputs.push));
        let cache = CacheInputs::read(raw, env, problems);
        let mut settings = Settings::read(raw, env, (mode, builds), repository, problems);
        builder::check_platforms(&settings.builder, &build.platforms, problems);
        if settings.call == Call::Check && build.dockerfile_inline.is_some() {
            problems.add("call", "check reads a Dockerfile that is a file, and not dockerfile-inline");
        }
        let key = key::read(raw, problems);
        let links = links::links(&build, problems);
        let by_digest = digest.is_some() || !parts.is_empty();
        check_combinations(problems, (mode, digest.is_some()), &key, &build);
        if rebuild && (mode == Mode::Pull || by_digest) {
            problems.add("rebuild", "only goes with mode build, and with a merge of platforms by their keys");
        }
        settings.warnings = problems.take_warnings();
        std::mem::take(problems).finish()?;
        Ok(Self {
            settings: Arc::new(settings),
            // A name that is missing or does not parse is among the problems.
            image: image.ok_or_else(|| Error::input("input `image`"))?,
            asked: true,
            // A definition has been read by now, and names its target here.
            bake_target: raw.targets.trimmed().filter(|name| *name != "default").map(str::to_owned),
            links,
            tags,
            local_names: Vec::new(),
            left_out_tags: Vec::new(),
            digest,
            parts,
            rebuild,
            is_part: false,
            load,
            push,
            build,
            secrets,
            key,
            cache,
        })
    }

    /// The request for one of its platforms, which the program builds by itself.
    #[must_use]
    pub(crate) fn part(&self, platform: &Platform) -> Self {
        let mut part = self.clone();
        part.build.platforms = vec![platform.clone()];
        (part.is_part, part.load) = (true, Switch::Off);
        part.tags.clear();
        part.local_names.clear();
        part
    }

    /// Puts the run's facts into `tags`. `now`: seconds since 1970, UTC.
    ///
    /// # Errors
    /// If what comes of an item is no tag.
    pub(crate) fn expand_tags(&mut self, run: &RunContext, now: u64) -> Result<()> {
        let tags = std::mem::take(&mut self.tags);
        (self.tags, self.left_out_tags) = user_tags::expand(tags, run, now)?;
        Ok(())
    }

    /// Every secret that the builder gets, with its value if it is not in a file.
    pub(crate) fn all_secrets(&self) -> impl Iterator<Item = (&Secret, Option<&SecretString>)> {
        self.build.all_secrets().map(|secret| (secret, self.secrets.of(secret)))
    }
}

/// What the image is called, and where it goes.
struct Names {
    /// `None` after a problem was noted.
    image: Option<ImageName>,
    tags: Vec<UserTag>,
    repository: Option<Repository>,
}

impl Names {
    fn read(raw: &RawInputs, tag_lines: &[String], outputs: &Outputs, problems: &mut Problems) -> Self {
        // With `push-by-digest` the name of an output is a repository, else a tag.
        let (repositories, tagged) =
            if outputs.by_digest { (&outputs.names[..], &[][..]) } else { (&[][..], &outputs.names[..]) };
        // One word is a tag where an input says of what image; else it is the image's name.
        let is_named = raw.image.trimmed().is_some() || raw.repository.trimmed().is_some();
        let of_input = tag_lines.iter().flat_map(|line| comma_items(line));
        let of_input = of_input.map(|text| if is_named { text.parse() } else { UserTag::full(&text) });
        let read: Vec<Result<UserTag, String>> =
            of_input.chain(tagged.iter().map(|name| UserTag::full(name))).collect();
        let tags: Vec<UserTag> =
            read.into_iter().filter_map(|tag| tag.map_err(|why| problems.add("tags", why)).ok()).collect();
        let repository: Option<Repository> = problems.parse("repository", raw.repository.trimmed());
        let repository =
            repository.or_else(|| problems.parse("outputs", repositories.first().map(String::as_str)));
        // Without the input `image` the last part of a name's path serves: `app` of h.io/team/app:1. A repository's
        // serves only with `outputs`, which describes one image; else a repository holds images of several names.
        let named =
            tags.iter().find_map(UserTag::repository).or(repository.as_ref().filter(|_| outputs.given));
        let from_path = named.and_then(|named| named.path().rsplit('/').next());
        let image = raw.image.trimmed().or(from_path);
        if image.is_none() {
            problems.add("image", "is required: a name such as app-ci");
        }
        Self { image: problems.parse("image", image), tags, repository }
    }
}

/// The input `load` or `push`. `outputs` says what the lines of the input `outputs` ask for, if there are any: what
/// they do not ask for is done only if the input itself asks for it. `false` takes nothing from them, as with
/// docker/build-push-action, where `true` adds an output and `false` is the default.
fn switch(problems: &mut Problems, input: &str, text: Option<&str>, outputs: Option<bool>) -> Switch {
    let choices = [("auto", Switch::Auto), ("true", Switch::On), ("false", Switch::Off)];
    let asked = problems.choice(input, &text.unwrap_or("auto").to_ascii_lowercase(), &choices);
    match outputs {
        Some(true) => Switch::On,
        Some(false) if asked == Switch::Auto => Switch::Off,
        _ => asked,
    }
}

/// Notes inputs that do not go together, given the mode and whether the input `digest` is set.
fn check_combinations(
    problems: &mut Problems,
    (mode, has_digest): (Mode, bool),
    key: &KeyInputs,
    build: &BuildInputs,
) {
    let of_files = key.scope == KeyScope::Files;
    let is_remote = matches!(build.context, ContextSource::Remote(_));
    for (input, is_wrong, why) in [
        ("digest", has_digest && mode != Mode::Pull, "only goes with mode pull"),
        ("key-files", of_files && key.files.is_empty(), "key files needs at least one pattern"),
        ("key-files", !of_files && !key.files.is_empty(), "only goes with key files"),
        (
            "exclude",
            is_remote && !build.exclude.is_empty(),
            "does not go with a context that is a git repository: put the patterns into its .dockerignore, or check it out and name the folder",
        ),
        // A shorter period would often end between two jobs of one run.
        ("max-age", key.max_age.is_some_and(|age| age < Duration::from_mins(1)), "must be at least 1m"),
    ] {
        if is_wrong {
            problems.add(input, why);
        }
    }
}

#[cfg(test)]
mod tests;
