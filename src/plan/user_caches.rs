//! Caches named by hand: `cache-from`, `cache-to`, the runner's own, and those among the extra
//! arguments. They are added to the computed ones and held to the same rights.

use super::cache_set::{Caches, github_cache};
use super::given::PlanContext;
use crate::buildkit::CacheEntry;
use crate::env::{self, Env};
use crate::error::{Error, Result};
use crate::guards::Guard;
use crate::image::{ImageReference, Owner, is_less_trusted, names_another_repository, owner};
use crate::inputs::extra_args::UserCaches;
use crate::inputs::{CacheKind, CacheWrite, inline_secret, items};
use crate::trust::{ImageRun, UserReferences, cache_home, understood};
use crate::zone::Zone;

/// Adds what may be used; says why the rest is not.
///
/// # Errors
/// If a text is no cache, holds a credential, or is the name of an image.
pub(super) fn add(
    caches: &mut Caches,
    given: &PlanContext<'_>,
    written: &UserReferences<'_>,
    published: &[ImageReference],
    by_user: UserCaches,
) -> Result<()> {
    let rules = Rules { given, written, published };
    let github = github_cache(given);
    let left_out = |input: &str, why: String| {
        format!("{input}: {why}; it is left out, because this is {}", given.image.run.zone_reason)
    };
    let list = |input: &str, inputs: &[String], owner: &str, env: &Env, more: Vec<(String, String)>| {
        let own = inputs.iter().map(|item| (input.to_owned(), item.clone()));
        let owners = env.get(owner).map(items).unwrap_or_default();
        let owners = owners.into_iter().map(|item| (owner.to_owned(), item));
        own.chain(owners).chain(more).collect::<Vec<_>>()
    };
    let cache = &given.image.request.cache;
    for (input, text) in list("cache-from", &cache.from, env::BUILD_ONCE_CACHE_FROM, given.env, by_user.from)
    {
        let entry = parse(&input, &text)?;
        has_place(&input, &text, &entry, "src")?;
        if entry.kind == "gha" && (is_off(caches, github.off.as_ref()) || !github.reads) {
            continue;
        }
        match rules.read(&entry) {
            Ok(()) => caches.from.push(entry.to_string()),
            Err(why) => caches.notices.push(left_out(&input, why)),
        }
    }
    for (input, text) in list("cache-to", &cache.to, env::BUILD_ONCE_CACHE_TO, given.env, by_user.to) {
        let entry = parse(&input, &text)?;
        has_place(&input, &text, &entry, "dest")?;
        rules.over_image(&input, &entry)?;
        if entry.kind == "gha" {
            if is_off(caches, github.off.as_ref()) {
                continue;
            }
            if let Some(why) = &github.unwritable {
                caches.notices.push(why.clone());
                continue;
            }
        }
        match rules.asked(&input).and_then(|()| rules.write(&entry)) {
            Ok(()) => caches.to.push(entry.to_string()),
            Err(why) => caches.notices.push(left_out(&input, why)),
        }
    }
    for text in &caches.to {
        rules.over_image("cache", &parse("cache", text)?)?;
    }
    Ok(())
}

/// Whether a kind is off, which is told once.
fn is_off(caches: &mut Caches, why: Option<&String>) -> bool {
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

/// Where a cache in a bucket lies: its manifests, and the beginning of its blobs' names (BuildKit
/// `cache/remotecache/s3`, `manifestKey` and `blobKey`; `azblob` likewise).
fn places(entry: &CacheEntry) -> Vec<String> {
    let part = |name: &str, default: &str| entry.get(name).unwrap_or(default).to_owned();
    let prefix = part("prefix", "");
    let names = part("name", "buildkit");
    let manifests = [prefix.as_str(), &part("manifests_prefix", "manifests/")].concat();
    let mut places: Vec<String> = names.split(';').map(|name| [manifests.as_str(), name].concat()).collect();
    places.push([prefix, part("blobs_prefix", "blobs/")].concat());
    places
}

/// What buildx and BuildKit refuse, or pass over in silence, once the build has begun.
fn has_place(input: &str, text: &str, entry: &CacheEntry, folder: &str) -> Result<()> {
    let name = match entry.kind.as_str() {
        "registry" => "ref",
        "local" => folder,
        _ => return Ok(()),
    };
    match entry.get(name) {
        Some(value) if !value.is_empty() => Ok(()),
        _ => Err(Error::input(format!("{input}: `{text}` needs {name}=…"))),
    }
}

struct Rules<'a> {
    given: &'a PlanContext<'a>,
    written: &'a UserReferences<'a>,
    published: &'a [ImageReference],
}

