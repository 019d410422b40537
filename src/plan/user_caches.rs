//! Caches that are named by the user or by the runner's owner: those of `cache-from` and `cache-to`, the runner's own
//! (`BUILD_ONCE_CACHE_FROM`, `BUILD_ONCE_CACHE_TO`), and those in `extra-args`. They are added to the computed ones and
//! held to the same rights.

use std::path::{Component, Path, PathBuf};

use super::cache_set::{Caches, GithubCache, github_cache};
use super::context::PlanContext;
use crate::buildkit::CacheEntry;
use crate::env::{self, Env};
use crate::error::{Error, Result};
use crate::guards::Guard;
use crate::image::{ImageReference, Owner, is_less_trusted, names_another_repository, owner};
use crate::inputs::extra_args::UserCaches;
use crate::inputs::{CacheKind, CacheSpec, CacheWrite, UserTag, inline_secret, items};
use crate::trust::{ImageRun, UserReferences, cache_home, parse_reference};
use crate::zone::Zone;

/// The error says why a cache is left out, as a clause.
type Judgement = std::result::Result<(), String>;

/// Adds the caches that this run may use, and a notice for each other one.
///
/// # Errors
/// If a text is no cache, holds a credential, or is the name of an image.
pub(super) fn add(
    caches: &mut Caches,
    given: &PlanContext<'_>,
    user_refs: &UserReferences<'_>,
    published: &[ImageReference],
    by_user: UserCaches,
) -> Result<()> {
    let rules = Rules { given, user_refs, published };
    for computed in &caches.to {
        rules.refuse_overwriting("cache", &parse("cache", computed)?)?;
    }
    let github = github_cache(given);
    let cache = &given.image.request.cache;
    let sources = all_items("cache-from", &cache.from, env::BUILD_ONCE_CACHE_FROM, given.env, by_user.from);
    for (input, text) in sources {
        rules.add_source(caches, &github, &input, &text)?;
    }
    let destinations = all_items("cache-to", &cache.to, env::BUILD_ONCE_CACHE_TO, given.env, by_user.to);
    for (input, text) in destinations {
        rules.add_destination(caches, &github, &input, &text)?;
    }
    Ok(())
}

/// Every cache with the input or variable that names it: those of the input, of the runner's `variable`, and of
/// `extra-args`.
fn all_items(
    input: &str,
    of_input: &[String],
    variable: &str,
    env: &Env,
    of_extra_args: Vec<(String, String)>,
) -> Vec<(String, String)> {
    let of_input = of_input.iter().map(|item| (input.to_owned(), item.clone()));
    let from_runner = env.get(variable).map(items).unwrap_or_default();
    let from_runner = from_runner.into_iter().map(|item| (variable.to_owned(), item));
    of_input.chain(from_runner).chain(of_extra_args).collect()
}

/// Notes once that a kind of cache is off; returns true if it is.
fn note_if_off(caches: &mut Caches, why: Option<&String>) -> bool {
    if let Some(why) = why.filter(|why| !caches.off.contains(why)) {
        caches.off.push(why.clone());
    }
    why.is_some()
}

fn parse(input: &str, text: &str) -> Result<CacheEntry> {
    if let Some(why) = inline_secret(text) {
        return Err(Error::input(format!("{input}: {why}")));
    }
    text.parse().map_err(|why| Error::input(format!("{input}: `{text}` {why}")))
}

/// The names of a cache's objects in its bucket: its manifests, and the beginning of its blobs' names (BuildKit
/// `cache/remotecache/s3`, `manifestKey` and `blobKey`; `azblob` likewise).
fn object_names(entry: &CacheEntry) -> Vec<String> {
    let attribute = |name: &str, default: &str| entry.get(name).unwrap_or(default).to_owned();
    let prefix = attribute("prefix", "");
    let names = attribute("name", "buildkit");
    let manifests = [prefix.as_str(), &attribute("manifests_prefix", "manifests/")].concat();
    let mut objects: Vec<String> = names.split(';').map(|name| [manifests.as_str(), name].concat()).collect();
    objects.push([prefix, attribute("blobs_prefix", "blobs/")].concat());
    objects
}

/// Refuses a cache without a place, which buildx and BuildKit refuse, or pass over in silence, only once the build
/// has begun. `folder` is the attribute that names the folder of a local cache.
fn require_place(input: &str, text: &str, entry: &CacheEntry, folder: &str) -> Result<()> {
    let attribute = match entry.kind.as_str() {
        "registry" => "ref",
        "local" => folder,
        _ => return Ok(()),
    };
    match entry.get(attribute) {
        Some(value) if !value.is_empty() => Ok(()),
        _ => Err(Error::input(format!("{input}: `{text}` needs {attribute}=…"))),
    }
}

