//! Which words in a final error stand for which kind of failure.
//!
//! Sources: BuildKit, containerd and buildx as of 2026; docker CLI; ECR user guide, "Common
//! errors"; the threads named in `tests/fixtures/failures.tsv`, which holds a real text for
//! each.

use super::classes::FailureKind;

/// A kind's words.
pub(super) struct Signature {
    /// All words of one of these stand in the text; lower case, and nothing from inside double
    /// quotes.
    pub(super) any: &'static [&'static [&'static str]],
    pub(super) kind: FailureKind,
    /// Better than the kind's own.
    pub(super) hint: Option<&'static str>,
}

macro_rules! signatures {
    ($($kind:ident $($hint:literal)? $([$($needle:literal),+])+;)+) => {
        &[$(Signature {
            any: &[$(&[$($needle),+]),+],
            kind: FailureKind::$kind,
            hint: signatures!(@hint $($hint)?),
        }),+]
    };
    (@hint $hint:literal) => { Some($hint) };
    (@hint) => { None };
}

/// First match counts; narrow ones stand before wide ones.
pub(super) const SIGNATURES: &[Signature] = signatures! {
    // A step's own end, whatever its command line says.
    DockerfileError "the step was killed, most often for want of memory; build less in parallel, or use a larger runner"
        ["did not complete successfully: exit code: 137"];
    DockerfileError ["did not complete successfully: exit code"] ["executor failed running"];
    Oom ["cannot allocate memory"] ["signal: killed"] ["oomkilled"] ["out of memory"];
    DiskFull ["no space left on device"] ["disk quota exceeded"];
    // The Dockerfile, before any step.
    DockerfileError "correct the Dockerfile"
        ["dockerfile parse error"] ["unknown instruction"] ["failed to parse stage name"] ["no build stage in current context"]
        ["both source and id can't be set"] ["circular dependency detected on stage"] ["base name (", ") should not be blank"]
        ["when using json array syntax"] ["unsupported modifier (", "in substitution"] ["dockerfile line greater than max allowed size"];
    // Before what failed for want of it.
    ToolMissing "the builder has no git: install it where BuildKit runs, or name another builder" ["unknown scheme git"];
    AuthMissing "give a token for the git repository in the input secrets, as GIT_AUTH_TOKEN" ["could not read username for"] ["could not read password for"];
    DockerfileError "correct the input target, or add the stage to the Dockerfile" ["target stage", "could not be found"];
    DockerfileError "the file is not in the build context; check its path and .dockerignore"
        ["failed to calculate checksum of ref"] ["failed to compute cache key", "\"\" not found"] ["failed to compute cache key", "\"\": not found"];
    DockerfileError "correct the input file, or add the Dockerfile" ["failed to read dockerfile"];
    DockerfileError "for another platform than the runner's, set up emulation with docker/setup-qemu-action" ["exec format error"];
    // Tools.
    UnsupportedDriver "annotate the manifest (manifest:NAME=value), or build an index: several platforms, or provenance"
        ["annotations not supported for single platform export"];
    UnsupportedDriver
        ["cache export is not supported for the docker driver"] ["cache export feature is currently not supported"]
        ["docker exporter does not currently support exporting manifest lists"]
        ["multi-platform build is not supported for the docker driver"] ["attestation is not supported for the docker driver"];
    Entitlement ["entitlement", "is not allowed"];
    ToolMissing ["cannot connect to the docker daemon"] ["failed to connect to the docker api"] ["error during connect"];
    ToolMissing "let this user use the docker engine: group docker, or a rootless engine"
        ["permission denied while trying to connect to the docker"];
    ToolMissing "install the docker-buildx plug-in" ["is not a docker command"] ["unknown command: docker buildx"];
    ToolTooOld ["unknown flag"];
    // The builder.
    BuilderLost
        ["failed to receive status", "code = unavailable"] ["error reading from server: eof"] ["graceful_stop"]
        ["no active session"] ["healthcheck failed fatally"] ["closed before server preface"]
        ["transport is closing"] ["closing transport"] ["client connection is closing"] ["received prior goaway"]
        ["container", "is not running"] ["no such container"];
    BuildkitInternal ["inconsistent graph state"] ["failed to get state for index"] ["failed to get edge"];
    EngineClash ["image \"\": already exists"];
    // Caches.
    LocalIndex ["index.json.lock"] ["could not unmarshal", "index.json"];
    CacheWriteFailed ["error writing layer blob"] ["error writing manifest blob"] ["error writing config blob"] ["cache exporter"] ["failed to reserve cache"] ["actions cache"];
    PullLimit ["pull rate limit"];
    Throttled ["too many requests"] ["toomanyrequests"] ["rate exceeded"] ["throttlingexception"] ["slow down", "reduce your request rate"];
    CacheReadLost
        ["failed to compute cache key", "blob not found"] ["blob sha256:", "not found"] ["httpreadseeker", "not found"]
        ["failed to compute cache key", "httpreadseeker"] ["failed to get reader from content provider"] ["could not resolve cache"]
        ["httpreadseeker", "403 forbidden"] ["failed to compute cache key", "status response 416"] ["cache importer"]
        ["failed to load cache key", "blob not found"];
    DigestMismatch ["unexpected commit digest"] ["failed size validation"] ["digest_invalid"] ["digest mismatch"] ["did not match uploaded content"];
    // Tags and rights.
    ImmutableTag ["tag invalid", "immutable"] ["tag '", "is immutable"] ["cannot be overwritten because"] ["imagetagalreadyexists"] ["configured as immutable"];
    TagLimit ["maximum allowed number of tags"] ["too many tags"];
    AuthExpired ["token has expired"] ["expiredtoken"] ["requestexpired"] ["token is expired"];
    ClockSkew ["signaturedoesnotmatch"] ["x509:", "is before"];
    TlsTrust ["x509:"] ["tls: failed to verify certificate"] ["http: server gave http response to https client"];
    BaseNotFound ["pull access denied"] ["no match for platform in manifest"]
        ["failed to resolve source metadata", ": not found"] ["failed to resolve source metadata", "forbidden"]
        ["failed to resolve source metadata", "unauthorized"] ["failed to resolve source metadata", "denied"];
    NotFoundRepo ["name unknown"] ["repositorynotfound"] ["name_unknown"];
    AuthDenied "allow the role the named action on the repository" ["not authorized to perform"];
    AuthDenied ["insufficient scopes"] ["permission_denied"] ["not allowed to", "package"];
    AuthMissing ["no basic auth credentials"] ["401 unauthorized"] ["insufficient_scope"] ["authentication required"]
        ["unauthorized:"] ["incorrect username or password"];
    UploadClash ["blob upload unknown"] ["blob upload invalid"] ["blob_upload_unknown"] ["blob_upload_invalid"]
        ["blob unknown to registry"] ["layer upload in progress"] ["push is on-going"] ["uploadnotfound"];
    // Registry and network; statuses before connections, names before addresses.
    // containerd prints a registry's own error in place of the status where there is one
    // (distribution specification, "Error codes").
    RegistryError ["unknown: unknown"] ["unavailable: service unavailable"];
    RegistryError ["500 internal server error"] ["502 bad gateway"] ["503 service unavailable"] ["504 gateway timeout"] ["504 gateway time-out"];
    AuthMissing ["failed to fetch anonymous token", "403"];
    AuthDenied ["403 forbidden"] ["accessdenied"] ["access denied"] ["denied:"];
    Dns ["no such host"] ["server misbehaving"] ["lookup ", "i/o timeout"] ["temporary failure in name resolution"];
    Refused ["connection refused"] ["network is unreachable"] ["no route to host"];
    TransientNetwork
        ["connection reset by peer"] ["broken pipe"] ["use of closed network connection"] ["unexpected eof"] [": eof"]
        ["tls handshake timeout"] ["i/o timeout"] ["connection timed out"] ["closed pipe"] ["closed response body"]
        ["context deadline exceeded"] ["client.timeout exceeded"] ["failed commit on ref", "no response"] ["stream error"]
        ["server sent goaway"] ["request canceled while waiting for connection"];
    BaseNotFound ["failed to resolve source metadata"] ["manifest unknown"];
    Cancelled ["context canceled"] ["got 3 sigterm/sigints"];
};
