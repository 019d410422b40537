//! Reads the files of the context that count in the key.

use std::path::Path;

use super::{Material, key_error};
use crate::budget::PATH_MATCHING;
use crate::crash;
use crate::error::Result;
use crate::inputs::{ContextSource, ImageRequest, KeyScope};
use crate::key::dockerfile::Copied;
use crate::key::dockerignore::Ignore;
use crate::key::files::{Selector, Taken, Warning};
use crate::key::{KeyBuilder, KeyError, Scope, files};

/// What was read.
pub(super) struct Walked {
    /// The files that count.
    pub key: KeyBuilder,
    /// The context's ignore file with the patterns of `exclude`, if there are some.
    pub ignore: Option<Vec<u8>>,
}

/// Reads the files on threads of their own: hashing is the one thing that is not waiting.
///
/// # Errors
/// If a file that counts cannot be read.
pub(super) async fn walk(inputs: &ImageRequest, material: &Material) -> Result<Walked> {
    let context = match &inputs.build.context {
        ContextSource::Folder(context) => Some(context.clone()),
        ContextSource::Remote(_) => None,
    };
    let (scope, patterns, exclude) =
        (inputs.key.scope, inputs.key.files.clone(), inputs.build.exclude.clone());
    let (file, copied) = (material.file.clone(), material.analysis.copied.clone());
    let folders = material.contexts.folders.clone();
    let walk = move || -> Result<Walked, KeyError> {
        let (mut key, mut text) = (KeyBuilder::new(Scope::Context), None);
        // A repository's commit says all.
        if let Some(context) = context.as_ref().filter(|_| scope != KeyScope::Files || !exclude.is_empty()) {
            let mut ignore = Ignore::load(context, &file)?;
            if !exclude.is_empty() {
                ignore = ignore.with(&exclude)?;
                text = Some(ignore.text().to_vec());
            }
            if scope != KeyScope::Files {
                key = read(context, &file, ignore, scope, &copied)?;
            }
        }
        if scope == KeyScope::Files {
            key = KeyBuilder::new(Scope::Files);
            key.key_files(files::key_files(Path::new("."), &patterns)?);
            key.warn(context.as_deref().and_then(|context| leak(context, &file, &exclude, &copied)));
        }
        for (name, folder) in folders {
            let ignore = Ignore::of_context(&folder)?;
            let (tree, mut warnings) = files::walk(&folder, &Selector::context(ignore))?;
            for warning in &mut warnings {
                if let Warning::Git(taken) = warning {
                    taken.context = Some(name.clone());
                    "the build context counts as a whole".clone_into(&mut taken.by);
                }
            }
            key.files(&name, tree, warnings);
        }
        Ok(Walked { key, ignore: text })
    };
    tokio::task::spawn_blocking(walk).await.map_err(|error| crash::joined(&error))?.map_err(key_error)
}

/// The context's files, as the scope says.
fn read(
    context: &Path,
    file: &Path,
    ignore: Ignore,
    asked: KeyScope,
    copied: &Copied,
) -> Result<KeyBuilder, KeyError> {
    let (scope, selector) = match (asked, copied) {
        (KeyScope::Auto, Copied::Known(sources)) => {
            (Scope::Copied, Selector::copied(context, ignore.clone(), sources)?)
        }
        _ => (Scope::Context, Selector::context(ignore.clone())),
    };
    let (tree, mut warnings) = files::walk(context, &selector)?;
    for warning in &mut warnings {
        if let Warning::Git(taken) = warning
            && !take(taken, context, file, &ignore, copied)?
        {
            // What the image does not hold is no leak.
            (taken.needless, taken.credential) = (true, None);
            "no instruction takes it, but `key: context` counts it".clone_into(&mut taken.by);
        }
    }
    let mut key = KeyBuilder::new(scope);
    key.files("context", tree, warnings);
    if let (KeyScope::Context, Copied::Known(sources)) = (asked, copied) {
        key.taken(Selector::copied(context, ignore, sources)?);
    }
    if let Copied::Known(sources) = copied
        && sources.iter().any(|source| !source.excludes.is_empty())
    {
        // BuildKit excludes when it copies, not when it is sent.
        key.partial();
    }
    Ok(key)
}

/// A credential that the build gets, where the key reads other files: what cannot be read is the build's to tell.
fn leak(context: &Path, file: &Path, exclude: &[String], copied: &Copied) -> Option<Warning> {
    let ignore = Ignore::load(context, file).and_then(|ignore| ignore.with(exclude)).ok()?;
    let mut taken = files::leaking(context, &Selector::context(ignore.clone()))?;
    let leaks = take(&mut taken, context, file, &ignore, copied).ok()?;
    leaks.then_some(Warning::Git(taken))
}

/// Notes what hands a repository of the context to the build; false if no instruction does.
fn take(
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
