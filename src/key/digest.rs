//! Makes the key: SHA-256 over its entries. Each text is hashed after its length, so that two lists of entries never give
//! the same bytes. [`KeyBuilder`] gets the entries one by one; [`KeyBuilder::finish`] sorts and hashes them.

use std::collections::BTreeMap;
use std::fmt;

use crate::image::hex;
use crate::key::MAIN_CONTEXT;
use crate::key::dockerfile::{Analysis, Digest};
use crate::key::files::{KeyFiles, Selector, Tree, Warning};
use crate::key::names::escape;
use crate::secret_name::looks_secret;
use crate::texts::words;

/// The version of everything that a key is made from. A change gives every image a new key, and the CHANGELOG must tell it.
pub(crate) const FORMAT_VERSION: u32 = 2;

words! {
    /// The kinds of entries. Changes are reported in this order.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
    #[serde(rename_all = "kebab-case")]
    #[non_exhaustive]
    pub enum EntryKind {
        /// [`FORMAT_VERSION`].
        Format = "format",
        /// The [`Scope`].
        Scope = "scope",
        /// The stage that is built.
        Target = "target",
        /// A target platform.
        Platform = "platform",
        /// The image that interprets the Dockerfile.
        Frontend = "frontend",
        /// An image that a stage, a `COPY --from` or a mount takes from.
        BaseImage = "base-image",
        /// The Dockerfile's text, as far as the target reaches it.
        Dockerfile = "dockerfile",
        /// A build argument.
        BuildArg = "build-arg",
        /// A build context that is an image or a repository; folders are [`Self::Files`].
        BuildContext = "build-context",
        /// A remote source of an `ADD`.
        AddSource = "add-source",
        /// One value of a file, from `key-files`.
        FileValue = "file-value",
        Label = "label",
        /// The id of a secret or an SSH socket, never its value.
        SecretId = "secret-id",
        /// A setting of the build: `network`, `compression`, `provenance`, `sbom`, `add-hosts`, …
        Setting = "setting",
        /// One of the input `extra-args`.
        ExtraArg = "extra-arg",
        /// The input `key-extra`.
        KeyExtra = "key-extra",
        /// The calendar period, with the input `max-age`.
        Period = "period",
        /// What git answers in a repository that the build gets: commit, branch, tags.
        Git = "git",
        /// All files below one root.
        Files = "files",
    }
    /// The name in keys and explanations.
    pub const fn as_str;
    const ALL;
}

impl EntryKind {
    /// Every kind.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter()
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

impl fmt::Display for EntryKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An entry of the key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct KeyEntry {
    pub kind: EntryKind,
    /// Tells several entries of one kind apart, such as the argument's name. For files it is the name of the context.
    pub name: String,
    /// Text that may be shown, or a digest in hex if the text is private or long.
    pub value: String,
}

words! {
    /// Which files count: the input `key`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) enum Scope {
        /// The whole context.
        Context = "context",
        /// The part of the context that the Dockerfile takes.
        Copied = "copied",
        /// The files that `key-files` names.
        Files = "files",
    }
    /// The word in the key.
    pub(crate) const fn name;
}

/// A build key with its entries and files.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct BuildKey {
    /// 64 lower-case hexadecimal digits.
    pub hex: String,
    /// The entries, sorted.
    #[serde(default)]
    pub entries: Vec<KeyEntry>,
    /// The files behind the entries of kind [`EntryKind::Files`], by the entry's name.
    #[serde(skip)]
    pub trees: BTreeMap<String, Tree>,
    /// The explanation as an image carries it, of a platform's key that was computed from the key of all platforms: its files
    /// are not at hand.
    #[serde(skip)]
    pub explanation: Option<String>,
    /// True if the build may send files of its contexts that are in no tree.
    #[serde(skip)]
    pub partial: bool,
    /// The part of the context that the Dockerfile takes, so that a miss can name the changed files that no instruction
    /// takes; `None` unless the key covers the whole context: else only those that are taken count.
    #[serde(skip)]
    pub taken: Option<Selector>,
    /// Warnings for the user.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
}

