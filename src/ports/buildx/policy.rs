//! Sources that the build must take as the key saw them: BuildKit's source policy
//! (<https://docs.docker.com/reference/cli/docker/buildx/build/>, `EXPERIMENTAL_BUILDKIT_SOURCE_POLICY`).

use serde_json::{Value, json};

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

/// The policy: a file must have its checksum, a repository is taken at its commit.
pub(super) fn policy(pins: &[SourcePin]) -> Value {
    let rules: Vec<Value> = pins.iter().map(rule).collect();
    json!({ "rules": rules })
}

fn rule(pin: &SourcePin) -> Value {
    let (from, updates) = if pin.content.starts_with("sha256:") {
        (pin.url.clone(), json!({"identifier": pin.url, "attrs": {"http.checksum": pin.content}}))
    } else {
        let (repository, fragment) = pin.url.split_once('#').unwrap_or((&pin.url, ""));
        let repository = identifier(repository);
        let folder = fragment.split_once(':').map(|(_, folder)| format!(":{folder}")).unwrap_or_default();
        let from = if fragment.is_empty() { repository.clone() } else { format!("{repository}#{fragment}") };
        (from, json!({"identifier": format!("{repository}#{}{folder}", pin.content)}))
    };
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
        let pin = |url: &str| rule(&SourcePin { url: url.into(), content: "c0ffee".into() });
        assert_eq!(pin("https://h/r.git")["updates"]["identifier"], "git://h/r.git#c0ffee");
        assert_eq!(pin("https://h/r.git#main:sub")["selector"]["identifier"], "git://h/r.git#main:sub");
        assert_eq!(pin("https://h/r.git#main:sub")["updates"]["identifier"], "git://h/r.git#c0ffee:sub");
    }
}