impl Rules<'_> {
    /// All zones share a cache that the runner's owner names, so only trusted runs write it, unless
    /// `cache-write: always` is set.
    fn asked(&self, input: &str) -> std::result::Result<(), String> {
        let ImageRun { request: inputs, run, .. } = self.given.image;
        let owners = [env::BUILD_ONCE_CACHE_TO, env::BUILD_ONCE_EXTRA_ARGS].contains(&input);
        if owners && run.zone != Zone::Trusted && inputs.cache.write != CacheWrite::Always {
            return Err(
                "the runner's own cache is written by trusted runs, or with cache-write: always".to_owned()
            );
        }
        Ok(())
    }

    /// Whose a name is. Prefixes of the tag scheme are reserved, whoever made the tag.
    fn owner(&self, name: &str) -> Owner {
        owner(name, &self.given.image.run.zone, self.given.image.run.mark.as_ref())
    }

    fn judge_read(&self, name: &str) -> std::result::Result<(), String> {
        match self.owner(name) {
            Owner::Own | Owner::Trusted | Owner::TrustedElsewhere => Ok(()),
            Owner::Other => Err(format!("{name} is written by runs of another, less trusted zone")),
        }
    }

    fn judge_write(&self, name: &str) -> std::result::Result<(), String> {
        let trusted = self.given.image.run.zone == Zone::Trusted;
        match self.owner(name) {
            Owner::Own => Ok(()),
            Owner::Trusted if trusted => Ok(()),
            Owner::Trusted => Err(format!("{name} is read by trusted runs, and this one is not trusted")),
            Owner::TrustedElsewhere => Err(format!("{name} belongs to another GitHub repository")),
            Owner::Other => Err(format!("{name} belongs to another zone")),
        }
    }

    fn read(&self, entry: &CacheEntry) -> std::result::Result<(), String> {
        if !Guard::WrittenReferences.holds() {
            return Ok(());
        }
        self.place(entry, &|name| self.judge_read(name), &|reference| self.written.read(reference))
    }

    fn write(&self, entry: &CacheEntry) -> std::result::Result<(), String> {
        let ImageRun { run, access, .. } = self.given.image;
        if !Guard::WrittenReferences.holds() {
            return Ok(());
        }
        // On a developer's machine no other run shares a folder.
        let private = run.event.is_none() && entry.kind == "local";
        if entry.kind == "inline" || private || access.write_raw_caches {
            return self.place(entry, &|name| self.judge_write(name), &|at| self.written.write(at));
        }
        Err(format!("`{entry}`: this run writes no cache"))
    }

    /// Hands what decides over: images' names to `judge_image`, others to `judge`; a place that
    /// is not ours decides nothing.
    fn place(
        &self,
        entry: &CacheEntry,
        judge: &dyn Fn(&str) -> std::result::Result<(), String>,
        judge_image: &dyn Fn(&ImageReference) -> std::result::Result<(), String>,
    ) -> std::result::Result<(), String> {
        match entry.kind.as_str() {
            "registry" => judge_image(&understood(entry.get("ref").unwrap_or_default())?),
            "gha" => match entry.get("scope") {
                // GitHub keeps branches apart; only the names that build-once gives are reserved.
                Some(scope) if scope.starts_with("cache-") || is_less_trusted(scope) => judge(scope),
                _ => Ok(()),
            },
            "local" => {
                let path = entry.get("src").or_else(|| entry.get("dest")).unwrap_or_default();
                let managed = self.given.image.request.cache.dir.as_ref();
                let used = self.given.image.request.cache.has(CacheKind::Local);
                // D104: buildx reads a relative path from the working folder.
                let whole = |path: &std::path::Path| {
                    lexically(std::path::absolute(path).unwrap_or_else(|_| path.to_owned()))
                };
                if used && managed.is_some_and(|dir| whole(path.as_ref()).starts_with(whole(dir))) {
                    return Err("it lies in cache-dir, where only cache local reads and writes".to_owned());
                }
                Ok(())
            }
            "s3" | "azblob" => self.bucket(entry, judge),
            _ => Ok(()),
        }
    }

    fn bucket(
        &self,
        entry: &CacheEntry,
        judge: &dyn Fn(&str) -> std::result::Result<(), String>,
    ) -> std::result::Result<(), String> {
        // One that is not named may be any: the builder's environment decides. Hosts of one store have many names.
        let same = |name: &str, cache: &crate::inputs::CacheSpec| {
            entry.get(name).is_none() || cache.get(name).is_none() || entry.get(name) == cache.get(name)
        };
        let managed = self.given.image.request.cache.kinds.iter().find(|cache| {
            cache.kind.name() == entry.kind && ["bucket", "container"].iter().all(|name| same(name, cache))
        });
        let Some(managed) = managed else { return Ok(()) };
        let mark = self.given.image.run.mark.as_ref();
        let names = entry.get("name").unwrap_or_default().split(';');
        names.filter(|name| names_another_repository(name, mark)).try_for_each(judge)?;
        let home =
            format!("{}{}/", managed.get("prefix").unwrap_or_default(), cache_home(self.given.image.run));
        // In the folders that build-once keeps, a name counts as the tag of that zone would.
        places(entry).iter().filter_map(|place| place.strip_prefix(&home)).try_for_each(|place| {
            let zone = place.split('/').next().unwrap_or_default();
            let tag = if zone == "trusted" { "cache-".to_owned() } else { format!("{zone}-cache-") };
            judge(&tag).map_err(|_| format!("`{entry}` lies in the folder of another zone, {home}{zone}"))
        })
    }

    /// A cache written under an image's tag would replace the image.
    fn over_image(&self, input: &str, entry: &CacheEntry) -> Result<()> {
        let refused = || {
            Err(Error::input(format!("{input}: `{entry}` would overwrite an image"))
                .hint("give the cache a tag of its own"))
        };
        let Some(reference) = entry.get("ref").and_then(|text| text.parse::<ImageReference>().ok()) else {
            return Ok(());
        };
        let inputs = self.given.image.request;
        if self.published.iter().chain(&inputs.tags).any(|image| image.is(&reference)) {
            return refused();
        }
        if self.written.is_ours(&reference) && reference.tag().is_some_and(is_image_tag) {
            refused()
        } else {
            Ok(())
        }
    }
}

/// Whether a tag is one that images are found by, in any zone.
fn is_image_tag(tag: &str) -> bool {
    let hex = |text: &str, digits: usize| {
        text.rsplit('-').next().is_some_and(|last| {
            last.len() == digits && last.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        })
    };
    let kind = |kind: &str| tag.starts_with(&format!("{kind}-")) || tag.contains(&format!("-{kind}-"));
    (kind("key") && hex(tag, 32)) || (kind("sha") && (hex(tag, 40) || hex(tag, 64)))
}

/// A path without `.` and `..`, as written.
fn lexically(path: impl AsRef<std::path::Path>) -> std::path::PathBuf {
    use std::path::Component;
    let mut clean = std::path::PathBuf::new();
    for part in path.as_ref().components() {
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
