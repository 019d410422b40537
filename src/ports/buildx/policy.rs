//! Sources that the build must take as the key saw them: BuildKit's source policy
//! (<https://docs.docker.com/reference/cli/docker/buildx/build/>, `EXPERIMENTAL_BUILDKIT_SOURCE_POLICY`).

use serde_json::{Value, json};

use crate::image::ImageReference;

/// The variable that names the policy's file.
pub(super) const VARIABLE: &str = "EXPERIMENTAL_BUILDKIT_SOURCE_POLICY";

/// What an `ADD` names, and what that was when the key was made.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct SourcePin {
    /// A URL, or a git repository with its reference, as in the Dockerfile.
    pub url: String,
    /// `sha256:…` of a file, or a commit.
    pub content: String,
}

/// An image that the Dockerfile names, and what it was when the key was made.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct ImagePin {
    /// The name in full, with its tag: `docker.io/library/node:latest`.
    pub name: ImageReference,
    /// The same image by its digest.
    pub pinned: ImageReference,
}

/// The policy: a file must have its checksum, a repository is taken at its commit, an image by its
/// digest.
pub(super) fn policy(sources: &[SourcePin], images: &[ImagePin]) -> Value {
    let rules: Vec<Value> = sources.iter().map(source).chain(images.iter().map(image)).collect();
    json!({ "rules": rules })
}

fn source(pin: &SourcePin) -> Value {
    if pin.content.starts_with("sha256:") {
        return rule(&pin.url, &json!({"identifier": pin.url, "attrs": {"http.checksum": pin.content}}));
    }
    let (repository, fragment) = pin.url.split_once('#').unwrap_or((&pin.url, ""));
    let repository = identifier(repository);
    let folder = fragment.split_once(':').map(|(_, folder)| format!(":{folder}")).unwrap_or_default();
    let from = if fragment.is_empty() { repository.clone() } else { format!("{repository}#{fragment}") };
    rule(&from, &json!({"identifier": format!("{repository}#{}{folder}", pin.content)}))
}

/// BuildKit asks for an image by its full name (`reference.TagNameOnly`).
fn image(pin: &ImagePin) -> Value {
    let pinned = json!({"identifier": format!("docker-image://{}", pin.pinned)});
    rule(&format!("docker-image://{}", pin.name), &pinned)
}

fn rule(from: &str, updates: &Value) -> Value {
    json!({"action": "CONVERT", "selector": {"identifier": from, "matchType": "EXACT"}, "updates": updates})
}

/// A repository as BuildKit calls it, whatever the protocol (`llb.Git`).
fn identifier(url: &str) -> String {
    let rest = match url.split_once("://") {
        Some((_, rest)) => rest.to_owned(),
        // user@host:path
        None => url.replacen(':', "/", 1),
    };
    let (host, path) = rest.split_once('/').unwrap_or((&rest, ""));
    let host = host.rsplit('@').next().unwrap_or(host);
    format!("git://{host}/{}", path.trim_start_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_by_buildkits_names() {
        for (url, name) in [
            ("https://h.example/o/r.git", "git://h.example/o/r.git"),
            ("ssh://git@h.example:22/o/r.git", "git://h.example:22/o/r.git"),
            ("git@h.example:o/r.git", "git://h.example/o/r.git"),
            ("git://h.example/o/r", "git://h.example/o/r"),
        ] {
            assert_eq!(identifier(url), name);
        }
        let pin = |url: &str| source(&SourcePin { url: url.into(), content: "c0ffee".into() });
        assert_eq!(pin("https://h/r.git")["updates"]["identifier"], "git://h/r.git#c0ffee");
        assert_eq!(pin("https://h/r.git#main:sub")["selector"]["identifier"], "git://h/r.git#main:sub");
        assert_eq!(pin("https://h/r.git#main:sub")["updates"]["identifier"], "git://h/r.git#c0ffee:sub");
    }
    #[test]
    fn an_image_by_its_full_name() {
        let digest = format!("sha256:{:064}", 0);
        let pinned = format!("docker.io/library/node@{digest}");
        let pin = ImagePin { name: "node".parse().unwrap(), pinned: pinned.parse().unwrap() };
        let rule = image(&pin);
        assert_eq!(rule["selector"]["identifier"], "docker-image://docker.io/library/node:latest");
        assert_eq!(rule["updates"]["identifier"], format!("docker-image://{pinned}"));
    }
}
