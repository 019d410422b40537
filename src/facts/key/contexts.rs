//! Sorts the named build contexts by kind.

use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::inputs::{self, BuildInputs};
use crate::key::dockerfile::{self, Analysis, Place};

/// Named build contexts by kind, each with its name.
#[derive(Debug, Default)]
pub(super) struct NamedContexts {
    pub folders: Vec<(String, PathBuf)>,
    /// References, without `docker-image://`.
    pub images: Vec<(String, String)>,
    /// URLs of git repositories.
    pub repositories: Vec<(String, String)>,
    /// Digests of OCI layouts on this machine.
    pub oci_layouts: Vec<(String, String)>,
}

/// Sorts the given contexts that the target uses.
///
/// # Errors
/// If the content of one can change without notice.
pub(super) fn named_contexts(build: &BuildInputs, analysis: &Analysis) -> Result<NamedContexts> {
    let mut contexts = NamedContexts::default();
    for (name, value) in build.build_contexts.iter().filter(|(name, _)| analysis.contexts.contains(name)) {
        if inputs::linked_image(value).or(inputs::elsewhere_image(value)).is_some() {
            // It counts by the key of that image.
        } else if let Some(reference) = value.strip_prefix("docker-image://") {
            contexts.images.push((name.clone(), reference.to_owned()));
        } else if let Some(layout) = value.strip_prefix("oci-layout://") {
            match layout.rsplit_once('@') {
                Some((_, digest)) if digest.parse::<crate::image::Digest>().is_ok() => {
                    contexts.oci_layouts.push((name.clone(), digest.to_owned()));
                }
                _ => return Err(unpinned_context(name, "a digest: oci-layout://PATH@sha256:…")),
            }
        } else {
            match dockerfile::context_place(value) {
                Ok(Place::Local) => contexts.folders.push((name.clone(), PathBuf::from(value))),
                Ok(Place::Http) => {
                    return Err(unpinned_context(name, "a folder, an image or a git repository"));
                }
                // The look-up tells what is wrong with it.
                Ok(Place::Git(_)) | Err(_) => contexts.repositories.push((name.clone(), value.clone())),
            }
        }
    }
    Ok(contexts)
}

fn unpinned_context(name: &str, needs: &str) -> Error {
    Error::input(format!("build-contexts: what `{name}` holds can change without notice"))
        .hint(format!("name it with {needs}"))
}
