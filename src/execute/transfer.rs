//! Gives each build a session name. Under one name BuildKit keeps the files it was sent, and asks again only for
//! those whose size or time differs. A build therefore takes an earlier build's name only if every change shows in
//! these; builds under one name are a *lineage* (`coherence::transfer`).

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

/// Bytes of the largest Dockerfile or ignore file that is compared; with a larger one all files are sent.
const DOCKERFILE_COMPARED: u64 = 4 << 20;

/// The most files in `.git` folders of the contexts that are compared; with more all files are sent.
const GIT_FILES_COMPARED: usize = 200_000;

/// The session of one build. Empty for a builder that was made for this build alone.
#[derive(Default)]
pub(super) struct TransferSession {
    /// A private `BUILDX_CONFIG`: buildx takes the session's name from the identifier in it.
    buildx_config: Option<PrivateFolder>,
    pending: Option<Pending>,
}

/// A lineage to be written when the build has ended.
struct Pending {
    lineages: Lineages,
    /// The lineage's file.
    id: String,
    lineage: Lineage,
    /// What the key saw before the build.
    now: Sent,
}

impl TransferSession {
    /// Chooses the session's name: that of earlier builds of this image if every change since then shows in size or
    /// time, else a new one.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub(super) fn open(spec: &BuildSpec, context: &StepContext<'_>) -> Result<Self> {
        if spec.fresh_builder {
            return Ok(Self::default());
        }
        let lineages = context.request.cache.user_folder.as_deref().map(Lineages::below);
        let now = context.key.and_then(|key| sent(key, spec));
        let pending = match lineages.zip(now) {
            Some((lineages, now)) => {
                let id = lineage_id(spec, context);
                let lineage = match lineages.take_out(&id).and_then(|earlier| earlier.extended_to(&now)) {
                    Some(lineage) => lineage,
                    None => Lineage { name: new_name()?, sent: now.clone() },
                };
                Some(Pending { lineages, id, lineage, now })
            }
            None => None,
        };
        let name = pending.as_ref().map_or_else(new_name, |pending| Ok(pending.lineage.name.clone()))?;
        Ok(Self { buildx_config: Some(config_folder(&name, context)?), pending })
    }

    /// A new name, for several images that are built together. `is_fresh`: the builder was made for them and needs none.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(super) fn of_several(is_fresh: bool, context: &StepContext<'_>) -> Result<Self> {
        if is_fresh {
            return Ok(Self::default());
        }
        Ok(Self { buildx_config: Some(config_folder(&new_name()?, context)?), pending: None })
    }

    /// The variable that leads buildx to its configuration.
    pub(super) fn variable(&self) -> Option<(&'static str, SecretString)> {
        let folder = self.buildx_config.as_ref()?;
        Some((env::BUILDX_CONFIG, folder.path().display().to_string().into()))
    }

    /// Writes down what the build sent, even if it failed. A file of the key that changed during the build ends the
    /// lineage, because it is not known which content was sent. A file that was added during the build is not noticed: if
    /// it gets another content later with the same size and time, BuildKit may take the old one.
    pub(super) fn close(self, spec: &BuildSpec, context: &StepContext<'_>) {
        let (Some(pending), Some(key)) = (self.pending, context.key) else { return };
        if untouched(key, spec) && sent(key, spec).as_ref() == Some(&pending.now) {
            // If the lineage cannot be written, the next build begins a new one.
            let _ = pending.lineages.keep(&pending.id, &pending.lineage);
        }
    }
}

/// A session name that no build had.
fn new_name() -> Result<String> {
    random::hex_128()
        .ok_or_else(|| Error::of(FailureKind::Machine, "the operating system has no randomness to give"))
}

/// Writes a private configuration of buildx with this session name.
fn config_folder(name: &str, context: &StepContext<'_>) -> Result<PrivateFolder> {
    let ports = context.ports;
    let user = ports.user_config.buildx_folder(&ports.env);
    buildx_folder(user.as_deref(), name, &temporary_folder(&ports.env))
        .map_err(|error| Error::of_io("failed to write buildx's private configuration", &error))
}

