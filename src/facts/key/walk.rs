//! The files that count.

use std::path::Path;

use super::contexts::NamedContexts;
use super::key_error;
use crate::crash;
use crate::error::Result;
use crate::inputs::{ContextSource, Inputs, KeyScope};
use crate::key::dockerfile::{Analysis, Copied};
use crate::key::dockerignore::Ignore;
use crate::key::{KeyBuilder, KeyError, Scope, files};

/// Reads the files on threads of their own: hashing is the one thing that is not waiting.
///
/// # Errors
/// If a file that counts cannot be read.
pub(super) async fn spawn_walk(
    inputs: &Inputs,
    analysis: &Analysis,
    file: &Path,
    contexts: &NamedContexts,
) -> Result<KeyBuilder> {
    let context = match &inputs.build.context {
        ContextSource::Folder(context) => Some(context.clone()),
        ContextSource::Remote(_) => None,
    };
    let (scope, patterns) = (inputs.key.scope, inputs.key.files.clone());
    let (file, copied, folders) = (file.to_owned(), analysis.copied.clone(), contexts.folders.clone());
    let walk = move || -> Result<KeyBuilder, KeyError> {
        let mut key = match (scope, context) {
            (KeyScope::Files, _) => {
                let mut key = KeyBuilder::new(Scope::Files);
                key.key_files(files::key_files(Path::new("."), &patterns)?);
                key
            }
            // Its commit says all.
            (KeyScope::Context | KeyScope::Copied, None) => KeyBuilder::new(Scope::Context),
            (scope, Some(context)) => {
                let ignore = Ignore::load(&context, &file)?;
                let (scope, selector) = match (scope, &copied) {
                    (KeyScope::Copied, Copied::Known(sources)) => {
                        (Scope::Copied, files::Selector::copied(&context, ignore, sources)?)
                    }
                    _ => (Scope::Context, files::Selector::context(ignore)),
                };
                let (tree, warnings) = files::walk(&context, &selector)?;
                let mut key = KeyBuilder::new(scope);
                key.files("context", tree, warnings);
                key
            }
        };
        for (name, folder) in folders {
            let ignore = Ignore::of_context(&folder)?;
            let (tree, warnings) = files::walk(&folder, &files::Selector::context(ignore))?;
            key.files(&name, tree, warnings);
        }
        Ok(key)
    };
    tokio::task::spawn_blocking(walk).await.map_err(|error| crash::joined(&error))?.map_err(key_error)
}
