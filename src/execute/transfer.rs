//! A build's session name, so that BuildKit cannot take a file for an earlier one (`coherence::transfer`).

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::Workshop;
use crate::coherence::transfer::{Lineage, Past, Sent};
use crate::env;
use crate::error::{Error, FailureClass, Result};
use crate::inputs::{ContextSource, SecretString};
use crate::key::names::hex;
use crate::key::{BuildKey, files};
use crate::ports::buildx::BuildSpec;
use crate::ports::docker_config::temporary_folder;
use crate::ports::lineages::{Lineages, buildx_folder};
use crate::ports::random;

/// Largest Dockerfile or ignore file that is compared, in bytes; with a larger one all is sent.
const LARGEST: u64 = 4 << 20;

/// Most files of repositories in the contexts that are compared.
const MOST: usize = 200_000;

/// The session of one build.
pub(super) struct Session {
    folder: Option<tempfile::TempDir>,
    /// Where the lineage is kept, its name there, and what is sent now.
    record: Option<(Lineages, String, Lineage)>,
}

impl Session {
    /// Chooses the session's name: that of the earlier build whose files the builder holds, if every
    /// change since can be told by size or time, else a new one.
    pub(super) fn open(spec: &BuildSpec, workshop: &Workshop<'_>) -> Result<Self> {
        let failed = |error: std::io::Error| {
            Error::new(FailureClass::Resource, "failed to write buildx's private configuration")
                .because(&error)
        };
        let id = match &spec.past {
            Past::None => return Ok(Self { folder: None, record: None }),
            Past::Of(builder) => Some(id(builder, spec, workshop)),
            Past::Unknown => None,
        };
        let sent = workshop.key.and_then(|key| with_files(Sent::of(key)?, key, spec));
        let lineages = workshop.inputs.cache.user.as_deref().map(Lineages::below);
        let record = id.zip(lineages).zip(sent).map(|((id, lineages), sent)| {
            let name = lineages
                .take(&id)
                .filter(|earlier| !sent.is_mistaken_for(&earlier.sent))
                .map(|earlier| earlier.name);
            (lineages, id, name, sent)
        });
        let new = || {
            random::hex_128().ok_or_else(|| {
                Error::new(FailureClass::Unsupported, "the operating system has no randomness to give")
            })
        };
        let (name, record) = match record {
            Some((lineages, id, name, sent)) => {
                let name = name.map_or_else(new, Ok)?;
                (name.clone(), Some((lineages, id, Lineage { name, sent })))
            }
            None => (new()?, None),
        };
        let ports = workshop.ports;
        let user = ports.user_config.buildx_folder(&ports.env);
        let folder = buildx_folder(user.as_deref(), &name, &temporary_folder(&ports.env)).map_err(failed)?;
        Ok(Self { folder: Some(folder), record })
    }

    /// The variable that leads buildx to it.
    pub(super) fn variable(&self) -> Option<(&'static str, SecretString)> {
        let folder = self.folder.as_ref()?;
        Some((env::BUILDX_CONFIG, folder.path().display().to_string().into()))
    }

    /// Notes what the builder holds after a build that succeeded.
    pub(super) fn keep(self) {
        if let Some((lineages, id, lineage)) = self.record {
            // Without it the next build sends all files once more.
            let _ = lineages.keep(&id, &lineage);
        }
    }
}

/// Names the lineage: the builder, whose build it is, and the folders that are sent.
fn id(builder: &str, spec: &BuildSpec, workshop: &Workshop<'_>) -> String {
    let mut digest = Sha256::new();
    let mut add = |text: &[u8]| {
        digest.update((text.len() as u64).to_le_bytes());
        digest.update(text);
    };
    add(builder.as_bytes());
    add(workshop.access.place.as_bytes());
    add(workshop.access.local_zones.first().map_or(&[], |zone| zone.as_bytes()));
    add(workshop.inputs.image.as_str().as_bytes());
    let folder = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    if let ContextSource::Folder(context) = &spec.build.context {
        add(folder(context).as_os_str().as_encoded_bytes());
    }
    add(folder(&spec.build.dockerfile()).as_os_str().as_encoded_bytes());
    for (name, value) in &workshop.inputs.build.build_contexts {
        add(name.as_bytes());
        add(folder(Path::new(value)).as_os_str().as_encoded_bytes());
    }
    hex(&digest.finalize())
}

/// With what is sent and is in no tree of the key: the Dockerfile, the ignore files, and repositories, of
/// which the key counts what git answers. `None` if that is too much to be compared.
fn with_files(mut sent: Sent, key: &BuildKey, spec: &BuildSpec) -> Option<Sent> {
    let ContextSource::Folder(context) = &spec.build.context else { return Some(sent) };
    let dockerfile = spec.build.dockerfile();
    let mut beside = dockerfile.clone().into_os_string();
    beside.push(".dockerignore");
    for path in [dockerfile, PathBuf::from(beside), context.join(".dockerignore")] {
        let Ok(metadata) = fs_err::metadata(&path) else { continue };
        if !metadata.is_file() || metadata.len() > LARGEST {
            return None;
        }
        let content = fs_err::read(&path).ok()?;
        sent.file(path.as_os_str().as_encoded_bytes(), metadata.len(), metadata.mtime(), &content);
    }
    if let Some(ignore) = &spec.ignore {
        // It stands in a file that is made for each build.
        sent.file(b"ignore", ignore.len() as u64, 0, ignore);
    }
    let mut budget = MOST;
    for (name, tree) in &key.trees {
        let named = || spec.build.build_contexts.iter().rev().find(|(known, _)| known == name);
        let root = if name == "context" { context.clone() } else { PathBuf::from(&named()?.1) };
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
