//! The failures that are told apart, as data: exit class, reaction, hint.

use crate::error::FailureClass;

/// What may help when this happens; [`crate::execute`] decides whether it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reaction {
    /// Nothing: the same the next time.
    Stop,
    /// One more try, soon.
    Once,
    /// More tries on the same builder, whose layers are warm.
    Again,
    /// The same with longer waits: each try too early makes it worse.
    Slowly,
    /// One more try on a builder made in place of this one.
    FreshBuilder,
    /// One more try that reads no layer cache.
    WithoutCacheImports,
    /// One more try that writes no layer cache.
    WithoutCacheExports,
    /// One more try with a new token.
    NewLogin,
}

impl Reaction {
    /// For a table: what is tried again.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Stop => "no",
            Self::Once => "once",
            Self::Again => "up to `retries` times, on the same builder",
            Self::Slowly => "up to `retries` times, with longer waits",
            Self::FreshBuilder => "once, on a fresh builder",
            Self::WithoutCacheImports => "once, without reading the layer cache",
            Self::WithoutCacheExports => "once, without writing the layer cache",
            Self::NewLogin => "once, with a new login",
        }
    }
}

macro_rules! kinds {
    ($($kind:ident $name:literal $class:ident $reaction:ident $hint:literal $doc:literal;)+) => {
        /// One kind of failure, narrower than the class that decides the exit code.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
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

            /// What it is, in a sentence.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$kind => $doc),+ }
            }

            /// Its class, and so the exit code.
            #[must_use]
            pub const fn class(self) -> FailureClass {
                match self { $(Self::$kind => FailureClass::$class),+ }
            }

            /// What may help.
            #[must_use]
            pub const fn reaction(self) -> Reaction {
                match self { $(Self::$kind => Reaction::$reaction),+ }
            }

            /// The one next thing for a person to do; empty where nobody knows.
            #[must_use]
            pub const fn hint(self) -> &'static str {
                match self { $(Self::$kind => $hint),+ }
            }
        }
    };
}

kinds! {
    DockerfileError "dockerfile-error" Build Stop "the failing step is shown above"
        "A step of the Dockerfile failed, or the Dockerfile is wrong.";
    BaseNotFound "base-not-found" Build Stop "check the base image's name, tag and platform, and that this job may read it"
        "A base image is absent, or may not be read.";
    DiskFull "disk-full" Resource Stop "free disk space on the runner, or use a larger one"
        "The builder's or the engine's disk is full.";
    Oom "oom" Resource Stop "use a runner with more memory, or build less in parallel"
        "The builder, or docker itself, ran out of memory.";
    ImmutableTag "immutable-tag" Integrity Stop "add the tag to the repository's mutability exclusions, or use another tag"
        "The tag is there, and may not be changed.";
    TagLimit "tag-limit" Access Stop "the registry takes no more tags on this image; remove old ones"
        "The image has as many tags as the registry allows.";
    AuthExpired "auth-expired" Access NewLogin "log in to the registry again; ECR's token lasts 12 hours"
        "The login was good and has expired.";
    AuthMissing "auth-missing" Access Stop "log in to the registry: docker/login-action, or the input logins"
        "There is no login for the registry, or it does not know it.";
    AuthDenied "auth-denied" Access Stop "check that the login may write to the repository"
        "The login may not do this.";
    NotFoundRepo "not-found-repo" Access Stop "create the repository, or correct its name"
        "The repository does not exist.";
    ClockSkew "clock-skew" Access Stop "set the runner's clock"
        "A signature or certificate is from the future.";
    TlsTrust "tls-trust" Unsupported Stop "trust the registry's certificate authority in the engine and the builder"
        "The registry's certificate is not trusted, or has expired.";
    PullLimit "pull-limit" Unavailable Stop "log in to the base image's registry, or use a mirror or pull-through cache"
        "The pulls that the base image's registry allows are used up.";
    Throttled "throttled" Unavailable Slowly "the registry limits the rate of requests; it recovers by itself"
        "The registry asks for fewer requests.";
    RegistryError "registry-5xx" Unavailable Again "the registry has a problem of its own; look at its status page, and try again"
        "The registry answers with an error of its own.";
    CacheReadLost "cache-read-lost" Unavailable WithoutCacheImports "the layer cache names content that is gone; the next run writes it anew"
        "The layer cache lacks what its index names.";
    CacheWriteFailed "cache-write-failed" Unavailable WithoutCacheExports "check that the login may write the cache, and that its tag is mutable"
        "The layer cache cannot be written.";
    LocalIndex "local-index" Unavailable WithoutCacheExports "give each job a cache folder of its own"
        "Builds on one machine share a cache folder that takes one at a time.";
    BuilderLost "builder-lost" Unavailable FreshBuilder "the builder or the engine went away: memory, restarts, parallel jobs"
        "The builder, or its engine, went away during the build.";
    BootFailed "boot-failed" Unavailable Stop "name a BuildKit image that this runner can pull in the input buildkit-image, or a builder in the input builder"
        "A builder that was made does not boot.";
    BuildkitInternal "buildkit-internal" Unavailable Again "a known defect of BuildKit's solver; update BuildKit"
        "BuildKit lost track of its own work.";
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
    Entitlement "entitlement" Unsupported Stop "use a builder that grants it: its BuildKit must allow the entitlement"
        "The builder does not grant a right that the build asks for.";
    ToolMissing "tool-missing" Unsupported Stop "start the docker engine, or point DOCKER_HOST at one"
        "There is no docker engine, or no buildx.";
    ToolTooOld "tool-too-old" Unsupported Stop "update docker buildx"
        "buildx does not know an option.";
    Dns "dns" Unavailable Once "check the spelling of the registry's host, and the runner's name server"
        "A host name leads nowhere.";
    Refused "refused" Unavailable Once "is the registry up, and its name right?"
        "Nobody answers at the registry's address.";
    TransientNetwork "transient-network" Unavailable Again "the network broke; try again"
        "A connection broke.";
    EventualRead "eventual-read" Unavailable Stop "try again; if it stays so, look at the registry's lifecycle rules"
        "What was pushed cannot be read.";
    SourceGone "source-gone" Unavailable Stop "run again: the image is built anew"
        "The image that was found was deleted meanwhile.";
    Cancelled "cancelled" Unavailable Stop "something else stopped docker: a signal, or a restart of its engine"
        "Docker was stopped by somebody else.";
    Unknown "unknown" Unavailable Once ""
        "An error that is not in this table; its text is quoted as it came.";
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
