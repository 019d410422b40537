//! The one definition of the inputs: flags of the program, inputs of the action.
//! `action.yml`, `docs/inputs.md` and `--help` are checked against it.

use clap::Args;

/// Declares the inputs as optional strings with a name, a heading, and a default where there is one. clap fills the
/// defaults in; `RawInputs::default()` has none, so the reading code has them too.
macro_rules! raw_inputs {
    ($name:ident $($heading:literal { $($(#[doc = $doc:literal])+ $field:ident $(= $default:literal)?;)+ })+) => {
        /// The inputs as text; unset and empty are the same. No `Debug`, because secrets are among them.
        #[derive(Clone, Default, Args)]
        #[allow(clippy::doc_markdown, reason = "the comments are help texts, read as they stand")]
        pub struct $name {
            $($(
                $(#[doc = $doc])+
                #[arg(long, value_name = "VALUE", help_heading = $heading, allow_hyphen_values = true $(, default_value = $default)?)]
                pub $field: Option<String>,
            )+)+
        }

        impl $name {
            /// Every input's name and text.
            pub fn entries(&self) -> impl Iterator<Item = (String, Option<&str>)> {
                [$($((stringify!($field).replace('_', "-"), self.$field.as_deref()),)+)+].into_iter()
            }

            /// Every input's heading, name and default.
            pub fn schema() -> impl Iterator<Item = (&'static str, String, Option<&'static str>)> {
                [$($(($heading, stringify!($field).replace('_', "-"), None$(.or(Some($default)))?),)+)+].into_iter()
            }
        }
    };
}

pub(super) use raw_inputs;

raw_inputs! { RawInputs
    "What" {
        /// Name of the image: what it is called locally, and part of its tags. Required, unless tags or outputs name an image: then the last part of the first name's path is used.
        image;
        /// Repository that shares the image, such as 123456789012.dkr.ecr.us-east-1.amazonaws.com/ci. Without it the first of these that is set: a full reference in tags, BUILD_ONCE_REPOSITORY, ECR_CACHE_URL, the parameter that ssm-parameter names; without any, the image stays on this machine.
        repository;
        /// Second repository, for pull requests and branches without protection: they write there, and read repository too. The rights in the registry then keep them away from the images of trusted runs.
        pr_repository;
        /// More tags to publish, one a line: short names within the run's repository, or full references as docker/metadata-action writes them. ${SHA}, ${SHORT_SHA}, ${DATE}, ${BRANCH}, ${VERSION}, ${PR} and ${RUN} stand for facts of the run; a line whose fact the run does not have is left out. Trusted runs set tags; pull requests only those in the repository of the input pr-repository.
        tags;
        /// File with more lines for tags.
        tags_file;
        /// When one of tags names a newer commit or version than this run's: skip (leave it, and say so), fail, or set (set it back).
        on_older = "skip";
        /// build (find it, else build it), pull (make it available locally), merge (make one image of platforms that were built apart) or plan (say what is missing, and which jobs would build it; needs no engine).
        mode = "build";
        /// With mode pull: pull exactly this digest; no checkout needed.
        digest;
        /// With mode plan: the runner of each platform in the output matrix, PLATFORM=LABEL or PLATFORM=[LABEL, LABEL], one a line, such as linux/arm64=ubuntu-24.04-arm; without a line ubuntu-latest.
        runners;
        /// With mode merge: the digests of the platforms that were built apart, PLATFORM=DIGEST or DIGEST, one a line; without them the platforms of the input platforms are found by their keys, with the inputs of the jobs that build them. With mode pull: the images to pull, as the output digests of the job that built them. With digests no checkout is needed.
        digests;
        /// Make the image available to the local engine: true, false, or auto (true with mode pull or without a repository, else false).
        load = "auto";
        /// Publish the built image: true (fail if that is not possible), false, or auto (true if there is a repository and the run may write to it, else false).
        push = "auto";
        /// Output of the build, as docker buildx build takes it: type=image, type=registry, type=docker or type=cacheonly, instead of push, load, tags and compression. Outputs to files are refused.
        outputs;
        /// build, or check: run the checks of the Dockerfile in place of a build, and fail where they find something.
        call = "build";
        /// Build although the image is there: the new image takes over the key's tag and the commit's. Not with mode pull.
        rebuild = "false";
        /// With mode pull, if the image is missing: build (with a warning), wait, or fail. With mode merge, if a platform is missing: wait (also for build), or fail.
        on_missing = "build";
        /// Time limit of on-missing: wait, such as 90s, 10m or 2h.
        wait_timeout = "10m";
    }
    "Many images" {
        /// Definition files of docker buildx bake, one a line: HCL, JSON or Compose. Each target is an image, named after the target; with image, IMAGE-TARGET.
        bake;
        /// Targets and groups of bake to find or build, one a line or with commas between; with digests and mode pull, the images to pull.
        targets = "default";
        /// Values in place of those in the definition, as docker buildx bake --set takes them, one a line: *.args.NAME=value.
        set;
    }
    "Build" {
        /// Build context: a folder, or a git repository as URL#ref:folder, of which the commit counts in the key. {{defaultContext}} is this run's repository at its commit.
        context = ".";
        /// Dockerfile; without it the one in the context.
        file;
        /// The text of the Dockerfile, in place of a file.
        dockerfile_inline;
        /// More patterns in the language of .dockerignore, one a line, such as .git: left out of the build and of the key.
        exclude;
        /// Stage to build; without it the last one.
        target;
        /// Platforms, such as linux/amd64,linux/arm64; without it DOCKER_DEFAULT_PLATFORM, else the platform of this machine.
        platforms;
        /// Build arguments, NAME=value, one a line; NAME alone takes the environment's value.
        build_args;
        /// File with more lines for build-args.
        build_args_file;
        /// Named build contexts, NAME=PATH or NAME=docker-image://REFERENCE, one a line. NAME=build-once://IMAGE is the image that another step or job of this commit built: its key counts.
        build_contexts;
        /// Labels, NAME=value, one a line.
        labels;
        /// File with more lines for labels.
        labels_file;
        /// Annotations, [TYPE:]NAME=value, one a line.
        annotations;
        /// File with more lines for annotations.
        annotations_file;
        /// Build secrets by value, ID=value, one a line; a value of several lines as "ID=value" in double quotes. Those without a value are left out with a warning.
        secrets;
        /// Build secrets from the environment, ID=VARIABLE, one a line or with commas between.
        secret_envs;
        /// Build secrets from files, ID=PATH, one a line.
        secret_files;
        /// SSH agent sockets or keys, default or ID=SOCKET, one a line.
        ssh;
        /// Entitlements, such as network.host or security.insecure.
        allow;
        /// Network of RUN steps: default, host or none.
        network;
        /// Extra hosts, NAME:IP, one a line.
        add_hosts;
        /// Size of /dev/shm in RUN steps, such as 2g.
        shm_size;
        /// Limits of RUN steps, such as nofile=1024:1024, one a line.
        ulimit;
        /// Control group of the containers of RUN steps. It does not count in the key.
        cgroup_parent;
        /// Build without the layer cache. An image that is already there is used all the same.
        no_cache = "false";
        /// Stages to build without the layer cache.
        no_cache_filters;
        /// Always fetch base images again.
        pull = "false";
        /// Provenance attestation: false, true, or what buildx takes (mode=min, mode=max); without it none.
        provenance;
        /// SBOM attestation: false, true, or what buildx takes; without it none.
        sbom;
        /// Attestations as docker buildx build takes them, type=provenance,… or type=sbom,…, one a line. The inputs provenance and sbom come first.
        attests;
        /// Compression of new layers: gzip or zstd; with `,force` of all layers, with `,level=N` as hard as this.
        compression = "gzip";
        /// More arguments for docker buildx build, split as a shell would; ${IMAGE}, ${TARGET}, ${KEY}, ${ZONE}, ${BRANCH}, ${PLATFORM} and the environment expand in it.
        extra_args;
    }
    "Key" {
        /// What the key covers: auto (what the Dockerfile can take from the context; where that is not certain, all of it), context (all of it), or files (key-files).
        key = "auto";
        /// Globs over the working tree, one a line; data.json#a.b takes one value. Only with key: files.
        key_files;
        /// Build arguments that name the run, such as a commit or a version, by name, one a line: they are handed to the build, and their values do not count in the key.
        key_ignore_args;
        /// Any other text; a change of it makes another image.
        key_extra;
        /// Build again when the image is older, such as 7d: the key rolls over by calendar period.
        max_age;
    }
    "Cache" {
        /// Layer caches, in the order they are read: registry, gha, local, inline, s3 (s3,bucket=…,region=…), azblob (azblob,account_url=…), or none.
        cache = "registry";
        /// Which layers are kept: max (all) or min (those of the result).
        cache_mode = "max";
        /// When the cache is written: auto (as the run's trust allows), always (a pull request's own too), or never.
        cache_write = "auto";
        /// Folder of this machine for cache local; without it build-once/layers in the user's cache folder.
        cache_dir;
        /// More cache sources, as docker buildx build takes them, one a line.
        cache_from;
        /// More cache destinations, as docker buildx build takes them, one a line.
        cache_to;
    }
    "ECR set-up" {
        /// Make the repository in Amazon ECR if it does not exist, and pr-repository too. Trusted runs alone set repositories up.
        create_repository = "false";
        /// Scan images in ECR when they are pushed: true or false; without it a repository keeps its setting. The registry's own scanning rules come first.
        scan_on_push;
        /// KMS key (ARN, id or alias) that encrypts a repository in ECR which is made; without it AES256. The key of one that is there cannot change.
        kms_key;
        /// Let no tag of the repository in ECR be moved, but those of layer caches and commits and those of tags that move, such as latest.
        immutable_tags = "false";
        /// Lifecycle policy to write to the repository in ECR, and to pr-repository: off, recommended, or a file. A policy that build-once did not write is never replaced.
        lifecycle = "off";
    }
    "Builder" {
        /// Name of an existing buildx builder to use.
        builder;
        /// Make a builder of this driver: docker-container, remote (endpoints) or kubernetes. Without it the builder at hand is used if it can do what is asked, else a docker-container one is made.
        driver;
        /// Options for the builder that is made, KEY=value, one a line.
        driver_opts;
        /// Nodes of a remote builder, one a line: ADDRESS [platforms=linux/arm64,…] [cacert=PATH] [cert=PATH] [key=PATH] [servername=NAME], such as tcp://arm.example:1234 platforms=linux/arm64.
        endpoints;
        /// BuildKit image for that builder.
        buildkit_image;
        /// BuildKit configuration file for that builder.
        buildkitd_config;
        /// Keep a docker-container or kubernetes builder for the next trusted run with the same settings.
        keep_builder = "false";
    }
    "Reliability" {
        /// When the registry cannot be reached: auto (build locally, say so) or required (fail).
        registry_policy = "auto";
        /// How many times a step is tried again after a failure that may pass.
        retries = "3";
        /// Overall time limit, such as 45m; without it only the limit of the job.
        timeout;
        /// Fail if a builder makes no progress for this long while it boots, fetches, packs or pushes, such as 20m; off disables it. A step of the Dockerfile may be silent while the builder answers.
        stall_timeout = "20m";
    }
    "Access" {
        /// Registry logins, one a line: HOST USER VARIABLE, where the environment variable holds the password. Skipped when it is not set.
        logins;
        /// Token for a git context on this run's server, where the secrets have none (GIT_AUTH_TOKEN); the job's own in the action. GitHub is asked with it which commit is newer, where the checkout's history does not tell (on-older).
        github_token;
        /// AWS region; without it the one in the repository's host name.
        aws_region;
        /// SSM parameter with the repository, read where no other source names one.
        ssm_parameter = "/github-runner/{instance-id}/ecr-cache-url";
    }
    "Report" {
        /// Write a job summary.
        summary = "true";
        /// Log style: grouped (folded in GitHub's log) or plain.
        log = "grouped";
        /// Report the engine's disk before and after the run: free space, what docker keeps there, and the largest images of this GitHub repository.
        disk_report = "false";
        /// Remove images of this GitHub repository from the engine that it built or pulled longer ago than this, such as 14d; off keeps them. The newest two of each image stay, and those that a container uses. Only runs that put an image there, and not on GitHub's own runners.
        keep_local = "14d";
    }
}