/// True if every file in the key's trees is still the one that was read for the key. Looks at no other files: to list all
/// folders again would take as long as the key.
fn untouched(key: &BuildKey, spec: &BuildSpec) -> bool {
    key.trees.iter().all(|(name, tree)| {
        let Some(root) = context_folder(name, spec) else { return false };
        let mut same = true;
        tree.visit(|path, entry| {
            let path = files::full(&root, path);
            same = same
                && match entry.kind {
                    // No content of these is sent.
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

/// The folder of a build context, main or named; `None` for a main context that is a git repository.
fn context_folder(context: &str, spec: &BuildSpec) -> Option<PathBuf> {
    if context == MAIN_CONTEXT {
        let ContextSource::Folder(folder) = &spec.build.context else { return None };
        return Some(folder.clone());
    }
    let (_, path) = spec.build.build_contexts.iter().rev().find(|(name, _)| name == context)?;
    Some(PathBuf::from(path))
}

/// The name of the lineage's file: a digest of the GitHub repository, the zone, the image, the Dockerfile's path, and the
/// build contexts as the inputs name them.
fn lineage_id(spec: &BuildSpec, context: &StepContext<'_>) -> String {
    let mut digest = Sha256::new();
    let mut add = |text: &[u8]| {
        digest.update((text.len() as u64).to_le_bytes());
        digest.update(text);
    };
    add(context.access.place.as_bytes());
    add(context.access.local_zones.first().map_or(&[], |zone| zone.as_bytes()));
    add(context.request.image.as_str().as_bytes());
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    if let ContextSource::Folder(context) = &spec.build.context {
        add(absolute(context).as_os_str().as_encoded_bytes());
    }
    add(absolute(&spec.build.dockerfile()).as_os_str().as_encoded_bytes());
    // As the user wrote them: images among the contexts of `spec` have digests, which change.
    for (name, value) in &context.request.build.build_contexts {
        add(name.as_bytes());
        add(absolute(Path::new(value)).as_os_str().as_encoded_bytes());
    }
    hex(&digest.finalize())
}

/// Collects what a build sends: the files that the key has read, the Dockerfile, the ignore files, and `.git`
/// folders, of which the key counts only what git answers. `None` if that is not known, or too much to be compared.
fn sent(key: &BuildKey, spec: &BuildSpec) -> Option<Sent> {
    let mut sent = Sent::of(key)?;
    let mut files = Vec::new();
    if let ContextSource::Folder(context) = &spec.build.context {
        let dockerfile = spec.build.dockerfile();
        let mut beside = dockerfile.clone().into_os_string();
        beside.push(".dockerignore");
        // BuildKit falls back to this name.
        files.extend(lowercase_fallback(&dockerfile));
        files.extend([dockerfile, PathBuf::from(beside), context.join(".dockerignore")]);
    }
    for name in key.trees.keys().filter(|name| *name != MAIN_CONTEXT) {
        files.push(context_folder(name, spec)?.join(".dockerignore"));
    }
    for path in files {
        let Ok(metadata) = fs_err::metadata(&path) else { continue };
        if !metadata.is_file() || metadata.len() > DOCKERFILE_COMPARED {
            return None;
        }
        let bytes = fs_err::read(&path).ok()?;
        sent.add_file(path.as_os_str().as_encoded_bytes(), metadata.len(), metadata.mtime(), &bytes);
    }
    if let Some(text) = &spec.build.dockerfile_inline {
        sent.add_file(b"inline", text.len() as u64, 0, text.as_bytes());
    }
    if let Some(ignore) = &spec.ignore {
        // Its file is made for each build, so the path and the time say nothing.
        sent.add_file(b"ignore", ignore.len() as u64, 0, ignore);
    }
    let mut files_left = GIT_FILES_COMPARED;
    for (name, tree) in &key.trees {
        let root = context_folder(name, spec)?;
        for (path, _) in tree.repositories() {
            add_git_folder(&files::full(&root, path), &mut sent, &mut files_left)?;
        }
    }
    Some(sent)
}

/// Adds every file of a `.git` folder; `None` if there are too many, or one cannot be read. The inode and its time
/// of change stand for the content: that is cheaper than to read the file, and a new clone differs in both.
fn add_git_folder(path: &Path, sent: &mut Sent, files_left: &mut usize) -> Option<()> {
    *files_left = files_left.checked_sub(1)?;
    let metadata = fs_err::symlink_metadata(path).ok()?;
    if metadata.is_dir() {
        for entry in fs_err::read_dir(path).ok()? {
            add_git_folder(&entry.ok()?.path(), sent, files_left)?;
        }
        return Some(());
    }
    let identity = [
        metadata.ino().to_le_bytes(),
        metadata.dev().to_le_bytes(),
        metadata.ctime().to_le_bytes(),
        metadata.ctime_nsec().to_le_bytes(),
    ];
    sent.add_file(
        path.as_os_str().as_encoded_bytes(),
        metadata.len(),
        metadata.mtime(),
        identity.as_flattened(),
    );
    Some(())
}