impl BuildKey {
    /// The key as tags have it.
    #[must_use]
    pub fn short(&self) -> &str {
        short(&self.hex)
    }
}

/// The first 32 hexadecimal digits of a key, for tags.
#[must_use]
pub(crate) fn short(hex: &str) -> &str {
    hex.get(..32).unwrap_or(hex)
}

/// Gathers entries. The order of calls does not matter, except among extra arguments.
#[derive(Debug)]
pub(crate) struct KeyBuilder {
    key: BuildKey,
    /// The number of extra arguments so far, which numbers the next one.
    extra_args: usize,
}

/// The name of the Dockerfile's second entry, over the images that its stages use.
pub(super) const USES: &str = "uses";

/// Build arguments that `RUN` steps see without an `ARG`. BuildKit leaves them out of its cache
/// (`proxyEnvFromBuildArgs`), and the key too, unless the Dockerfile declares them.
const PROXIES: [&str; 5] = ["http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy"];

/// Labels that tell of the run, not of the content. If they counted, no two commits would share an image; so a reused
/// image keeps those of the run that built it.
pub(crate) const RUN_LABELS: [&str; 3] = [
    "org.opencontainers.image.created",
    "org.opencontainers.image.revision",
    "org.opencontainers.image.version",
];

impl KeyBuilder {
    /// A key of this scope and of the present format.
    #[must_use]
    pub(crate) fn new(scope: Scope) -> Self {
        let mut builder = Self { key: BuildKey::default(), extra_args: 0 };
        builder.plain(EntryKind::Format, "", &FORMAT_VERSION.to_string());
        builder.plain(EntryKind::Scope, "", scope.name());
        builder
    }

    /// Adds an entry whose value may be shown.
    pub(crate) fn plain(&mut self, kind: EntryKind, name: &str, value: &str) -> &mut Self {
        self.key.entries.push(KeyEntry { kind, name: name.to_owned(), value: value.to_owned() });
        self
    }

    /// Adds an entry with a digest of its value. Kind and name go into the digest, so that equal values of two arguments
    /// have two digests.
    pub(crate) fn hashed(&mut self, kind: EntryKind, name: &str, value: &str) -> &mut Self {
        let mut digest = Digest::new("build-once value");
        digest.texts(&[kind.as_str(), name, value]);
        self.plain(kind, name, &hex(&digest.finish()))
    }

    /// Adds the files of a context. `name` is [`MAIN_CONTEXT`] or a build context's name.
    pub(crate) fn files(&mut self, name: &str, tree: Tree, warnings: Vec<Warning>) -> &mut Self {
        self.plain(EntryKind::Files, name, &hex(&tree.digest()));
        for (path, answers) in tree.repositories() {
            let place = escape(path);
            let place = if name == MAIN_CONTEXT { place } else { format!("build context {name}: {place}") };
            // The repository's folder is not in the context, so git answers nothing in the build.
            let Some(answers) = answers else {
                self.plain(EntryKind::Git, &place, "elsewhere");
                continue;
            };
            let branch = if answers.branch.is_empty() { "detached" } else { &answers.branch };
            for (what, value) in [
                ("commit", answers.commit.as_str()),
                ("branch", branch),
                ("tags", &answers.tags),
                ("shallow", &answers.shallow),
                ("submodules", &answers.submodules),
            ] {
                self.plain(EntryKind::Git, &format!("{place} {what}"), value);
            }
        }
        self.key.trees.insert(name.to_owned(), tree);
        self.key.warnings.extend(warnings);
        self
    }

    /// Adds the files and values that `key-files` names.
    pub(crate) fn key_files(&mut self, files: KeyFiles) -> &mut Self {
        for value in &files.sub_keys {
            let name = format!("{}#{}", escape(&value.path), value.key);
            self.plain(EntryKind::FileValue, &name, &hex(&value.digest));
        }
        self.partial().files(MAIN_CONTEXT, files.tree, files.warnings)
    }

