//! A build's session name, so that BuildKit cannot take a file for an earlier one (`coherence::transfer`).

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::StepContext;
use crate::buildkit::BuildSpec;
use crate::coherence::transfer::{Lineage, Sent};
use crate::env;
use crate::error::{Error, Result};
use crate::failure::FailureKind;
use crate::image::hex;
use crate::inputs::{ContextSource, lowercase_fallback};
use crate::key::files::{self, Kind};
use crate::key::{BuildKey, MAIN_CONTEXT};
use crate::ports::lineages::{Lineages, buildx_folder};
use crate::ports::random;
use crate::ports::temporary::{PrivateFolder, temporary_folder};
use crate::secret::SecretString;

/// Largest Dockerfile or ignore file that is compared, in bytes; with a larger one all is sent.
const LARGEST: u64 = 4 << 20;

/// Most files of repositories in the contexts that are compared.
const MOST: usize = 200_000;

/// The session of one build. Empty for a builder that was made for this build alone.
#[derive(Default)]
pub(super) struct Session {
    /// A configuration folder for buildx, which gives the session its name.
    folder: Option<PrivateFolder>,
    record: Option<Record>,
}

/// What is written down when the build has ended.
struct Record {
    lineages: Lineages,
    id: String,
    lineage: Lineage,
    now: Sent,
}

impl Session {
    /// Chooses the session's name: that of earlier builds of this image, if every change since can be
    /// told by size or time, else a new one.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub(super) fn open(spec: &BuildSpec, context: &StepContext<'_>) -> Result<Self> {
        if spec.fresh_builder {
            return Ok(Self::default());
        }
        let new = || {
            random::hex_128().ok_or_else(|| {
                Error::of(FailureKind::Machine, "the operating system has no randomness to give")
            })
        };
        let ports = context.ports;
        let lineages = context.request.cache.user.as_deref().map(Lineages::below);
        let now = context.key.and_then(|key| sent(key, spec));
        let record = match lineages.zip(now) {
            Some((lineages, now)) => {
                let id = id(spec, context);
                let lineage = match lineages.take(&id).and_then(|earlier| earlier.with(&now)) {
                    Some(lineage) => lineage,
                    None => Lineage { name: new()?, sent: now.clone() },
                };
                Some(Record { lineages, id, lineage, now })
            }
            None => None,
        };
        let name = record.as_ref().map_or_else(new, |record| Ok(record.lineage.name.clone()))?;
        let user = ports.user_config.buildx_folder(&ports.env);
        let folder = buildx_folder(user.as_deref(), &name, &temporary_folder(&ports.env));
        let folder =
            folder.map_err(|error| Error::of_io("failed to write buildx's private configuration", &error))?;
        Ok(Self { folder: Some(folder), record })
    }

    /// The variable that leads buildx to it.
    pub(super) fn variable(&self) -> Option<(&'static str, SecretString)> {
        let folder = self.folder.as_ref()?;
        Some((env::BUILDX_CONFIG, folder.path().display().to_string().into()))
    }

    /// Writes down what was sent, also by a build that failed: if it was what the key saw. A file that
    /// was touched meanwhile ends the lineage, because it is not known which content was sent.
    pub(super) fn close(self, spec: &BuildSpec, context: &StepContext<'_>) {
        let (Some(record), Some(key)) = (self.record, context.key) else { return };
        if untouched(key, spec) && sent(key, spec).as_ref() == Some(&record.now) {
            // Where it cannot be written, the next build begins a lineage of its own.
            let _ = record.lineages.keep(&record.id, &record.lineage);
        }
    }
}

/// Whether every file in the key's trees is the one that was read for the key.
fn untouched(key: &BuildKey, spec: &BuildSpec) -> bool {
    key.trees.iter().all(|(name, tree)| {
        let Some(root) = root(name, spec) else { return false };
        let mut same = true;
        tree.visit(|path, entry| {
            let path = files::full(&root, path);
            same = same
                && match entry.kind {
                    Kind::Folder | Kind::Special => true,
                    Kind::File => fs_err::symlink_metadata(path).is_ok_and(|now| {
                        let touched = files::touched(now.ino(), now.ctime(), now.ctime_nsec());
                        now.is_file() && now.len() == entry.fact.size && touched == entry.fact.touched
                    }),
                    Kind::Symlink => fs_err::read_link(path).is_ok_and(|target| {
                        let digest = Sha256::digest(target.as_os_str().as_encoded_bytes());
                        entry.fact.digest == <[u8; 32]>::from(digest)
                    }),
                };
        });
        same
    })
}

