//! The table of failures: each [`FailureKind`] with its class (and so the exit code), what may help when it happens, and
//! the hint for a person. The table in `docs/troubleshooting.md` is made from it; `buildkit::failure` finds the kind of a text of BuildKit's.

use crate::phase::Phase;
use crate::texts::words;

words! {
    /// Classes of failure; each has its exit code, and scripts may rely on both.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
    #[serde(rename_all = "kebab-case")]
    pub enum FailureClass {
        /// An input is wrong.
        Input = "input",
        /// The user's own build failed.
        Build = "build",
        /// Credentials, rights, a missing repository or image.
        Access = "access",
        /// Network, registry or builder not available.
        Unavailable = "unavailable",
        /// Content is not what it must be, or a tag is taken by other content.
        Integrity = "integrity",
        /// The machine ran out of disk or memory.
        Resource = "resource",
        /// The environment or a tool cannot do what is asked.
        Unsupported = "unsupported",
        /// A defect of this program.
        Bug = "bug",
        /// Stopped by SIGINT.
        Interrupted = "cancelled",
        /// Stopped by SIGTERM.
        Terminated = "cancelled",
    }
    /// The value of the `failure-class` output.
    pub const fn name;
}

impl FailureClass {
    /// The process exit code.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Input => 2,
            Self::Build => 10,
            Self::Access => 20,
            Self::Unavailable => 30,
            Self::Integrity => 40,
            Self::Resource => 50,
            Self::Unsupported => 60,
            Self::Bug => 70,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }
}

words! {
    /// What may help after a failure; `execute::react` decides whether it is done, and when.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
    #[serde(rename_all = "kebab-case")]
    pub enum Reaction {
        /// Nothing: the next try would fail in the same way.
        Stop = "no",
        /// One more try, soon.
        Once = "once",
        /// More tries on the same builder, which has the finished layers.
        Again = "up to `retries` times, on the same builder",
        /// One more try on the same builder; then one that uses no layer of the builder's.
        WithoutLayers = "once, then once without the builder's layers",
        /// More tries with longer waits: a try that comes too early makes the failure worse.
        Slowly = "up to `retries` times, with longer waits",
        /// One more try on a builder made in place of this one.
        FreshBuilder = "once, on a fresh builder",
        /// One more try that reads no layer cache.
        WithoutCacheImports = "once, without reading the layer cache",
        /// One more try that writes no layer cache.
        WithoutCacheExports = "once, without writing the layer cache",
        /// One more try with a new token.
        NewLogin = "once, with a new login",
    }
    /// What is tried again, for the table in the docs.
    pub const fn words;
}

// `Variant "name" Class Reaction "hint" "meaning";`
macro_rules! kinds {
    ($($kind:ident $name:literal $class:ident $reaction:ident $hint:literal $doc:literal;)+) => {
        /// One kind of failure, narrower than the class that decides the exit code.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        pub enum FailureKind {
            $(#[doc = $doc] #[serde(rename = $name)] $kind),+
        }

        impl FailureKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$kind),+];

            /// The value of the `failure-cause` output.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$kind => $name),+ }
            }

            /// What happened, in a sentence.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$kind => $doc),+ }
            }

            /// The class, and so the exit code.
            #[must_use]
            pub const fn class(self) -> FailureClass {
                match self { $(Self::$kind => FailureClass::$class),+ }
            }

            /// What may help.
            #[must_use]
            pub const fn reaction(self) -> Reaction {
                match self { $(Self::$kind => Reaction::$reaction),+ }
            }

            /// The one next thing for a person to do; empty for [`FailureKind::Unknown`] alone.
            #[must_use]
            pub const fn hint(self) -> &'static str {
                match self { $(Self::$kind => $hint),+ }
            }
        }
    };
}

