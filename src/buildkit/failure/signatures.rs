//! The table from words in a final error to kinds of failure. A row is a kind, a hint if the kind's own does not fit, and
//! lists of words: `DiskFull ["no space left on device"];` says that a text with these words is of the kind `DiskFull`.
//!
//! Sources: BuildKit, containerd and buildx as of 2026; docker CLI; ECR user guide, "Common
//! errors"; the threads named in `tests/fixtures/failures.tsv`, which holds a real text for
//! each.

use crate::failure::FailureKind;

/// The words that stand for a kind of failure.
pub(super) struct Signature {
    /// The text must have all words of at least one of these lists. They are in lower case.
    pub(super) any: &'static [&'static [&'static str]],
    pub(super) kind: FailureKind,
    /// Takes the place of the kind's own hint.
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

/// First match counts; narrow ones stand before wide ones. A status in the text outranks the
/// wide ones (`structure::outranks`). Short words such as `ulimit` or `failed to stat ` (buildx of a
/// secret's file) are safe from the user's own words: the log, what is in double quotes, and a step that
/// ended by itself do not get here.
pub(super) const SIGNATURES: &[Signature] = signatures! {
    // A step's own end, whatever its command line says.
    DockerfileError "the step was killed, most often for want of memory; build less in parallel, or use a larger runner"
        ["did not complete successfully: exit code: 137"];
    DockerfileError ["did not complete successfully: exit code"] ["executor failed running"];
    // The machine: memory, disks, limits, clock and credential helpers.
    Oom ["cannot allocate memory"] ["oomkilled"] ["out of memory"];
    Killed ["signal: killed"];
    DiskFull ["no space left on device"] ["disk quota exceeded"];
    ReadOnly ["read-only file system"];
    MessageTooLarge ["message larger than max"];
    ClockSkew ["requesttimetooskewed"] ["requestexpired"] ["signature expired"] ["signature not yet current"] ["x509:", "is before"];
    CredentialHelper ["error getting credentials"] ["error storing credentials"] ["docker-credential-"] ["dbus-launch"];
    // The builder, before what failed for want of it.
    BuilderLost
        ["failed to receive status", "code = unavailable"] ["error reading from server: eof"] ["graceful_stop"]
        ["no active session"] ["healthcheck failed fatally"] ["closed before server preface"] ["unavailable: connection error"]
        ["transport is closing"] ["closing transport"] ["client connection is closing"] ["received prior goaway"]
        ["container", "is not running"] ["no such container"];
    BuildkitInternal ["inconsistent graph state"] ["failed to get state for index"] ["failed to get edge"]
        ["lease \"\": not found"] ["missing lease"] ["parent snapshot"] ["snapshot ", "does not exist"]
        ["locked for"] ["locked: unavailable"] ["content digest", "not found"] ["layer does not exist"]
        ["missing provenance for"] ["failed to get deleted record"] ["failed to get record"] ["nil pointer dereference"] ["concurrent map"];
    EngineClash ["image \"\": already exists"];
    ContainerRuntime ["buildctl: exec format error"] ["apparmor"] ["seccomp"] ["cgroup"] ["newuidmap"] ["rootlesskit"]
        ["failed to mount /", "permission denied"] ["failed to mount /", "operation not permitted"] ["runc did not terminate"]
        ["oci runtime create failed"] ["failed to create shim task"];
    // Tools, before what the same words mean in a Dockerfile.
    ToolMissing "the builder has no git: install it where BuildKit runs, or name another builder" ["unknown scheme git"];
    ToolMissing "let this user use the docker engine: group docker, or a rootless engine"
        ["permission denied while trying to connect to the docker"] ["docker.sock: connect: permission denied"];
    ToolMissing ["cannot connect to the docker daemon"] ["failed to connect to the docker api"] ["error during connect"]
        ["docker.sock: connect:"];
    ToolMissing "install the docker-buildx plug-in" ["is not a docker command"] ["unknown command: docker buildx"]
        ["buildx component is missing or broken"];
    ToolMissing "use a docker engine of today" ["daemon with experimental features"];
    ToolTooOld "update BuildKit, or the frontend that the Dockerfile's first line names"
        ["unsupported frontend capability"] ["unknown api capability"] ["requested experimental feature"];
    // The Dockerfile, before any step.
    DockerfileError "correct the Dockerfile"
        ["dockerfile parse error"] ["unknown instruction"] ["failed to parse stage name"] ["no build stage in current context"]
        ["both source and id can't be set"] ["circular dependency detected on stage"] ["base name (", ") should not be blank"]
        ["when using json array syntax"] ["unsupported modifier (", "in substitution"] ["dockerfile line greater than max allowed size"]
        ["dockerfile cannot be empty"] ["failed to parse platform"] ["invalid user index"] ["invalid group index"];
    CacheWriteFailed "name a folder whose path has plain ASCII letters alone"
        ["error writing layer blob", "contains value with non-printable ascii characters"];
    DockerfileError "correct the ignore file" ["header key", "contains value with non-printable ascii characters"]
        ["dockerignore"] ["illegal exclusion pattern"] ["syntax error in pattern"];
    DockerfileError "correct the input target, or add the stage to the Dockerfile" ["target stage", "could not be found"];
    DockerfileError "the file is not in the build context; check its path and .dockerignore"
        ["failed to calculate checksum of ref"] ["failed to compute cache key", "\"\" not found"] ["failed to compute cache key", "\"\": not found"]
        ["failed to walk ", "no such file"] ["lstat /", "no such file"] ["cannot copy to non-directory"] ["cannot replace to directory"];
    DockerfileError "check the URL that the Dockerfile adds" ["invalid response status"];
    DockerfileError "for another platform than the runner's, set up emulation with docker/setup-qemu-action" ["exec format error"];
    DockerfileError "check that the base image has the program that the step runs"
        ["unable to start container process", "no such file"] ["unable to start container process", "not a directory"]
        ["unable to start container process", "executable file not found"] ["unable to start container process: exec", "permission denied"];
    // What buildx refuses of an input.
    BadInput "correct the tag or the image's name" ["invalid tag"];
    BadInput "correct extra-args, or the input that the flag stands for" ["invalid argument", " for ", "flag"] ["invalid argument", " for t:"] ["flag needs an argument"];
    BadInput "give the secret in the input secrets, secret-envs or secret-files" ["failed to stat "] ["secret ", "not found"] ["unsupported secret type"] ["could not parse secret"];
    BadInput "start an SSH agent before this step (SSH_AUTH_SOCK), or name a key in the input ssh"
        ["ssh agent socket"] ["could not parse ssh"] ["ssh_auth_sock"] ["unset ssh forward key"] ["no ssh key"];
    BadInput "correct the input network" ["network mode", "not supported"];
    BadInput "correct the input add-hosts" ["invalid host"] ["add-host"] ["invalid ip"];
    BadInput "correct the input allow" ["unknown entitlement"] ["invalid entitlement"];
    BadInput "correct the input shm-size" ["invalid size"];
    BadInput "correct the input ulimit" ["ulimit"];
    BadInput "correct the inputs provenance and sbom" ["attestation type"] ["attest"  , "invalid"] ["failed to solve: invalid mode"];
    BadInput "correct the input buildkitd-config" ["failed to parse buildkit config"];
    BadInput "name a key without a passphrase, or an agent's socket, in the input ssh" ["failed to convert agent config"];
    BadInput "correct the inputs builder, driver and driver-opts"
        ["failed to find driver"] ["failed to find instance"] ["no builder \"\" found"] ["driver option"] ["driver-opt"];
    BadInput "correct the input context" ["failed to get build context"] ["must be within the build context"] ["error from sender"]
        ["evaluate symlinks in context path"];
    BadInput ["strconv.parse"];
    DockerfileError "correct the input file, or add the Dockerfile" ["failed to read dockerfile: open "] ["symlinks in dockerfile path"];
    // Git.
    AuthMissing "give a token for the git repository in the input secrets, as GIT_AUTH_TOKEN"
        ["could not read username for"] ["could not read password for"] ["authentication failed for"] ["terminal prompts disabled"];
    GitSource ["not our ref"] ["no such remote ref"] ["couldn't find remote ref"] ["remote: repository not found"]
        ["submodule path"] ["failed to update submodules"] ["host key verification failed"];
    BadInput "correct the input context" ["unable to prepare context"];
    // What a builder cannot do.
    UnsupportedDriver "annotate the manifest (manifest:NAME=value), or build an index: several platforms, or provenance"
        ["annotations not supported for single platform export"];
    UnsupportedDriver
        ["is not supported for the docker driver"] ["not supported for docker driver"] ["cache export feature is currently not supported"]
        ["docker exporter does not currently support exporting manifest lists"];
    Entitlement ["entitlement", "is not allowed"] ["additional privileges requested"];
    Entitlement "ask for it in the input allow: network.host, or security.insecure"
        ["network.host is not allowed"] ["security.insecure is not allowed"];
    ToolTooOld "update docker buildx; or correct extra-args, if the flag comes from there" ["unknown flag"] ["unknown shorthand flag"];
    BootFailed ["failed to initialize builder"] ["no valid drivers found"] ["replicas to be ready"] ["buildkitd.sock"]
        ["no such image: moby/buildkit"] ["privileged=true is not allowed"];
    // Caches.
    BadInput "correct the reference in cache-from or cache-to: its name is in lower case"
        ["cache exporter: invalid reference format"] ["cache importer: invalid reference format"];
    LocalIndex ["index.json.lock"] ["could not unmarshal", "index.json"];
    CacheWriteFailed ["error writing layer blob"] ["error writing manifest blob"] ["error writing config blob"] ["cache exporter"] ["failed to reserve cache"] ["actions cache"];
    PullLimit ["pull rate limit"] ["data limit exceeded"];
    Throttled ["too many requests"] ["toomanyrequests"] ["rate exceeded"] ["throttlingexception"] ["slow down", "reduce your request rate"];
    CacheReadLost
        ["failed to compute cache key", "blob not found"] ["blob sha256:", "not found"] ["httpreadseeker", "not found"]
        ["failed to get reader from content provider"] ["could not resolve cache"]
        ["failed to compute cache key", "httpreadseeker"]
        ["httpreadseeker", "403 forbidden"] ["failed to compute cache key", "status response 416"] ["cache importer"]
        ["failed to load cache key", "blob not found"];
    DigestMismatch ["unexpected commit digest"] ["failed size validation"] ["digest_invalid"] ["digest mismatch"] ["did not match uploaded content"]
        ["unxpected size"] ["unexpected size"];
    // Tags, room and rights.
    ImmutableTag ["tag invalid", "immutable"] ["tag '", "is immutable"] ["cannot be overwritten because"] ["imagetagalreadyexists"] ["configured as immutable"];
    TagLimit ["maximum allowed number of tags"] ["too many tags"];
    RegistryQuota ["exceed", "upper limit"] ["quota exceeded"] ["exceed", "quota"] ["maximum allowed number of images"] ["repositories, limit is"]
        ["read only mode"] ["read-only mode"] ["insufficient storage"] ["storage limit"];
    RegistryRefused ["manifest invalid"] ["manifest_invalid"] ["schema 1", "blocked"] ["entity too large"] ["method not allowed"]
        ["405 not allowed"] ["not supported by this url"] ["unsupported media type"] ["size_invalid"];
    AwsCredentials ["unrecognizedclientexception"] ["security token included in the request is invalid"] ["invalidclienttokenid"]
        ["unable to locate credentials"] ["nocredentialproviders"] ["signaturedoesnotmatch"];
    AwsUnavailable ["connection was closed before we received a valid response from endpoint url"]
        ["could not connect to the endpoint url"] ["timeout on endpoint url"];
    AuthExpired ["token has expired"] ["expiredtoken"] ["token is expired"];
    // Certificates and proxies.
    TlsExpired ["has expired or is not yet valid"] ["certificate has expired"];
    Proxy ["proxyconnect", "tls: "] ["proxy authentication required"];
    TlsTrust "use https where the registry speaks it, and http only where it does not: an insecure registry has to be configured in the engine and the builder"
        ["http: server gave http response to https client"] ["first record does not look like a tls handshake"];
    TlsTrust ["x509:"] ["tls: failed to verify certificate"];
    BaseNotFound ["pull access denied"] ["no match for platform in manifest"] ["no matching manifest for"]
        ["failed to resolve source metadata", ": not found"] ["failed to resolve source metadata", "forbidden"]
        ["failed to resolve source metadata", "unauthorized"] ["failed to resolve source metadata", "denied"];
    NotFoundRepo ["name unknown"] ["repositorynotfound"] ["name_unknown"] ["/blobs/uploads/: 404"];
    AuthDenied "allow the role the named action on the repository" ["not authorized to perform"];
    AuthMissing ["unauthenticated request"];
    AuthDenied ["insufficient scopes"] ["permission_denied"] ["not allowed to", "package"] ["requested access to the resource is denied"]
        ["unauthorized to access repository"];
    AuthMissing ["no basic auth credentials"] ["insufficient_scope"] ["authentication required"]
        ["unauthorized:"] ["incorrect username or password"];
    UploadClash ["blob upload unknown"] ["blob upload invalid"] ["blob_upload_unknown"] ["blob_upload_invalid"] ["blob_unknown"] ["unknown blob"]
        ["blob unknown to registry"] ["layer upload in progress"] ["push is on-going"] ["uploadnotfound"] ["failed commit on ref", "404 not found"];
    // Registry and network; names before addresses.
    // containerd prints a registry's own error in place of the status where there is one
    // (distribution specification, "Error codes").
    RegistryError ["unknown: unknown"] ["unavailable: service unavailable"];
    AuthMissing ["failed to fetch anonymous token", "403"];
    AuthDenied ["accessdenied"] ["access denied"] ["denied:"] ["is not allowed access"];
    Dns ["dial tcp: lookup "] ["no such host"] ["server misbehaving"] ["lookup ", "i/o timeout"] ["temporary failure in name resolution"] ["could not resolve host"];
    Refused ["connection refused"] ["network is unreachable"] ["no route to host"]
        // curl, in git: "couldn't" or "could not".
        ["failed to connect to", "t connect to server"];
    TransientNetwork
        ["connection reset by peer"] ["broken pipe"] ["use of closed network connection"] ["unexpected eof"] [": eof"]
        ["tls handshake timeout"] ["i/o timeout"] ["connection timed out"] ["closed pipe"] ["closed response body"]
        ["context deadline exceeded"] ["client.timeout exceeded"] ["failed commit on ref", "no response"] ["stream error"]
        ["server sent goaway"] ["request canceled while waiting for connection"] ["malformed mime header"] ["malformed http"]
        ["bad record mac"] ["http2: "];
    NotARegistry ["invalid character '<'"] ["error unmarshalling content"];
    GitSource ["failed to fetch remote"] ["error fetching default branch"] ["git stderr:"];
    BaseNotFound ["failed to resolve source metadata"] ["manifest unknown"];
    DockerfileError "correct the Dockerfile" ["invalid reference format"];
    Cancelled ["context canceled"] ["got 3 sigterm/sigints"];
};
