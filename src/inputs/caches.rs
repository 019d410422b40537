//! The inputs of the layer cache. `cache` lists kinds, some with attributes that say where they lie:
//! `registry⏎s3,bucket=b,region=r` in, one [`CacheSpec`] a kind out. `cache-from` and `cache-to` are handed on as they
//! are, unless a credential stands in them.

use std::path::PathBuf;

use super::lists::{InputText as _, items};
use super::problems::Problems;
use super::raw::RawInputs;
use super::types::CacheWrite;
use crate::env::{self, Env};
use crate::texts::words;

words! {
    /// Kinds of layer cache (BuildKit README, "Cache").
    #[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
    #[serde(rename_all = "kebab-case")]
    pub enum CacheKind {
        /// A tag of its own in the repository.
        Registry = "registry",
        /// GitHub's cache service.
        Gha = "gha",
        /// A folder of this machine.
        Local = "local",
        /// In the image itself.
        Inline = "inline",
        /// A bucket of AWS S3, or of what speaks its protocol.
        S3 = "s3",
        /// A container of Azure Blob Storage.
        Azblob = "azblob",
    }
    /// As BuildKit names it.
    pub const fn name;
    const ALL;
}

impl CacheKind {
    fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The attributes that a user may set: where this cache lies. build-once itself sets those that decide who reads
    /// and writes it. BuildKit README, "S3 cache" and "Azure Blob Storage cache".
    fn attributes(self) -> &'static [&'static str] {
        match self {
            Self::S3 => &[
                "bucket",
                "region",
                "prefix",
                "endpoint_url",
                "use_path_style",
                "touch_refresh",
                "upload_parallelism",
            ],
            Self::Azblob => &["account_url", "account_name", "container", "prefix"],
            Self::Registry | Self::Gha | Self::Local | Self::Inline => &[],
        }
    }

    /// The attributes without which BuildKit does not find the cache.
    fn required_attributes(self) -> &'static [&'static str] {
        match self {
            Self::S3 => &["bucket", "region"],
            Self::Azblob => &["account_url"],
            Self::Registry | Self::Gha | Self::Local | Self::Inline => &[],
        }
    }
}

/// One cache of the list.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct CacheSpec {
    pub kind: CacheKind,
    /// Where it lies, as BuildKit's attributes.
    pub attributes: Vec<(String, String)>,
}

impl CacheSpec {
    /// An attribute's value.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

words! {
    /// Which layers a cache keeps.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
    #[serde(rename_all = "kebab-case")]
    pub enum CacheMode {
        /// All, those of intermediate stages too.
        Max = "max",
        /// Those of the result.
        Min = "min",
    }
    /// As BuildKit names it.
    pub const fn name;
}

/// Inputs of the layer cache.
#[derive(Clone, Debug)]
pub struct CacheInputs {
    /// The caches, in the order in which they are read.
    pub kinds: Vec<CacheSpec>,
    pub mode: CacheMode,
    pub write: CacheWrite,
    /// The folder of local caches; `None` if neither `cache-dir` nor the environment says where it could be.
    pub dir: Option<PathBuf>,
    /// This program's folder in the user's cache folder; `None` if the environment does not say where that is.
    pub user_folder: Option<PathBuf>,
    /// More sources, as `--cache-from` takes them.
    pub from: Vec<String>,
    /// More destinations, as `--cache-to` takes them.
    pub to: Vec<String>,
}

impl CacheInputs {
    /// Whether the input `cache` names this kind.
    #[must_use]
    pub fn has(&self, kind: CacheKind) -> bool {
        self.kinds.iter().any(|cache| cache.kind == kind)
    }

