//! The build context (input `context`) and the named ones (`build-contexts`).
//!
//! In: `.` or `https://github.com/o/r.git#main:docker`. Out: [`ContextSource`], or for a named context its name and
//! text, once it is sure that buildx takes it.

use std::path::PathBuf;

use super::pairs::{last_of_each, named};
use super::problems::Problems;
use crate::env::{self, Env};
use crate::key::dockerfile::{Place, context_place, familiar};

/// Where the build context comes from.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(into = "String")]
pub enum ContextSource {
    /// A folder of this machine.
    Folder(PathBuf),
    /// The URL of a git repository; in a plan, with the commit.
    Remote(String),
}

impl From<ContextSource> for String {
    fn from(source: ContextSource) -> Self {
        match source {
            ContextSource::Folder(path) => path.display().to_string(),
            ContextSource::Remote(url) => url,
        }
    }
}

/// Puts this run's repository at its commit in the place of `{{defaultContext}}`, after which a folder may follow
/// (`{{defaultContext}}:docker`), as docker/build-push-action does. Other text stays as it is.
fn with_default_context(problems: &mut Problems, input: &str, text: &str, env: &Env) -> String {
    let Some((before, rest)) = text.split_once("{{") else { return text.to_owned() };
    let Some((name, after)) = rest.split_once("}}") else { return text.to_owned() };
    if name.trim() != "defaultContext" {
        return text.to_owned();
    }
    let server = env.get(env::GITHUB_SERVER_URL).unwrap_or("https://github.com");
    if let (Some(repository), Some(commit)) = (env.get(env::GITHUB_REPOSITORY), env.get(env::GITHUB_SHA)) {
        return format!("{before}{server}/{repository}.git#{commit}{after}");
    }
    problems
        .add(input, "{{defaultContext}} is known in a workflow alone: name a folder, or a repository's URL");
    ".".to_owned()
}

/// The build context. A name that a folder has means that folder, also if it could be a URL (buildx `loadInputs`).
pub(super) fn context(problems: &mut Problems, text: &str, env: &Env) -> ContextSource {
    let text = &with_default_context(problems, "context", text, env);
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

/// The named contexts, each a name and what it stands for.
pub(super) fn build_contexts(problems: &mut Problems, list: Vec<String>, env: &Env) -> Vec<(String, String)> {
    let mut contexts: Vec<(String, String)> = Vec::new();
    for (name, value) in named(problems, "build-contexts", list) {
        let value = with_default_context(problems, "build-contexts", &value, env);
        if let Err(why) = check_is_there(&value) {
            problems.add("build-contexts", format!("`{name}`: {why}"));
        }
        contexts.push((name, value));
    }
    // Of two with one name, buildx takes the last; `alpine` and `docker.io/library/alpine:latest` are one.
    let mut contexts = last_of_each(contexts, |(name, _)| familiar(name));
    // BuildKit reads `github.com/…` as a repository in the main context alone, and refuses it in a named one. A folder
    // of that name needs the `./`.
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

/// The image that a build context names, of the same run, as `target:NAME`.
#[must_use]
pub(crate) fn linked_image(value: &str) -> Option<&str> {
    value.strip_prefix("target:")
}

/// The image that a build context names, of another step or job of this commit, as `build-once://NAME`.
#[must_use]
pub(crate) fn elsewhere_image(value: &str) -> Option<&str> {
    value.strip_prefix("build-once://")
}

/// The path of this machine that a context names: a folder, or the folder of an OCI layout. `None` for an image, a URL, a
/// repository and `{{defaultContext}}`. A folder that is there counts more than a repository of that name (buildx
/// `loadInputs`).
#[must_use]
pub(super) fn local_path(value: &str) -> Option<&str> {
    if let Some(layout) = value.strip_prefix("oci-layout://") {
        // A tag or a digest comes after the folder.
        return layout.split(['@', ':']).next();
    }
    if value.contains("://") || value.starts_with("{{") || linked_image(value).is_some() {
        return None;
    }
    let is_path = fs_err::metadata(value).is_ok_and(|there| there.is_dir())
        || matches!(context_place(value), Ok(Place::Local));
    is_path.then_some(value)
}

/// Refuses a folder or an OCI layout of this machine that is not there (buildx, `loadInputs`).
fn check_is_there(value: &str) -> Result<(), String> {
    let Some(path) = local_path(value) else { return Ok(()) };
    fs_err::metadata(path).map(drop).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::lists::items;
    use super::*;

    /// D03
    #[test]
    fn d03_of_two_build_contexts_with_one_name_the_last_one_counts() {
        let list = "alpine=/etc\nsrc=/tmp\ndocker.io/library/alpine:latest=/usr\nlibrary/x/y=/bin\nx/y=/";
        let mut problems = Problems::default();
        let contexts = build_contexts(&mut problems, items(list), &Env::default());
        problems.finish().unwrap();
        let names: Vec<_> = contexts.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let want = [
            ("src", "/tmp"),
            ("docker.io/library/alpine:latest", "/usr"),
            ("library/x/y", "/bin"),
            ("x/y", "/"),
        ];
        assert_eq!(names, want);
    }

    #[test]
    fn d46_the_runs_own_repository_at_its_commit() {
        let env = Env::from([("GITHUB_REPOSITORY", "o/r"), ("GITHUB_SHA", "abc")]);
        let of = |text: &str| String::from(context(&mut Problems::default(), text, &env));
        assert_eq!(of("{{defaultContext}}"), "https://github.com/o/r.git#abc");
        assert_eq!(of("{{ defaultContext }}:docker"), "https://github.com/o/r.git#abc:docker");
        let query = "https://github.com/o/r.git?ref=refs/heads/main&subdir=docker";
        assert_eq!(of(query), query);
        let mut problems = Problems::default();
        let _ = context(&mut problems, "{{defaultContext}}", &Env::default());
        assert!(problems.finish().unwrap_err().to_string().contains("in a workflow alone"));
        let mut problems = Problems::default();
        let named = build_contexts(&mut problems, items("src={{defaultContext}}:x"), &env);
        assert_eq!(named[0].1, "https://github.com/o/r.git#abc:x");
        problems.finish().unwrap();
    }

    #[test]
    fn d74_a_build_context_that_is_not_there_is_told() {
        for value in ["absent-folder", "oci-layout://absent@sha256:0", "./github.com/absent"] {
            let mut problems = Problems::default();
            let _ = build_contexts(&mut problems, items(&format!("src={value}")), &Env::default());
            let told = problems.finish().unwrap_err().to_string();
            assert!(told.starts_with("input `build-contexts`: `src`: "), "{told}");
        }
    }

    #[test]
    fn the_path_of_a_context() {
        for (context, path) in [
            (".", Some(".")),
            ("../up", Some("../up")),
            ("oci-layout:///etc:tag", Some("/etc")),
            ("oci-layout:///etc@sha256:0", Some("/etc")),
            ("github.com/o/r", None),
            ("git@github.com:o/r.git", None),
            ("https://example.com/o/r.git", None),
            ("docker-image://alpine", None),
            ("target:base", None),
            ("{{defaultContext}}:docker", None),
        ] {
            assert_eq!(local_path(context), path, "{context}");
        }
    }

    #[test]
    fn a_context_is_a_folder_that_exists() {
        for text in ["https://example.com/r.tar.gz", "/absent-folder", "/etc/hostname", "-"] {
            let mut problems = Problems::default();
            let _ = context(&mut problems, text, &Env::default());
            assert!(problems.finish().is_err(), "{text}");
        }
    }
}
