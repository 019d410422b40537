//! Makes the arguments of `docker buildx build` from a [`BuildSpec`] and buildx's version:
//! `build --progress rawjson --file Dockerfile --tag h/r:t --push .`

use std::collections::BTreeSet;
use std::path::Path;

use super::cache::variables;
use super::secret_args::{secret_arg, secret_env};
use super::{BuildxVersion, Feature, ImagePin, LocalCaches, SourcePin};
use crate::image::ImageReference;
use crate::inputs::{BuildInputs, SecretValues};
use crate::secret::SecretString;

/// The destination of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum OutputTarget {
    /// To the registry, under every tag at once.
    Push,
    /// Into the local engine's store.
    Load,
    /// Both.
    PushAndLoad,
    /// Nowhere: the build only shows that it succeeds.
    Discard,
}

impl OutputTarget {
    /// Tells whether the result goes to a registry.
    #[must_use]
    pub(crate) const fn pushes(self) -> bool {
        matches!(self, Self::Push | Self::PushAndLoad)
    }

    /// Tells whether the result goes into the engine's store.
    #[must_use]
    pub(crate) const fn loads(self) -> bool {
        matches!(self, Self::Load | Self::PushAndLoad)
    }
}

/// An image that another one is built on.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct LinkedBuild {
    /// The build context that stands for it.
    pub context: String,
    pub spec: Box<BuildSpec>,
}

/// A flag that is given once for each value.
pub(super) struct ListFlag {
    /// The flag's name.
    pub flag: &'static str,
    /// The field of bake that is the same list; `None` if that is no list.
    pub bake: Option<&'static str>,
    /// It says what happens to the result: bake gets it for a target that is built, and not for one that is only linked to.
    pub of_result: bool,
    pub values: Vec<String>,
}

/// One build, every detail known: what the plan makes and the execution hands to buildx.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct BuildSpec {
    /// The image's name.
    #[serde(skip)]
    pub image: String,
    /// Other images of the run that it is built on, built with it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<LinkedBuild>,
    /// The builder's name; `None` is buildx's current builder.
    pub builder: Option<String>,
    /// The inputs, with pinned contexts, the key among labels and annotations, and expanded extra arguments.
    pub build: BuildInputs,
    /// Pins of URLs and git repositories.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<SourcePin>,
    /// Pins of images that the Dockerfile names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<ImagePin>,
    /// The text of the ignore file that replaces the context's own; `None` if that one serves.
    #[serde(skip)]
    pub ignore: Option<Vec<u8>>,
    /// The registries of bases, frontend and build contexts, for which the build needs logins.
    #[serde(skip)]
    pub reads: BTreeSet<String>,
    /// Values of `--cache-from`.
    pub cache_from: Vec<String>,
    /// Values of `--cache-to`.
    pub cache_to: Vec<String>,
    /// Caches in folders of this machine. They become sources and a destination once their locks are held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_caches: Option<LocalCaches>,
    /// All names that the result gets.
    pub names: Vec<String>,
    pub output: OutputTarget,
    /// The builder is made for this build and was sent no files yet.
    pub fresh_builder: bool,
    /// The namespace of this run's cache mounts, for a builder that runs of less trust use too: if the build has to fall
    /// back to one, it does so by [`BuildInputs::apart`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub apart: Option<String>,
}

impl BuildSpec {
    /// The arguments after `docker buildx`, of a build without links. They hold no secret. Pins are in the
    /// source policy, whose file the caller names in the environment ([`super::policy`]).
    #[must_use]
    pub(crate) fn args(&self, version: &BuildxVersion, metadata: &Path) -> Vec<String> {
        let mut args = vec!["build".to_owned()];
        let mut add = |name: &str, value: &str| args.extend([format!("--{name}"), value.to_owned()]);
        add("progress", if version.has(Feature::RawJson) { "rawjson" } else { "plain" });
        let file = self.build.dockerfile().display().to_string();
        let platforms = self.build.platforms.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        for (name, value) in [
            ("builder", &self.builder),
            ("file", &Some(file)),
            ("target", &self.build.target),
            ("network", &self.build.network),
            ("shm-size", &self.build.shm_size),
            ("cgroup-parent", &self.build.cgroup_parent),
            ("platform", &Some(platforms).filter(|list| !list.is_empty())),
        ] {
            if let Some(value) = value {
                add(name, value);
            }
        }
        for ListFlag { flag, values, .. } in self.list_flags(version, 0) {
            for value in values {
                add(flag, &value);
            }
        }
        add("metadata-file", &metadata.display().to_string());
        let flags = [("no-cache", self.build.no_cache), ("pull", self.build.pull)];
        args.extend(flags.iter().filter(|(_, on)| *on).map(|(name, _)| format!("--{name}")));
        // Without the flag buildx adds its default provenance, and each build of the same content has another digest.
        args.push(format!("--provenance={}", self.build.provenance));
        if self.build.sbom.is_on() {
            args.push(format!("--sbom={}", self.build.sbom));
        }
        args.extend(self.outputs());
        args.extend(self.build.extra_args.iter().cloned());
        args.push(self.build.context.clone().into());
        args
    }

