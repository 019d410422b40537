//! Writes BuildKit's source policy, which holds a build to the content that its key was computed from
//! (<https://docs.docker.com/reference/cli/docker/buildx/build/>, `EXPERIMENTAL_BUILDKIT_SOURCE_POLICY`).
//!
//! In: pins, such as `https://h/r.git#main` at the commit `c0ffee…`. Out: JSON rules, one of which says that
//! `git://h/r.git#main` stands for `git://h/r.git#c0ffee…`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::image::ImageReference;
use crate::key::dockerfile::GitRef;

/// The variable that names the policy's file.
pub(crate) const VARIABLE: &str = "EXPERIMENTAL_BUILDKIT_SOURCE_POLICY";

/// A source of an `ADD` or a context, with its content when the key was computed.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct SourcePin {
    /// A URL, or a git repository with its reference, as the user wrote it.
    pub url: String,
    /// `sha256:…` of a file, or the id of a git object.
    pub content: String,
    pub hold: Hold,
}

/// The way in which BuildKit is held to a source's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Hold {
    /// The policy replaces the name by the content.
    Content,
    /// The name stays, because the kept `.git` holds it, and BuildKit compares its content.
    Name,
    /// The build is not held: BuildKit before 0.26 cannot compare an annotated tag whose `.git` is kept.
    Nothing,
}

/// An image that the Dockerfile names, with its content when the key was computed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub(crate) struct ImagePin {
    /// The name in full, with its tag: `docker.io/library/node:latest`.
    pub name: ImageReference,
    /// The same image by its digest.
    pub pinned: ImageReference,
}

/// Makes the policy: a file must have its checksum, a repository is taken at its commit, an image by its digest.
pub(crate) fn policy(sources: &[SourcePin], images: &[ImagePin]) -> Value {
    // A rule applies to every use of a name, so the strictest use decides.
    let mut strictest: BTreeMap<String, &SourcePin> = BTreeMap::new();
    for pin in sources {
        let known = strictest.entry(selector(pin)).or_insert(pin);
        if known.hold < pin.hold {
            *known = pin;
        }
    }
    let sources = strictest.iter().filter_map(|(selector, pin)| source(selector, pin));
    let rules: Vec<Value> = sources.chain(images.iter().map(image)).collect();
    json!({ "rules": rules })
}

/// The repository of the pin; `None` if it is of a file.
fn git(pin: &SourcePin) -> Option<GitRef> {
    if pin.content.starts_with("sha256:") { None } else { GitRef::parse(&pin.url)?.ok() }
}

/// BuildKit's identifier of the source.
fn selector(pin: &SourcePin) -> String {
    git(pin).map_or_else(|| pin.url.clone(), |git| git.identifier(&git.reference))
}

/// The rule for a file or a repository.
fn source(selector: &str, pin: &SourcePin) -> Option<Value> {
    let updates = match (git(pin), pin.hold) {
        (_, Hold::Nothing) => return None,
        (None, _) => json!({"identifier": selector, "attrs": {"http.checksum": pin.content}}),
        (Some(_), Hold::Name) => json!({"identifier": selector, "attrs": {"git.checksum": pin.content}}),
        (Some(git), Hold::Content) => json!({"identifier": git.identifier(&pin.content)}),
    };
    Some(rule(selector, &updates))
}

/// The rule for an image. BuildKit asks for an image by its full name (`reference.TagNameOnly`).
fn image(pin: &ImagePin) -> Value {
    let pinned = json!({"identifier": format!("docker-image://{}", pin.pinned)});
    rule(&format!("docker-image://{}", pin.name), &pinned)
}

fn rule(identifier: &str, updates: &Value) -> Value {
    let selector = json!({"identifier": identifier, "matchType": "EXACT"});
    json!({"action": "CONVERT", "selector": selector, "updates": updates})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pin(url: &str, hold: Hold) -> SourcePin {
        SourcePin { url: url.into(), content: "c0ffee".into(), hold }
    }

    #[test]
    fn a_repository_is_taken_at_its_commit() {
        let rules = policy(&[pin("https://h/r.git#main:sub", Hold::Content)], &[]);
        assert_eq!(rules["rules"][0]["selector"]["identifier"], "git://h/r.git#main:sub");
        assert_eq!(rules["rules"][0]["updates"]["identifier"], "git://h/r.git#c0ffee:sub");
        let query = policy(&[pin("https://h/r.git?tag=v1&keep-git-dir=0", Hold::Content)], &[]);
        assert_eq!(query["rules"][0]["selector"]["identifier"], "git://h/r.git#refs/tags/v1");
        assert_eq!(query["rules"][0]["updates"]["identifier"], "git://h/r.git#c0ffee");
    }

    /// D71
    #[test]
    fn d71_a_name_that_is_kept_stays() {
        let rules = policy(
            &[
                pin("https://h/r.git#v1", Hold::Content),
                pin("ssh://git@h/r.git#v1", Hold::Name),
                pin("https://h/r.git#v2", Hold::Nothing),
                pin("https://h/r.git#v2", Hold::Content),
            ],
            &[],
        );
        assert_eq!(
            rules["rules"],
            json!([{"action": "CONVERT", "selector": {"identifier": "git://h/r.git#v1", "matchType": "EXACT"},
                "updates": {"identifier": "git://h/r.git#v1", "attrs": {"git.checksum": "c0ffee"}}}])
        );
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