kinds! {
    BadInput "bad-input" Input Stop "correct the input that the text names"
        "An input is wrong.";
    DockerfileError "dockerfile-error" Build Stop "the failing step is shown above"
        "A step of the Dockerfile failed, or the Dockerfile is wrong.";
    BaseNotFound "base-not-found" Build Stop "check the base image's name, tag and platform, and that this job may read it"
        "A base image is absent, or may not be read.";
    DiskFull "disk-full" Resource Stop "free disk space on the runner, or use a larger one"
        "The builder's or the engine's disk is full.";
    Oom "oom" Resource Stop "use a runner with more memory, or build less in parallel"
        "The builder, or docker itself, ran out of memory.";
    Killed "killed" Unavailable Stop "SIGKILL comes from the kernel where memory ends, or from a person or a program: look at the kernel's log (dmesg) and at what else runs there; with too little memory use a larger runner, or build less in parallel"
        "Docker, or a program that BuildKit ran, was ended by SIGKILL, and nothing says why.";
    ImmutableTag "immutable-tag" Integrity Stop "add the tag to the repository's mutability exclusions, or use another tag"
        "The tag is there, and may not be changed.";
    TagTaken "tag-taken" Integrity Stop "use one image name for each set of inputs"
        "The tag is there, and names other content.";
    OlderCommit "older-commit" Integrity Stop "the run of the newer commit sets the tag; on-older: set sets it in any case, skip leaves it and goes on"
        "A tag stands for a newer commit or version than this run's, and on-older is fail.";
    TagLimit "tag-limit" Access Stop "the registry takes no more tags on this image; remove old ones"
        "The image has as many tags as the registry allows.";
    RegistryQuota "registry-quota" Access Stop "remove old images from the registry, or raise its limit"
        "The registry takes no more: its quota is used up, or it is read-only.";
    AuthExpired "auth-expired" Access NewLogin "log in to the registry again; ECR's token lasts 12 hours"
        "The login was good and has expired.";
    AuthMissing "auth-missing" Access Stop "log in to the registry: docker/login-action, or the input logins"
        "There is no login for the registry, or the registry does not accept it.";
    AuthDenied "auth-denied" Access Stop "check that the login may write to the repository"
        "The login may not do this.";
    CredentialHelper "credential-helper" Access Stop "install or repair the credential helper that docker's configuration names, or remove it there"
        "The credential helper that docker's configuration names failed.";
    AwsCredentials "aws-credentials" Access Stop "give valid AWS credentials: aws-actions/configure-aws-credentials before this step, or an instance role"
        "There are no AWS credentials, or AWS does not accept them.";
    Proxy "proxy" Access Stop "correct the proxy's address and login (HTTPS_PROXY), here, in the engine and in the builder"
        "A proxy asks for a login, or does not speak as its address says.";
    NotFoundRepo "not-found-repo" Access Stop "create the repository, or correct its name"
        "The repository does not exist.";
    NotSetUp "not-set-up" Access Stop "see in the text which setting is not as asked"
        "A repository is not set up as the inputs ask.";
    NoRepository "no-repository" Access Stop "name the repository in the input repository"
        "The run needs a repository, and none is named.";
    NoImage "no-image" Access Stop "let the job that builds the image run first (needs), with the same inputs"
        "No image with this key or digest is there.";
    NotPublished "not-published" Access Stop "publish from a run that may: a push to a branch, the merge queue"
        "This run may not publish, and was asked to.";
    GitSource "git-source" Access Stop "check the git repository's URL, reference and submodules; a private one needs a token: the input secrets, GIT_AUTH_TOKEN"
        "Git does not hand out a repository, reference or submodule.";
    ClockSkew "clock-skew" Access Stop "set the runner's clock"
        "This machine's clock is wrong: a signature or certificate is not valid at its time.";
    TlsTrust "tls-trust" Unsupported Stop "trust the registry's certificate authority in the engine and the builder"
        "The registry's certificate is not trusted.";
    TlsExpired "tls-expired" Unsupported Stop "renew the registry's certificate; or set this machine's clock, if it is wrong"
        "The registry's certificate has expired.";
    RegistryRefused "registry-refused" Unsupported Stop "the registry, or a proxy before it, does not take content of this size or format: raise its limit, or try provenance: false"
        "The registry, or a proxy before it, refuses the size or the format of what is sent.";
    PullLimit "pull-limit" Unavailable Stop "log in to the base image's registry, or use a mirror or pull-through cache"
        "The pulls that the base image's registry allows are used up.";
    Throttled "throttled" Unavailable Slowly "the registry limits the rate of requests; it recovers by itself"
        "The registry asks for fewer requests.";
    RegistryError "registry-5xx" Unavailable Again "the registry has a problem of its own; look at its status page, and try again"
        "The registry answers with an error of its own.";
    AwsUnavailable "aws-unavailable" Unavailable Stop "try again; check that this machine reaches the AWS endpoint"
        "An AWS service does not answer, or answers with an error of its own.";
    NotARegistry "not-a-registry" Unavailable Stop "correct the registry's address; a proxy, a mirror or a login page may answer in its place"
        "What answers does not answer as a registry does.";
    DeleteOff "delete-off" Unsupported Stop "switch deletion on in the registry, or remove images by its own means"
        "The registry deletes nothing, or no tag without its image.";
    CacheReadLost "cache-read-lost" Unavailable WithoutCacheImports "the layer cache names content that is gone; the next run writes it again"
        "The layer cache lacks what its index names.";
    CacheWriteFailed "cache-write-failed" Unavailable WithoutCacheExports "check that the login may write the cache, and that its tag is mutable"
        "The layer cache cannot be written.";
    LocalIndex "local-index" Unavailable WithoutCacheExports "give each job a cache folder of its own"
        "Builds on one machine share a cache folder that takes one at a time.";
    BuilderLost "builder-lost" Unavailable FreshBuilder "the builder or the engine went away: memory, restarts, parallel jobs"
        "The builder, or its engine, went away during the build.";
    BootFailed "boot-failed" Unavailable Stop "see in the text what the builder lacks; or name a builder that runs in the input builder"
        "A builder that was made does not boot.";
    BuildkitInternal "buildkit-internal" Unavailable WithoutLayers "a known defect of BuildKit's solver; update BuildKit"
        "BuildKit lost track of its own work.";
    MessageTooLarge "message-too-large" Unsupported Stop "update BuildKit; or make the Dockerfile, its arguments or the build context smaller"
        "A message is larger than BuildKit's protocol allows.";
    Hang "hang" Unavailable FreshBuilder "raise stall-timeout if this can take so long, or look at the builder and the registry"
        "Nothing moved for longer than the input stall-timeout allows.";
    DigestMismatch "digest-mismatch" Integrity WithoutCacheImports "content changed on its way; look for a broken proxy or mirror"
        "Content is not what its digest says.";
    UploadClash "upload-clash" Unavailable Again "another push sends the same layer at the same moment"
        "The registry lost or mixed up an upload.";
    EngineClash "engine-clash" Unavailable Again "another job on this engine ended the same build at the same moment"
        "Two builds named one image in the engine's store.";
    UnsupportedDriver "unsupported-driver" Unsupported Stop "use a docker-container builder, or an engine with the containerd image store"
        "The builder's driver cannot do what is asked.";
    ContainerRuntime "container-runtime" Unsupported Stop "let the builder run privileged, or name another one in the input builder"
        "The kernel or the container runtime refuses what BuildKit needs.";
    UnsafeEvent "unsafe-event" Unsupported Stop "build in a pull_request run; mode pull works here for an image that is there"
        "The event would run a stranger's code with this repository's rights.";
    ReadOnly "read-only" Unsupported Stop "make the folder writable, or name another one"
        "A folder or a disk cannot be written.";
    Machine "machine" Unsupported Stop "look at what the text says this machine lacks"
        "The machine lacks something that is always there.";
    Entitlement "entitlement" Unsupported Stop "use a builder that grants it: its BuildKit must allow the entitlement"
        "The builder does not grant a right that the build asks for.";
    ToolMissing "tool-missing" Unsupported Stop "start the docker engine, or point DOCKER_HOST at one"
        "There is no docker engine, or no buildx.";
    ToolTooOld "tool-too-old" Unsupported Stop "update docker buildx"
        "buildx does not know an option.";
    Dns "dns" Unavailable Once "check the spelling of the registry's host, and the runner's name server"
        "A host name leads nowhere.";
    Refused "refused" Unavailable Once "check that the registry is up, and its name and port"
        "Nothing answers at the registry's address.";
    TransientNetwork "transient-network" Unavailable Again "the network broke; try again"
        "A connection broke.";
    EventualRead "eventual-read" Unavailable Stop "try again; if it stays so, look at the registry's lifecycle rules"
        "What was pushed cannot be read.";
    SourceGone "source-gone" Unavailable Stop "run again: the image is built again"
        "The image that was found was deleted meanwhile.";
    Unsettled "unsettled" Unavailable Stop "run again: other runs keep setting the same tag"
        "A tag keeps changing.";
    WaitTimeout "wait-timeout" Unavailable Stop "look at the job that builds the image, or raise wait-timeout"
        "The image that was waited for did not appear.";
    Timeout "timeout" Unavailable Stop "raise the input timeout, or see in the summary where the time went"
        "The time that the input timeout allows is over.";
    BadAnswer "bad-answer" Unavailable Stop "try again; if it stays so, report the text that is quoted"
        "An answer cannot be read.";
    Cancelled "cancelled" Unavailable Stop "something else stopped docker: a signal, or a restart of its engine"
        "Docker was stopped by something else than this run.";
    Unknown "unknown" Unavailable Stop ""
        "An error that is not in this table; its text is quoted as it came.";
}

