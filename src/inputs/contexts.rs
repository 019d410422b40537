//! The build context and the named ones.

use std::path::PathBuf;

use super::build::{ContextSource, named};
use super::problems::Problems;
use crate::key::dockerfile::{Place, context_place, familiar};

/// A folder that is there is the context, whatever else its name could mean (buildx `loadInputs`).
pub(super) fn context(problems: &mut Problems, text: &str) -> ContextSource {
    let path = PathBuf::from(text);
    let metadata = fs_err::metadata(&path);
    if metadata.as_ref().is_ok_and(std::fs::Metadata::is_dir) {
        return ContextSource::Folder(path);
    }
    match (context_place(text), metadata) {
        (Ok(Place::Git(_)), _) => return ContextSource::Remote(text.to_owned()),
        (Err(reason), _) => {
            problems.add("context", format!("`{text}` is not a repository that BuildKit takes: {reason}"));
        }
        (Ok(place), _) if place == Place::Http || text == "-" => {
            let hint = "check the source out and name its path, or name a git repository";
            problems.add("context", format!("`{text}` is neither a folder nor a git repository: {hint}"));
        }
        (Ok(_), Ok(_)) => problems.add("context", format!("`{text}` is not a folder")),
        (Ok(_), Err(error)) => problems.add("context", error),
    }
    ContextSource::Folder(path)
}

/// `github.com/…` is a repository as a context only; as a build context, BuildKit refuses it.
pub(super) fn build_contexts(problems: &mut Problems, list: Vec<String>) -> Vec<(String, String)> {
    let mut contexts: Vec<(String, String)> = Vec::new();
    // Of two with one name, buildx takes the last; `alpine` and `docker.io/library/alpine:latest` are one.
    for (name, value) in named(problems, "build-contexts", list) {
        contexts.retain(|(known, _)| familiar(known) != familiar(&name));
        contexts.push((name, value));
    }
    for (name, value) in contexts.iter_mut().filter(|(_, value)| value.starts_with("github.com/")) {
        if fs_err::metadata(value.as_str()).is_ok_and(|metadata| metadata.is_dir()) {
            value.insert_str(0, "./");
        } else {
            let hint = "write `https://github.com/OWNER/NAME.git`";
            problems.add(
                "build-contexts",
                format!("`{name}`: `{value}` is not a folder; for the repository, {hint}"),
            );
        }
    }
    contexts
}

#[cfg(test)]
mod tests {
    use super::super::lists::items;
    use super::*;

    #[test]
    fn d03_of_two_build_contexts_with_one_name_the_last_one_counts() {
        let list = "alpine=/a\nsrc=/b\ndocker.io/library/alpine:latest=/c\nlibrary/x/y=/d\nx/y=/e";
        let mut problems = Problems::default();
        let contexts = build_contexts(&mut problems, items(list));
        problems.finish().unwrap();
        let names: Vec<_> = contexts.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let want =
            [("src", "/b"), ("docker.io/library/alpine:latest", "/c"), ("library/x/y", "/d"), ("x/y", "/e")];
        assert_eq!(names, want);
    }

    #[test]
    fn a_context_is_a_folder_that_exists() {
        for text in ["https://example.com/r.tar.gz", "/absent-folder", "/etc/hostname", "-"] {
            let mut problems = Problems::default();
            let _ = context(&mut problems, text);
            assert!(problems.finish().is_err(), "{text}");
        }
    }
}