    /// Adds a warning.
    pub(crate) fn warn(&mut self, warning: Option<Warning>) -> &mut Self {
        self.key.warnings.extend(warning);
        self
    }

    /// Sets the part of the context that the Dockerfile takes.
    pub(crate) fn taken(&mut self, taken: Selector) -> &mut Self {
        self.key.taken = Some(taken);
        self
    }

    /// The same entries so far, without the files behind them.
    pub(crate) fn entries_alone(&self) -> Self {
        let key = BuildKey {
            entries: self.key.entries.clone(),
            warnings: self.key.warnings.clone(),
            ..BuildKey::default()
        };
        Self { key, extra_args: self.extra_args }
    }

    /// Notes that the build may send files that are in no tree.
    pub(crate) fn partial(&mut self) -> &mut Self {
        self.key.partial = true;
        self
    }

    /// Adds the Dockerfile's text, as far as the target reaches it. `narrow`: no base has `ONBUILD` instructions, which could
    /// copy from stages that the target does not name.
    pub(crate) fn dockerfile(&mut self, analysis: &Analysis, narrow: bool) -> &mut Self {
        let text = if narrow { &analysis.narrow_digest } else { &analysis.digest };
        self.plain(EntryKind::Dockerfile, "", &hex(text)).plain(
            EntryKind::Dockerfile,
            USES,
            &hex(&analysis.uses),
        )
    }

    /// Adds these build arguments, used or not, but proxies only if the Dockerfile declares them.
    pub(crate) fn build_args(
        &mut self,
        arguments: &[(String, String)],
        analysis: Option<&Analysis>,
    ) -> &mut Self {
        for (name, value) in last_values(arguments) {
            let proxy = PROXIES.iter().any(|proxy| name.eq_ignore_ascii_case(proxy));
            let declared = analysis.is_some_and(|analysis| analysis.declared_args.contains(name));
            if !proxy || declared {
                self.hashed(EntryKind::BuildArg, name, value);
            }
        }
        self
    }

    /// Adds the labels, but not those that name the run.
    pub(crate) fn labels(&mut self, labels: &[(String, String)]) -> &mut Self {
        for (name, value) in last_values(labels).into_iter().filter(|(name, _)| !RUN_LABELS.contains(name)) {
            self.hashed(EntryKind::Label, name, value);
        }
        self
    }

    /// Adds an argument of the input `extra-args`. Their order counts. The name has the flag without its value, which may be
    /// private.
    pub(crate) fn extra_arg(&mut self, argument: &str) -> &mut Self {
        self.extra_args += 1;
        let flag = argument.split('=').next().filter(|flag| flag.starts_with('-')).unwrap_or_default();
        let name = format!("{} {flag}", self.extra_args);
        self.hashed(EntryKind::ExtraArg, name.trim_end(), argument)
    }

    /// Sorts and hashes the entries.
    #[must_use]
    pub(crate) fn finish(self) -> BuildKey {
        let mut key = self.key;
        key.entries.sort();
        key.entries.dedup();
        let mut digest = Digest::new("build-once key");
        digest.count(key.entries.len());
        for entry in &key.entries {
            digest.texts(&[entry.kind.as_str(), &entry.name, &entry.value]);
        }
        key.hex = hex(&digest.finish());
        key.warnings.sort();
        key.warnings.dedup();
        key
    }
}

/// Of a name with several values, BuildKit takes the last.
fn last_values(pairs: &[(String, String)]) -> BTreeMap<&str, &str> {
    pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

/// Finds the build arguments whose names look like secrets.
#[must_use]
pub(crate) fn secret_looking(arguments: &[(String, String)]) -> Vec<&str> {
    let mut names: Vec<&str> =
        arguments.iter().map(|(name, _)| name.as_str()).filter(|name| looks_secret(name)).collect();
    names.sort_unstable();
    names.dedup();
    names
}