/// The folder of a build context that is one.
fn root(context: &str, spec: &BuildSpec) -> Option<PathBuf> {
    if context == MAIN_CONTEXT {
        let ContextSource::Folder(folder) = &spec.build.context else { return None };
        return Some(folder.clone());
    }
    let named = spec.build.build_contexts.iter().rev().find(|(name, _)| name == context)?;
    Some(PathBuf::from(&named.1))
}

/// Names the lineage's file: whose build it is, and the folders that are sent.
fn id(spec: &BuildSpec, context: &StepContext<'_>) -> String {
    let mut digest = Sha256::new();
    let mut add = |text: &[u8]| {
        digest.update((text.len() as u64).to_le_bytes());
        digest.update(text);
    };
    add(context.access.place.as_bytes());
    add(context.access.local_zones.first().map_or(&[], |zone| zone.as_bytes()));
    add(context.request.image.as_str().as_bytes());
    let folder = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    if let ContextSource::Folder(context) = &spec.build.context {
        add(folder(context).as_os_str().as_encoded_bytes());
    }
    add(folder(&spec.build.dockerfile()).as_os_str().as_encoded_bytes());
    for (name, value) in &context.request.build.build_contexts {
        add(name.as_bytes());
        add(folder(Path::new(value)).as_os_str().as_encoded_bytes());
    }
    hex(&digest.finalize())
}

/// What a build sends: the files that the key has read, the Dockerfile, the ignore files, and repositories,
/// of which the key counts what git answers. `None` if that is not known, or too much to be compared.
fn sent(key: &BuildKey, spec: &BuildSpec) -> Option<Sent> {
    let mut sent = Sent::of(key)?;
    let ContextSource::Folder(context) = &spec.build.context else { return Some(sent) };
    let dockerfile = spec.build.dockerfile();
    let mut beside = dockerfile.clone().into_os_string();
    beside.push(".dockerignore");
    let fallback = lowercase_fallback(&dockerfile);
    let named = [dockerfile, PathBuf::from(beside), context.join(".dockerignore")];
    for path in named.into_iter().chain(fallback) {
        let Ok(metadata) = fs_err::metadata(&path) else { continue };
        if !metadata.is_file() || metadata.len() > LARGEST {
            return None;
        }
        let bytes = fs_err::read(&path).ok()?;
        sent.file(path.as_os_str().as_encoded_bytes(), metadata.len(), metadata.mtime(), &bytes);
    }
    if let Some(ignore) = &spec.ignore {
        // It stands in a file that is made for each build.
        sent.file(b"ignore", ignore.len() as u64, 0, ignore);
    }
    let mut budget = MOST;
    for (name, tree) in &key.trees {
        let root = root(name, spec)?;
        for (path, _) in tree.repositories() {
            repository(&files::full(&root, path), &mut sent, &mut budget)?;
        }
    }
    Some(sent)
}

/// A file here is the same as before if it is the same inode and has not been touched since: that is
/// cheaper than to read it, and enough, because a fresh clone has times of its own.
fn repository(path: &Path, sent: &mut Sent, budget: &mut usize) -> Option<()> {
    *budget = budget.checked_sub(1)?;
    let metadata = fs_err::symlink_metadata(path).ok()?;
    if metadata.is_dir() {
        for entry in fs_err::read_dir(path).ok()? {
            repository(&entry.ok()?.path(), sent, budget)?;
        }
        return Some(());
    }
    let identity = [
        metadata.ino().to_le_bytes(),
        metadata.dev().to_le_bytes(),
        metadata.ctime().to_le_bytes(),
        metadata.ctime_nsec().to_le_bytes(),
    ];
    sent.file(path.as_os_str().as_encoded_bytes(), metadata.len(), metadata.mtime(), identity.as_flattened());
    Some(())
}
