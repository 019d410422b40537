//! Reads the Dockerfile's text.

use std::io::ErrorKind;
use std::path::Path;

use crate::budget;
use crate::error::{Error, Result};
use crate::facts::sources::GitSource;
use crate::failure::FailureClass;
use crate::failure::FailureKind;
use crate::inputs::lowercase_fallback;
use crate::key::dockerignore;
use crate::ports::Ports;

/// Refuses a Dockerfile that is a link out of its folder: BuildKit gets this folder alone, and follows the link in it.
/// A link to no file is left to [`dockerfile_text`], which says so. With `exclude` BuildKit gets a copy of the file.
pub(super) fn refuse_link_out(file: &Path) -> Result<()> {
    let Ok(target) = fs_err::read_link(file) else { return Ok(()) };
    if !fs_err::metadata(file).is_ok_and(|there| there.is_file()) {
        return Ok(());
    }
    let (Some(folder), Some(name)) = (file.parent(), file.file_name()) else { return Ok(()) };
    let there = dockerignore::follow(folder, name).ok().flatten();
    if there.is_some_and(|there| fs_err::canonicalize(there).ok() == fs_err::canonicalize(file).ok()) {
        return Ok(());
    }
    let (file, leads) = (file.display(), file.with_file_name(&target));
    Err(Error::of(FailureKind::DockerfileError, format!("{file} is a link that BuildKit does not follow"))
        .cause(format!("it leads to {}, and BuildKit gets the link's own folder alone", target.display()))
        .hint(format!("name the file itself: file: {}", leads.display())))
}

/// Reads the Dockerfile from the input, from the working folder, or from the repository that is the main context.
pub(super) async fn dockerfile_text(
    ports: &Ports,
    inline: Option<&str>,
    file: &Path,
    git_context: Option<&GitSource>,
) -> Result<Vec<u8>> {
    if let Some(text) = inline {
        return Ok(text.as_bytes().to_vec());
    }
    let Some(repository) = git_context else {
        let read = |file: &Path| budget::read_file(file, budget::DOCKERFILE);
        let found = match (read(file), lowercase_fallback(file)) {
            (Err(error), Some(fallback)) if error.kind() == ErrorKind::NotFound => {
                read(&fallback).map_err(|_| error)
            }
            (found, _) => found,
        };
        return found.map_err(|error| {
            Error::of(FailureKind::DockerfileError, "failed to read the Dockerfile")
                .because(&error)
                .hint("name it in the input file, relative to the working folder")
        });
    };
    repository.file(ports, &file.display().to_string()).await.map_err(|error| {
        let error = error.within(format!("failed to read the Dockerfile of {}", repository.url()));
        // The error of a repository that is absent or does not answer has its own hint.
        match error.class {
            FailureClass::Access | FailureClass::Unavailable if error.hint.is_some() => error,
            _ => error.hint("name it in the input file, relative to the repository's folder"),
        }
    })
}
