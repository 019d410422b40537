//! What docker and BuildKit say when they fail, turned into a class and a hint.
//!
//! Only the final error is read, never the build's log: a `RUN` step can print anything.

use crate::error::{Error, FailureClass};

/// One kind of failure.
struct Signature {
    /// All of these stand in the text (compared in lower case).
    needles: &'static [&'static str],
    class: FailureClass,
    hint: &'static str,
    /// Whether the same may work the next time.
    again: bool,
}

macro_rules! signatures {
    ($($class:ident $again:literal $hint:literal $([$($needle:literal),+])+;)+) => {
        &[$($(Signature { needles: &[$($needle),+], class: FailureClass::$class, hint: $hint, again: $again }),+),+]
    };
}

/// First match counts; narrow ones stand before wide ones. Texts: BuildKit, containerd, docker
/// CLI, ECR user guide ("Troubleshooting errors with Docker commands").
const SIGNATURES: &[Signature] = signatures! {
    Build false "the failing step is shown above" ["did not complete successfully: exit code"];
    Build false "correct the Dockerfile" ["dockerfile parse error"] ["unknown instruction"] ["failed to parse stage name"];
    Build false "correct the input target, or add the stage to the Dockerfile" ["target stage", "could not be found"];
    Build false "the file is not in the build context; check its path and .dockerignore"
        ["failed to calculate checksum of ref"] ["failed to compute cache key", "not found", "\"/"];
    Build false "correct the input file, or add the Dockerfile" ["failed to read dockerfile"];
    Integrity false "add the tag to the repository's mutability exclusions, or use another tag" ["tag invalid", "immutable"] ["tag '", "is immutable"];
    Access false "create the repository, or correct its name" ["name unknown: the repository"] ["repository", "does not exist", "name unknown"];
    Access false "log in to the registry again; ECR's token lasts 12 hours" ["authorization token has expired"];
    Access false "allow the role the named action on the repository" ["not authorized to perform: ecr"];
    Access false "log in to the registry: docker/login-action, or the input logins"
        ["no basic auth credentials"] ["401 unauthorized"] ["unauthorized: authentication required"] ["insufficient_scope"];
    Access false "check that the login may write to the repository" ["403 forbidden"] ["denied:"];
    Build false "check the base image's name, tag and platform, and that this job may read it"
        ["failed to resolve source metadata"] ["pull access denied"] ["no match for platform in manifest"];
    Resource false "free disk space on the runner, or use a larger one" ["no space left on device"];
    Resource false "use a runner with more memory, or build less in parallel" ["cannot allocate memory"];
    Unsupported false "use a docker-container builder, or an engine with the containerd image store"
        ["cache export is not supported for the docker driver"] ["docker exporter does not currently support exporting manifest lists"];
    Unsupported false "start the docker engine, or point DOCKER_HOST at one" ["cannot connect to the docker daemon"] ["failed to connect to the docker api"];
    Unsupported false "trust the registry's certificate authority in the engine and the builder" ["x509:"];
    Unsupported false "update docker buildx" ["unknown flag"];
    Unavailable true "the registry limits the rate of requests; it recovers by itself" ["429 too many requests"] ["toomanyrequests"] ["rate exceeded"];
    Unavailable true "the registry has a problem of its own; try again" ["500 internal server error"] ["502 bad gateway"] ["503 service unavailable"] ["504 gateway timeout"];
    Unavailable true "another job on this engine ended the same build at the same moment" ["image \"", "\": already exists"];
    Unavailable true "the builder or the engine went away: memory, restarts, parallel jobs" ["error reading from server: eof"] ["failed to receive status"];
    Unavailable true "the network broke; try again" ["connection reset by peer"] ["broken pipe"] ["unexpected eof"] [": eof"] ["tls handshake timeout"] ["i/o timeout"] ["connection timed out"];
    Unavailable true "is the registry up, and its name right?" ["connection refused"] ["no such host"] ["server misbehaving"] ["network is unreachable"];
    Integrity false "content changed on its way; try once more, and look for a proxy" ["unexpected commit digest"] ["failed size validation"] ["digest_invalid"];
};

fn find(text: &str) -> Option<&'static Signature> {
    let text = text.to_lowercase();
    SIGNATURES.iter().find(|signature| signature.needles.iter().all(|needle| text.contains(needle)))
}