    /// Flags that are given once for each value. `first_secret`: the place of the first secret among those of all builds of
    /// one command.
    pub(super) fn list_flags(&self, version: &BuildxVersion, first_secret: usize) -> [ListFlag; 13] {
        let build = &self.build;
        let pairs = |pairs: &[(String, String)]| -> Vec<String> {
            pairs.iter().map(|(name, value)| format!("{name}={value}")).collect()
        };
        let annotations =
            if version.has(Feature::Annotations) { pairs(&build.annotations) } else { Vec::new() };
        let secrets = build.all_secrets().zip(first_secret..);
        let secrets = secrets.map(|(secret, at)| secret_arg(at, secret)).collect();
        let of_build = |flag, bake, values| ListFlag { flag, bake, of_result: false, values };
        let of_result = |flag, bake, values| ListFlag { flag, bake: Some(bake), of_result: true, values };
        [
            of_build("build-arg", None, pairs(&build.build_args)),
            of_build("build-context", None, pairs(&build.build_contexts)),
            of_build("label", None, pairs(&build.labels)),
            of_result("annotation", "annotations", annotations),
            of_build("secret", Some("secret"), secrets),
            of_build("ssh", Some("ssh"), build.ssh.clone()),
            of_build("allow", Some("entitlements"), build.allow.clone()),
            of_build("add-host", None, build.add_hosts.clone()),
            of_build("ulimit", Some("ulimits"), build.ulimit.clone()),
            of_build("no-cache-filter", Some("no-cache-filter"), build.no_cache_filters.clone()),
            of_build("cache-from", Some("cache-from"), self.cache_from.clone()),
            of_result("cache-to", "cache-to", self.cache_to.clone()),
            of_result("tag", "tags", self.names.clone()),
        ]
    }

    pub(super) fn outputs(&self) -> Vec<String> {
        // Annotations need OCI types: docker's type of index has none, and BuildKit drops them silently.
        let compression = self.build.compression;
        let oci = if compression.zstd || self.build.makes_index() { ",oci-mediatypes=true" } else { "" };
        let attributes = format!("{}{oci}", compression.attributes());
        let push = match attributes.as_str() {
            "" => "--push".to_owned(),
            attributes => format!("--output=type=image,push=true{attributes}"),
        };
        match self.output {
            OutputTarget::Push => vec![push],
            OutputTarget::Load if compression.is_asked() => vec![format!("--output=type=docker{attributes}")],
            OutputTarget::Load => vec!["--load".to_owned()],
            // The pushed image is the one that is published; the engine unpacks the other one.
            OutputTarget::PushAndLoad => vec![push, "--load".to_owned()],
            OutputTarget::Discard => vec!["--output=type=cacheonly".to_owned()],
        }
    }