struct Rules<'a> {
    given: &'a PlanContext<'a>,
    user_refs: &'a UserReferences<'a>,
    published: &'a [ImageReference],
}

impl Rules<'_> {
    fn add_source(&self, caches: &mut Caches, github: &GithubCache, input: &str, text: &str) -> Result<()> {
        let entry = parse(input, text)?;
        require_place(input, text, &entry, "src")?;
        // A run that may not read GitHub's cache builds as with an empty one, which needs no notice.
        if entry.kind == "gha" && (note_if_off(caches, github.off.as_ref()) || !github.reads) {
            return Ok(());
        }
        match self.may_read(&entry) {
            Ok(()) => caches.from.push(entry.to_string()),
            Err(why) => caches.notices.push(self.left_out(input, &why)),
        }
        Ok(())
    }

    fn add_destination(
        &self,
        caches: &mut Caches,
        github: &GithubCache,
        input: &str,
        text: &str,
    ) -> Result<()> {
        let entry = parse(input, text)?;
        require_place(input, text, &entry, "dest")?;
        self.refuse_overwriting(input, &entry)?;
        if entry.kind == "gha" {
            if note_if_off(caches, github.off.as_ref()) {
                return Ok(());
            }
            if let Some(why) = &github.unwritable {
                caches.notices.push(why.clone());
                return Ok(());
            }
        }
        match self.runner_cache_is_writable(input).and_then(|()| self.may_write(&entry)) {
            Ok(()) => caches.to.push(entry.to_string()),
            Err(why) => caches.notices.push(self.left_out(input, &why)),
        }
        Ok(())
    }

    fn left_out(&self, input: &str, why: &str) -> String {
        format!("{input}: {why}; it is left out, because this is {}", self.given.image.run.zone_reason)
    }

    /// Passes for a cache of the user's. All zones share a cache that the runner's owner names, so only trusted runs
    /// write it, unless `cache-write: always` is set.
    fn runner_cache_is_writable(&self, input: &str) -> Judgement {
        let ImageRun { request: inputs, run, .. } = self.given.image;
        let by_runner_owner = [env::BUILD_ONCE_CACHE_TO, env::BUILD_ONCE_EXTRA_ARGS].contains(&input);
        if by_runner_owner && run.zone != Zone::Trusted && inputs.cache.write != CacheWrite::Always {
            return Err(
                "the runner's own cache is written by trusted runs, or with cache-write: always".to_owned()
            );
        }
        Ok(())
    }

    /// Tells which zone owns a name. A name with a prefix of the tag scheme belongs to the zone of that prefix.
    fn owner(&self, name: &str) -> Owner {
        owner(name, &self.given.image.run.zone, self.given.image.run.mark.as_ref())
    }

    fn judge_read(&self, name: &str) -> Judgement {
        match self.owner(name) {
            // Elsewhere: trusted runs of another GitHub repository wrote the cache, and the user names it.
            Owner::Own | Owner::Trusted | Owner::TrustedElsewhere => Ok(()),
            Owner::Other => Err(format!("{name} is written by runs of another, less trusted zone")),
        }
    }

    fn judge_write(&self, name: &str) -> Judgement {
        let trusted = self.given.image.run.zone == Zone::Trusted;
        match self.owner(name) {
            Owner::Own => Ok(()),
            Owner::Trusted if trusted => Ok(()),
            Owner::Trusted => Err(format!("{name} is read by trusted runs, and this one is not trusted")),
            Owner::TrustedElsewhere => Err(format!("{name} belongs to another GitHub repository")),
            Owner::Other => Err(format!("{name} belongs to another zone")),
        }
    }

    fn may_read(&self, entry: &CacheEntry) -> Judgement {
        if !Guard::WrittenReferences.holds() {
            return Ok(());
        }
        self.judge_place(entry, &|name| self.judge_read(name), &|image| self.user_refs.may_read(image))
    }

    fn may_write(&self, entry: &CacheEntry) -> Judgement {
        let ImageRun { run, access, .. } = self.given.image;
        if !Guard::WrittenReferences.holds() {
            return Ok(());
        }
        // On a developer's machine no other run shares a folder.
        let private = run.event.is_none() && entry.kind == "local";
        // Raw caches are those that a user writes out. An inline one is a part of the image, whose rights decide.
        if entry.kind == "inline" || private || access.write_raw_caches {
            return self.judge_place(entry, &|name| self.judge_write(name), &|image| {
                self.user_refs.may_write(image)
            });
        }
        Err(format!("`{entry}`: this run writes no cache"))
    }

    /// Asks `judge_image` about a registry reference and `judge` about any other name. A place that build-once does
    /// not manage is allowed.
    fn judge_place(
        &self,
        entry: &CacheEntry,
        judge: &dyn Fn(&str) -> Judgement,
        judge_image: &dyn Fn(&ImageReference) -> Judgement,
    ) -> Judgement {
        match entry.kind.as_str() {
            "registry" => judge_image(&parse_reference(entry.get("ref").unwrap_or_default())?),
            "gha" => match entry.get("scope") {
                // GitHub keeps branches apart; only the names that build-once gives are reserved.
                Some(scope) if scope.starts_with("cache-") || is_less_trusted(scope) => judge(scope),
                _ => Ok(()),
            },
            "local" => self.judge_folder(entry),
            "s3" | "azblob" => self.judge_bucket(entry, judge),
            _ => Ok(()),
        }
    }

    /// Refuses a folder in `cache-dir`. Links are not resolved: this stops mistakes, and a job's own code can write
    /// into any folder anyway.
    fn judge_folder(&self, entry: &CacheEntry) -> Judgement {
        let path = entry.get("src").or_else(|| entry.get("dest")).unwrap_or_default();
        let managed = self.given.image.request.cache.dir.as_ref();
        let used = self.given.image.request.cache.has(CacheKind::Local);
        // buildx reads a relative path from the working folder.
        let absolute =
            |path: &Path| without_dots(&std::path::absolute(path).unwrap_or_else(|_| path.to_owned()));
        if used && managed.is_some_and(|dir| absolute(path.as_ref()).starts_with(absolute(dir))) {
            return Err("it lies in cache-dir, where only cache local reads and writes".to_owned());
        }
        Ok(())
    }

    /// The cache of the input `cache` that may lie in the entry's bucket. A bucket that is not named may be any one,
    /// because the builder's environment decides. Endpoints are not compared: one store has many host names.
    fn managed_in_bucket(&self, entry: &CacheEntry) -> Option<&CacheSpec> {
        let may_agree = |name: &str, cache: &CacheSpec| {
            entry.get(name).is_none() || cache.get(name).is_none() || entry.get(name) == cache.get(name)
        };
        self.given.image.request.cache.kinds.iter().find(|cache| {
            cache.kind.name() == entry.kind
                && ["bucket", "container"].iter().all(|name| may_agree(name, cache))
        })
    }

    fn judge_bucket(&self, entry: &CacheEntry, judge: &dyn Fn(&str) -> Judgement) -> Judgement {
        let Some(managed) = self.managed_in_bucket(entry) else { return Ok(()) };
        let run = self.given.image.run;
        // Zones have folders of their own, so of a name only the mark of another GitHub repository counts.
        let names = entry.get("name").unwrap_or_default().split(';');
        names.filter(|name| names_another_repository(name, run.mark.as_ref())).try_for_each(judge)?;
        let home = format!("{}{}/", managed.get("prefix").unwrap_or_default(), cache_home(run));
        // In the folders that build-once keeps, a name counts as the tag of that zone would.
        object_names(entry).iter().filter_map(|object| object.strip_prefix(&home)).try_for_each(|object| {
            let zone = object.split('/').next().unwrap_or_default();
            let tag = if zone == "trusted" { "cache-".to_owned() } else { format!("{zone}-cache-") };
            judge(&tag).map_err(|_| format!("`{entry}` lies in the folder of another zone, {home}{zone}"))
        })
    }

    /// Refuses a cache under an image's tag, where it would replace the image.
    fn refuse_overwriting(&self, input: &str, entry: &CacheEntry) -> Result<()> {
        let Some(reference) = entry.get("ref").and_then(|text| text.parse::<ImageReference>().ok()) else {
            return Ok(());
        };
        // Short names are among those that are published.
        let tags = self.given.image.request.tags.iter().filter_map(UserTag::reference);
        let is_image = self.published.iter().cloned().chain(tags).any(|image| image.is(&reference))
            || (self.user_refs.is_ours(&reference) && reference.tag().is_some_and(is_image_tag));
        if is_image {
            return Err(Error::input(format!("{input}: `{entry}` would overwrite an image"))
                .hint("give the cache a tag of its own"));
        }
        Ok(())
    }
}

/// True for a tag that images are found by, in any zone.
fn is_image_tag(tag: &str) -> bool {
    let hex = |text: &str, digits: usize| {
        text.rsplit('-').next().is_some_and(|last| {
            last.len() == digits && last.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        })
    };
    let kind = |kind: &str| tag.starts_with(&format!("{kind}-")) || tag.contains(&format!("-{kind}-"));
    (kind("key") && hex(tag, 32)) || (kind("sha") && (hex(tag, 40) || hex(tag, 64)))
}

/// The path without `.` and `..`; links are not resolved.
fn without_dots(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                clean.pop();
            }
            other => clean.push(other),
        }
    }
    clean
}