impl FailureKind {
    /// As [`Self::hint`], where the host is no registry but a git server, or a server that an `ADD` fetches from.
    #[must_use]
    pub const fn hint_of_host(self) -> &'static str {
        match self {
            Self::Dns => "check the spelling of the host, and the runner's name server",
            Self::Refused => "check that the host is up, and its name and port",
            Self::TlsTrust => {
                "trust the host's certificate, or its authority's, on this machine (SSL_CERT_FILE) and in the builder"
            }
            Self::TlsExpired => "renew the host's certificate; or set this machine's clock, if it is wrong",
            Self::RegistryError => "the host has a problem of its own; try again",
            Self::Throttled => "the host limits the rate of requests; try again later",
            Self::AuthMissing | Self::AuthDenied | Self::AuthExpired => Self::GitSource.hint(),
            _ => self.hint(),
        }
    }

    /// What may help if the failure came in this part of a build.
    #[must_use]
    pub const fn reaction_at(self, phase: Option<Phase>) -> Reaction {
        match (self, phase) {
            (Self::Hang, Some(Phase::CacheExport)) => Reaction::WithoutCacheExports,
            (Self::Hang, Some(Phase::CacheImport)) => Reaction::WithoutCacheImports,
            _ => self.reaction(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_plain() {
        let mut names: Vec<_> = FailureKind::ALL.iter().map(|kind| kind.name()).collect();
        assert!(
            names
                .iter()
                .all(|name| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-' || b.is_ascii_digit()))
        );
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), FailureKind::ALL.len());
    }

    #[test]
    fn what_a_person_must_mend_is_not_tried_again() {
        for kind in FailureKind::ALL {
            if matches!(
                kind.class(),
                FailureClass::Build | FailureClass::Resource | FailureClass::Unsupported
            ) {
                assert_eq!(kind.reaction(), Reaction::Stop, "{}", kind.name());
            }
        }
    }
}
