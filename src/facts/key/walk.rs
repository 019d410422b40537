//! Reads the files of the context that count in the key.

use std::path::{Path, PathBuf};

use super::key_error;
use super::material::{Material, Reading};
use crate::budget::PATH_MATCHING;
use crate::crash;
use crate::error::Result;
use crate::inputs::{ContextSource, ImageRequest, KeyScope};
use crate::key::dockerfile::Copied;
use crate::key::dockerignore::Ignore;
use crate::key::files::{Selector, Taken, Warning};
use crate::key::{KeyBuilder, KeyError, MAIN_CONTEXT, Scope, files};

/// The result of [`walk`].
pub(super) struct Walked {
    /// A key that has the files, and nothing else yet.
    pub key: KeyBuilder,
    /// The same for each of several platforms, in their order, without the files behind the entries.
    pub each: Vec<KeyBuilder>,
    /// The text of the main context's ignore file with the patterns of `exclude`; `None` without such patterns.
    pub ignore: Option<Vec<u8>>,
}

/// Reads the files on threads of their own, because hashing takes processor time. Platforms that take the same files
/// share one reading of them.
///
/// # Errors
/// If a file that counts cannot be read.
pub(super) async fn walk(inputs: &ImageRequest, material: &Material) -> Result<Walked> {
    let file = material.dockerfile.clone();
    let context = match &inputs.build.context {
        ContextSource::Folder(context) => Some(context.clone()),
        ContextSource::Remote(_) => None,
    };
    let wanted = |reading: &Reading| Wanted {
        copied: reading.analysis.copied.clone(),
        folders: reading.contexts.folders.clone(),
    };
    let all = wanted(&material.all);
    let each: Vec<Wanted> = material.each.iter().map(|one| wanted(&one.reading)).collect();
    let (scope, patterns, exclude) =
        (inputs.key.scope, inputs.key.files.clone(), inputs.build.exclude.clone());
    let is_inline = inputs.build.dockerfile_inline.is_some();
    let walk = move || -> Result<Walked, KeyError> {
        let files = Files { context, file: &file, is_inline, scope, patterns: &patterns, exclude: &exclude };
        let (key, ignore) = files.read(&all)?;
        let mut walked: Vec<(&Wanted, KeyBuilder)> = vec![(&all, key.entries_alone())];
        let mut each_key = Vec::new();
        for wanted in &each {
            let known = walked.iter().find(|(other, _)| other.takes_the_same(wanted));
            let own = if let Some((_, key)) = known {
                key.entries_alone()
            } else {
                let own = files.read(wanted)?.0.entries_alone();
                walked.push((wanted, own.entries_alone()));
                own
            };
            each_key.push(own);
        }
        Ok(Walked { key, each: each_key, ignore })
    };
    tokio::task::spawn_blocking(walk).await.map_err(|error| crash::joined(&error))?.map_err(key_error)
}

/// The part of the contexts that counts for some platforms.
struct Wanted {
    copied: Copied,
    /// The build contexts that are folders, by their names.
    folders: Vec<(String, PathBuf)>,
}

impl Wanted {
    /// True if both read the same files.
    fn takes_the_same(&self, other: &Self) -> bool {
        let copied = match (&self.copied, &other.copied) {
            (Copied::Known(one), Copied::Known(other)) => one == other,
            (Copied::Unknown(_), Copied::Unknown(_)) => true,
            _ => false,
        };
        copied && self.folders == other.folders
    }
}

/// What decides which files count, whatever the platform.
struct Files<'a> {
    context: Option<PathBuf>,
    file: &'a Path,
    /// The Dockerfile is no file.
    is_inline: bool,
    scope: KeyScope,
    patterns: &'a [String],
    exclude: &'a [String],
}