    /// The names of the environment variables that the caches need.
    #[must_use]
    pub(crate) fn cache_variables(&self) -> Vec<&'static str> {
        let caches = |spec: &Self| spec.cache_from.iter().chain(&spec.cache_to).cloned().collect::<Vec<_>>();
        let all: Vec<String> = self.with_linked().into_iter().flat_map(caches).collect();
        variables(all.iter())
    }

    /// This build, and all that it is linked to.
    #[must_use]
    pub(crate) fn with_linked(&self) -> Vec<&Self> {
        let mut all = vec![self];
        let mut at = 0;
        while let Some(spec) = all.get(at).copied() {
            for link in &spec.links {
                if !all.iter().any(|known| known.image == link.spec.image) {
                    all.push(&link.spec);
                }
            }
            at += 1;
        }
        all
    }

    /// The registries that the build writes to or reads caches from.
    #[must_use]
    pub(crate) fn registries(&self) -> Vec<String> {
        let linked = self.with_linked();
        let read = linked.iter().flat_map(|spec| &spec.cache_from);
        let caches = read.chain(&self.cache_to);
        let caches =
            caches.flat_map(|cache| cache.split(',')).filter_map(|field| field.trim().strip_prefix("ref="));
        let names = self.names.iter().filter(|_| self.output.pushes()).map(String::as_str);
        let mut registries: Vec<String> = names
            .chain(caches)
            .filter_map(|text| Some(text.parse::<ImageReference>().ok()?.registry().to_owned()))
            .collect();
        registries.sort_unstable();
        registries.dedup();
        registries
    }

    /// Tells whether buildx need not read the git repository. It does so for the provenance only, with seven processes
    /// (<https://docs.docker.com/build/building/variables/>, `BUILDX_GIT_INFO`).
    #[must_use]
    pub(crate) fn needs_no_git(&self) -> bool {
        !self.build.provenance.is_on()
    }

    /// [`secret_env`] of this build's secrets.
    pub(crate) fn secret_env(
        &self,
        first: usize,
        values: &SecretValues,
    ) -> impl Iterator<Item = (String, SecretString)> {
        secret_env(&self.build, first, values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Env;
    use crate::inputs::{ImageRequest, RawInputs, Secret, SecretSource};

    fn spec() -> BuildSpec {
        let raw = RawInputs {
            image: Some("app".into()),
            platforms: Some("linux/amd64".into()),
            ..RawInputs::default()
        };
        BuildSpec {
            image: "app".into(),
            links: vec![],
            builder: None,
            build: ImageRequest::read(&raw, &Env::default()).unwrap().build,
            reads: BTreeSet::new(),
            sources: vec![],
            images: vec![],
            ignore: None,
            cache_from: vec![],
            cache_to: vec![],
            local_caches: None,
            names: vec!["h/r:t".into()],
            output: OutputTarget::Push,
            fresh_builder: false,
            apart: None,
        }
    }

    /// [`spec`] with other inputs.
    fn built(change: impl FnOnce(&mut BuildInputs)) -> BuildSpec {
        let mut spec = spec();
        change(&mut spec.build);
        spec
    }

    fn line(spec: &BuildSpec, version: &str) -> String {
        shell_words::join(spec.args(&BuildxVersion::parse(version).unwrap(), Path::new("/m.json")))
    }

    #[test]
    fn the_least() {
        assert_eq!(
            line(&spec(), "v0.29.1"),
            "build --progress rawjson --file Dockerfile --platform linux/amd64 --tag h/r:t --metadata-file /m.json '--provenance=false' --push ."
        );
    }

    #[test]
    fn each_field_has_its_flag() {
        let pair = |n: &str, v: &str| vec![(n.to_owned(), v.to_owned())];
        let secret = |id: &str, source| Secret { id: id.into(), source };
        let build = BuildInputs {
            target: Some("t".into()),
            platforms: vec!["linux/amd64".parse().unwrap(), "linux/arm64".parse().unwrap()],
            build_args: pair("A", "1 2"),
            build_contexts: pair("base", "docker-image://x@sha256:0"),
            labels: pair("l", "v"),
            annotations: pair("index:a", "v"),
            cgroup_parent: Some("ci".into()),
            secrets: vec![secret("v", SecretSource::Value), secret("f", SecretSource::File("/a,b".into()))],
            ssh: vec!["default".into()],
            allow: vec!["network.host".into()],
            network: Some("host".into()),
            add_hosts: vec!["h:1.2.3.4".into()],
            shm_size: Some("1g".into()),
            ulimit: vec!["nofile=1".into()],
            no_cache: true,
            no_cache_filters: vec!["s".into()],
            pull: true,
            provenance: "mode=min".parse().unwrap(),
            sbom: "true".parse().unwrap(),
            compression: "zstd".parse().unwrap(),
            extra_args: vec!["--from-the-future=x".into()],
            ..spec().build
        };
        let all = BuildSpec {
            builder: Some("b".into()),
            build,
            cache_from: vec!["type=registry,ref=h/r:c".into()],
            cache_to: vec!["type=inline".into()],
            output: OutputTarget::PushAndLoad,
            ..spec()
        };
        insta::assert_snapshot!(line(&all, "v0.29.1").replace(" --", "\n--"), @r#"
        build
        --progress rawjson
        --builder b
        --file Dockerfile
        --target t
        --network host
        --shm-size 1g
        --cgroup-parent ci
        --platform linux/amd64,linux/arm64
        --build-arg 'A=1 2'
        --build-context 'base=docker-image://x@sha256:0'
        --label 'l=v'
        --annotation 'index:a=v'
        --secret 'id=v,env=BUILD_ONCE_SECRET_0'
        --secret 'id=f,"src=/a,b"'
        --ssh default
        --allow network.host
        --add-host h:1.2.3.4
        --ulimit 'nofile=1'
        --no-cache-filter s
        --cache-from 'type=registry,ref=h/r:c'
        --cache-to 'type=inline'
        --tag h/r:t
        --metadata-file /m.json
        --no-cache
        --pull '--provenance=mode=min' '--sbom=true' '--output=type=image,push=true,compression=zstd,oci-mediatypes=true'
        --load '--from-the-future=x' .
        "#);
        let raw = RawInputs {
            image: Some("app".into()),
            secrets: Some("v=hunter2".into()),
            ..RawInputs::default()
        };
        let values = ImageRequest::read(&raw, &Env::default()).unwrap().secrets;
        let variables: Vec<_> = all.secret_env(0, &values).collect();
        assert_eq!(variables, [("BUILD_ONCE_SECRET_0".to_owned(), "hunter2".to_owned().into())]);
    }

    #[test]
    fn an_index_is_an_oci_index() {
        let both = vec!["linux/amd64".parse().unwrap(), "linux/arm64".parse().unwrap()];
        assert!(line(&built(|build| build.platforms = both), "v0.29.1").contains("oci-mediatypes=true"));
        assert!(!line(&spec(), "v0.29.1").contains("oci-mediatypes"));
    }

    #[test]
    fn an_old_buildx_gets_no_flag_it_does_not_know() {
        let spec = built(|build| build.annotations = vec![("manifest:a".into(), "v".into())]);
        assert!(!line(&spec, "v0.11.0").contains("annotation"));
        assert!(line(&spec, "v0.11.0").contains("--progress plain"));
    }
}
