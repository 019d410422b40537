//! The frontend: the image that interprets a Dockerfile. `# syntax=docker/dockerfile:1` names one.

use super::{AnalysisRequest, lines};

/// A frontend named by `# syntax=` or the build argument `BUILDKIT_SYNTAX`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frontend {
    /// The image.
    pub reference: String,
    /// The whole value; what follows the image is handed to the frontend.
    pub directive: String,
    /// Line of the directive, from 1; 0 for the build argument.
    pub line: usize,
    /// It is one of Docker's own, whose language is the one that is read here.
    pub official: bool,
}

/// The frontend in force (BuildKit `frontend/dockerfile/builder`): the argument, else the directive.
pub(crate) fn detect(text: &str, request: &AnalysisRequest<'_>) -> Option<Frontend> {
    let (directive, line) = match request.build_arg("BUILDKIT_SYNTAX") {
        Some(value) => (value.trim().to_owned(), 0),
        None => lines::syntax(text)?,
    };
    let reference = directive.split(' ').next().unwrap_or_default().to_owned();
    Some(Frontend { official: is_official(&reference), reference, directive, line })
}

/// Whether `reference` is Docker's Dockerfile frontend, on Docker Hub or in a mirror of it, at whatever tag or digest.
fn is_official(reference: &str) -> bool {
    let name = reference.split('@').next().unwrap_or_default();
    let name = match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => name,
    };
    let is_frontend = |name: &str| matches!(name, "docker/dockerfile" | "docker/dockerfile-upstream");
    match name.split_once('/') {
        // A mirror may keep Docker Hub's names below a folder of its own, so the last two parts decide.
        Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => {
            let last_two = path.rmatch_indices('/').nth(1).map_or(0, |(at, _)| at + 1);
            path.get(last_two..).is_some_and(is_frontend)
        }
        _ => is_frontend(name),
    }
}