impl Files<'_> {
    /// Reads the files. Returns a key with them, and the text of the ignore file if there are patterns of `exclude`.
    fn read(&self, wanted: &Wanted) -> Result<(KeyBuilder, Option<Vec<u8>>), KeyError> {
        let Self { context, file, is_inline, scope, patterns, exclude } = self;
        let copied = &wanted.copied;
        let (mut key, mut text) = (KeyBuilder::new(Scope::Context), None);
        // A context that is a git repository counts by its commit.
        if let Some(context) = context.as_ref().filter(|_| *scope != KeyScope::Files || !exclude.is_empty()) {
            // A Dockerfile that is no file has no ignore file beside it.
            let mut ignore =
                if *is_inline { Ignore::of_context(context)? } else { Ignore::load(context, file)? };
            if !exclude.is_empty() {
                ignore = ignore.extended(exclude)?;
                text = Some(ignore.text().to_vec());
            }
            if *scope != KeyScope::Files {
                key = read_main_context(context, file, ignore, *scope, copied)?;
            }
        }
        if *scope == KeyScope::Files {
            key = KeyBuilder::new(Scope::Files);
            key.key_files(files::key_files(Path::new("."), patterns)?);
            key.warn(context.as_deref().and_then(|context| leak_warning(context, file, exclude, copied)));
        }
        for (name, folder) in &wanted.folders {
            let ignore = Ignore::of_context(folder)?;
            let (tree, mut warnings) = files::walk(folder, &Selector::context(ignore))?;
            for warning in &mut warnings {
                if let Warning::Git(taken) = warning {
                    taken.context = Some(name.clone());
                    "the build context counts as a whole".clone_into(&mut taken.by);
                }
            }
            key.files(name, tree, warnings);
        }
        Ok((key, text))
    }
}

/// Reads the files of the main context that count with the input `key`.
fn read_main_context(
    context: &Path,
    file: &Path,
    ignore: Ignore,
    requested: KeyScope,
    copied: &Copied,
) -> Result<KeyBuilder, KeyError> {
    let (scope, selector) = match (requested, copied) {
        (KeyScope::Auto, Copied::Known(sources)) => {
            (Scope::Copied, Selector::copied(context, ignore.clone(), sources)?)
        }
        _ => (Scope::Context, Selector::context(ignore.clone())),
    };
    let (tree, mut warnings) = files::walk(context, &selector)?;
    for warning in &mut warnings {
        if let Warning::Git(taken) = warning
            && !note_taker(taken, context, file, &ignore, copied)?
        {
            // A credential that does not get into the image does not leak.
            (taken.needless, taken.credential) = (true, None);
            "no instruction takes it, but `key: context` counts it".clone_into(&mut taken.by);
        }
    }
    let mut key = KeyBuilder::new(scope);
    key.files(MAIN_CONTEXT, tree, warnings);
    if let (KeyScope::Context, Copied::Known(sources)) = (requested, copied) {
        key.taken(Selector::copied(context, ignore, sources)?);
    }
    if let Copied::Known(sources) = copied
        && sources.iter().any(|source| !source.excludes.is_empty())
    {
        // BuildKit applies `--exclude` when it copies; it asks for the excluded files too.
        key.partial();
    }
    Ok(key)
}

/// Warns of a credential that the build gets although the key reads other files. If something cannot be read, the
/// build itself will fail and tell.
fn leak_warning(context: &Path, file: &Path, exclude: &[String], copied: &Copied) -> Option<Warning> {
    let ignore = Ignore::load(context, file).and_then(|ignore| ignore.extended(exclude)).ok()?;
    let mut taken = files::leaking(context, &Selector::context(ignore.clone()))?;
    let leaks = note_taker(&mut taken, context, file, &ignore, copied).ok()?;
    leaks.then_some(Warning::Git(taken))
}

/// Notes in `taken` which instruction takes this repository of the main context. Returns false if none does.
fn note_taker(
    taken: &mut Taken,
    context: &Path,
    file: &Path,
    ignore: &Ignore,
    copied: &Copied,
) -> Result<bool, KeyError> {
    let sources = match copied {
        Copied::Unknown(reason) => {
            taken.by = format!("what the Dockerfile takes is not certain: {reason}");
            return Ok(true);
        }
        Copied::Known(sources) => sources,
    };
    for source in sources {
        let selector = Selector::copied(context, ignore.clone(), std::slice::from_ref(source))?;
        selector.affordable(PATH_MATCHING)?;
        if selector.takes(&taken.path) {
            let file = file.display().to_string();
            taken.by = format!("line {} of {file} takes it", source.line);
            taken.at = Some((file, source.line));
            return Ok(true);
        }
    }
    Ok(false)
}