    pub(super) fn read(raw: &RawInputs, env: &Env, problems: &mut Problems) -> Self {
        let (from, to) = (raw.cache_from.items(), raw.cache_to.items());
        for (input, list) in [("cache-from", &from), ("cache-to", &to)] {
            for item in list {
                if let Some(why) = inline_secret(item) {
                    problems.add(input, why);
                }
            }
        }
        let kinds = kinds(raw.cache.trimmed().unwrap_or("registry"), problems);
        let user_folder = user_folder(env);
        let dir = raw.cache_dir.trimmed().map(PathBuf::from);
        let dir = dir.or_else(|| user_folder.as_ref().map(|folder| folder.join("layers")));
        if dir.as_ref().is_some_and(|dir| !dir.is_absolute()) {
            problems.add("cache-dir", "is not an absolute path");
        }
        if dir.is_none() && kinds.iter().any(|cache| cache.kind == CacheKind::Local) {
            problems.add("cache-dir", "cache local needs a folder that outlives the job");
        }
        Self {
            kinds,
            mode: problems.choice(
                "cache-mode",
                raw.cache_mode.trimmed().unwrap_or("max"),
                &[("max", CacheMode::Max), ("min", CacheMode::Min)],
            ),
            write: problems.choice(
                "cache-write",
                raw.cache_write.trimmed().unwrap_or("auto"),
                &[("auto", CacheWrite::Auto), ("always", CacheWrite::Always), ("never", CacheWrite::Never)],
            ),
            dir,
            user_folder,
            from,
            to,
        }
    }
}

/// This program's folder in the user's cache folder (XDG base directory specification, which says to ignore paths that
/// are not absolute).
fn user_folder(env: &Env) -> Option<PathBuf> {
    let cache = env.get(env::XDG_CACHE_HOME).map(PathBuf::from);
    let cache = cache.or_else(|| env.get(env::HOME).map(|home| PathBuf::from(home).join(".cache")));
    cache.filter(|folder| folder.is_absolute()).map(|folder| folder.join("build-once"))
}

/// `registry`, `registry,gha`, or a kind with its attributes: `s3,bucket=b,region=r`.
pub(super) fn kinds(text: &str, problems: &mut Problems) -> Vec<CacheSpec> {
    let mut caches: Vec<CacheSpec> = Vec::new();
    let mut has_none = false;
    for item in items(text) {
        if let Some(why) = inline_secret(&item) {
            problems.add("cache", why);
            continue;
        }
        for field in item.split(',').map(str::trim).filter(|field| !field.is_empty()) {
            let read = match field.split_once('=') {
                Some((name, value)) => add_attribute(&mut caches, name, value),
                None if field == "none" => {
                    has_none = true;
                    Ok(())
                }
                None => add_kind(&mut caches, field),
            };
            problems.ok("cache", read);
        }
    }
    if has_none && !caches.is_empty() {
        problems.add("cache", "none goes with no other kind");
    }
    for cache in &caches {
        for name in cache.kind.required_attributes() {
            if cache.get(name).is_none() {
                problems.add("cache", format!("{0} needs {name}: {0},{name}=…", cache.kind.name()));
            }
        }
    }
    caches
}

fn add_kind(caches: &mut Vec<CacheSpec>, name: &str) -> Result<(), String> {
    let kind = CacheKind::parse(name).ok_or_else(|| {
        let names = CacheKind::ALL.map(CacheKind::name).join(", ");
        format!("`{name}` is not one of {names}, none")
    })?;
    if caches.iter().any(|cache| cache.kind == kind) {
        return Err(format!("{name} is named twice"));
    }
    caches.push(CacheSpec { kind, attributes: Vec::new() });
    Ok(())
}

/// An attribute belongs to the kind that was named last.
fn add_attribute(caches: &mut Vec<CacheSpec>, name: &str, value: &str) -> Result<(), String> {
    match caches.last_mut() {
        Some(cache) if cache.kind.attributes().contains(&name) => {
            cache.attributes.push((name.to_owned(), value.to_owned()));
            Ok(())
        }
        Some(cache) => {
            Err(format!("{} takes no {name}: zone, mode and name are set for it", cache.kind.name()))
        }
        // As buildx writes it. The kind is taken all the same, so that its attributes are no further problems.
        None if name == "type" => {
            let kind = CacheKind::parse(value);
            caches.extend(kind.map(|kind| CacheSpec { kind, attributes: Vec::new() }));
            Err(format!("write `{value}` instead of `type={value}`"))
        }
        None => Err(format!("`{name}` stands before any kind of cache")),
    }
}

/// Attributes with secret values, and the variable that the value belongs into instead. Every process of the machine
/// can read arguments, and buildx has sent them to its traces (CVE-2025-0495).
const SECRET_ATTRIBUTES: [(&str, &str); 5] = [
    ("access_key_id", "AWS_ACCESS_KEY_ID"),
    ("secret_access_key", "AWS_SECRET_ACCESS_KEY; for azblob give the builder an identity of its own"),
    ("session_token", "AWS_SESSION_TOKEN"),
    ("token", "ACTIONS_RUNTIME_TOKEN"),
    ("ghtoken", "nothing: it is not used"),
];

/// Why a cache's text, such as `type=s3,bucket=b,token=…`, is refused; `None` if it holds no credential. The credential
/// is not in the reason.
#[must_use]
pub(crate) fn inline_secret(item: &str) -> Option<String> {
    item.split(',').find_map(|field| {
        let (name, value) = field.trim().trim_matches('"').split_once('=')?;
        let name = name.trim().to_ascii_lowercase();
        if crate::shown::clean_urls(value) != value {
            return Some(format!(
                "the URL of {name} would show its user or token in the process list; name it without"
            ));
        }
        let (_, instead) = SECRET_ATTRIBUTES.iter().find(|(secret, _)| *secret == name)?;
        Some(format!("{name} would show a credential in the process list; use the variable {instead}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(cache: &str) -> Result<Vec<CacheSpec>, String> {
        let mut problems = Problems::default();
        let list = kinds(cache, &mut problems);
        problems.finish().map(|()| list).map_err(|error| error.to_string())
    }

    #[test]
    fn one_a_line_or_by_commas() {
        let names = |text: &str| -> Vec<_> { read(text).unwrap().iter().map(|c| c.kind.name()).collect() };
        assert_eq!(names("registry\ngha"), ["registry", "gha"]);
        assert_eq!(names("local, inline"), ["local", "inline"]);
        assert_eq!(names("none"), [""; 0]);
        let list = read("s3,bucket=b,region=r,prefix=ci/\nregistry").unwrap();
        assert_eq!((list[0].get("bucket"), list[0].get("prefix")), (Some("b"), Some("ci/")));
        assert_eq!(list[1].kind, CacheKind::Registry);
    }

    #[test]
    fn what_is_refused() {
        for (text, expected) in [
            ("disk", "`disk` is not one of registry, gha, local, inline, s3, azblob, none"),
            ("none,gha", "none goes with no other"),
            // D60.
            ("type=gha", "input `cache`: write `gha` instead of `type=gha`"),
            ("type=s3,bucket=b,region=r", "write `s3` instead of `type=s3`"),
            ("gha\ngha", "named twice"),
            ("s3,bucket=b", "s3 needs region"),
            ("azblob", "azblob needs account_url"),
            ("registry,ref=x", "registry takes no ref"),
            ("s3,bucket=b,region=r,name=x", "s3 takes no name"),
            ("bucket=b", "before any kind"),
        ] {
            let text = read(text).unwrap_err();
            assert!(text.contains(expected), "{text}");
        }
    }

    #[test]
    fn a_credential_is_refused_and_not_shown() {
        for field in ["access_key_id", "secret_access_key", "SESSION_TOKEN", "token", "\"token"] {
            let text = read(&format!("s3,bucket=b,region=r,{field}=hunter2")).unwrap_err();
            assert!(text.contains("process list") && !text.contains("hunter2"), "{text}");
        }
        for text in [
            "s3,bucket=b,region=r,endpoint_url=http://bob:hunter2@h:9000",
            "azblob,account_url=https://h.example/?sv=1&sig=hunter2",
        ] {
            let text = read(text).unwrap_err();
            assert!(text.contains("process list") && !text.contains("hunter2"), "{text}");
        }
    }
}