/// The error for a child's final words. What is not known is `unavailable` with the raw line:
/// unknown is never success, and never the user's fault.
#[must_use]
pub fn classify(what: &str, text: &str) -> Error {
    let cause = text.trim().trim_start_matches("ERROR: ").to_owned();
    let found = find(&cause);
    let error = Error::new(found.map_or(FailureClass::Unavailable, |found| found.class), what);
    let error = if cause.is_empty() { error } else { error.cause(cause) };
    match found {
        Some(found) => error.hint(found.hint),
        None => error,
    }
}

/// Whether the same may work the next time.
#[must_use]
pub fn is_transient(error: &Error) -> bool {
    error.causes.iter().any(|cause| find(cause).is_some_and(|found| found.again))
}

/// Texts of failures that a layer cache is to blame for (BuildKit `cache/remotecache`,
/// `solver/llbsolver`; moby/buildkit#2836): a blob that has vanished, an export that broke.
const CACHE_FAULTS: &[&[&str]] = &[
    &["failed to compute cache key", "blob", "not found"],
    &["failed to compute cache key", "httpreadseeker"],
    &["failed to load cache key"],
    &["failed to get reader from content provider"],
    &["error writing layer blob"],
    &["error writing manifest blob"],
    &["failed to configure", "cache"],
    &["failed to get credentials", "cache"],
    &["could not resolve cache"],
    &["unknown cache"],
    &["cache export is not supported"],
    &["github actions cache"],
    &["actions cache"],
];

/// Whether the same build may pass without its layer caches. A failing step's own text never
/// counts.
#[must_use]
pub fn is_cache_fault(error: &Error) -> bool {
    error.causes.iter().any(|cause| {
        let text = cause.to_lowercase();
        !text.contains("did not complete successfully")
            && CACHE_FAULTS.iter().any(|needles| needles.iter().all(|needle| text.contains(needle)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use FailureClass::{Access, Build, Resource, Unavailable, Unsupported};

    #[test]
    fn real_texts() {
        let rows = [
            (
                r#"ERROR: failed to build: failed to solve: process "/bin/sh -c false" did not complete successfully: exit code: 1"#,
                Build,
                false,
            ),
            (
                r#"failed to solve: failed to compute cache key: failed to calculate checksum of ref abc::def: "/absent": not found"#,
                Build,
                false,
            ),
            ("failed to solve: target stage \"x\" could not be found", Build, false),
            (
                "failed to push h/ci:t: name unknown: The repository with name 'ci' does not exist in the registry with id '1'",
                Access,
                false,
            ),
            ("denied: User: arn:x is not authorized to perform: ecr:PutImage on resource: y", Access, false),
            ("failed to authorize: no basic auth credentials", Access, false),
            (
                "unexpected status from PUT request to https://h/v2/: 500 Internal Server Error",
                Unavailable,
                true,
            ),
            (
                "failed to receive status: rpc error: code = Unavailable desc = error reading from server: EOF",
                Unavailable,
                true,
            ),
            (r#"failed to solve: image "h/r:t": already exists"#, Unavailable, true),
            ("failed to do request: Put \"https://h/v2/\": EOF", Unavailable, true),
            ("write /x: no space left on device", Resource, false),
            ("Cache export is not supported for the docker driver.", Unsupported, false),
            ("something nobody has seen", Unavailable, false),
        ];
        for (text, class, again) in rows {
            let error = classify("failed", text);
            assert_eq!((error.class, is_transient(&error)), (class, again), "{text}");
        }
    }

    #[test]
    fn a_fault_of_the_cache_is_known_from_others() {
        for (text, expected) in [
            (
                "failed to solve: failed to compute cache key: failed to copy: httpReadSeeker: failed open: unexpected status code https://h/v2/x: 503",
                true,
            ),
            ("failed to solve: failed to compute cache key: blob sha256:1: not found", true),
            ("failed to solve: error writing layer blob: failed to copy: denied", true),
            ("failed to solve: failed to configure s3 cache exporter: bucket is not set", true),
            (
                r#"failed to solve: failed to compute cache key: failed to calculate checksum of ref a::b: "/x": not found"#,
                false,
            ),
            (
                r#"process "/bin/sh -c echo error writing layer blob" did not complete successfully: exit code: 1"#,
                false,
            ),
            ("failed to push h/r:t: 403 Forbidden", false),
        ] {
            assert_eq!(is_cache_fault(&classify("the build failed", text)), expected, "{text}");
        }
    }
}
