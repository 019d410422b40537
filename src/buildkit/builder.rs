//! Reads buildx's description of a builder, and makes the commands for a new one: `create --name b --driver
//! docker-container --bootstrap`.

use std::path::PathBuf;

use crate::coherence::makers::Lasting;
use crate::image::Platform;
use crate::inputs::{Driver, Endpoint};
use crate::key::dockerfile::csv_field;

/// A builder as `docker buildx inspect` describes it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Builder {
    pub name: String,
    /// `docker`, `docker-container`, `kubernetes`, `remote` or `cloud`.
    pub driver: String,
    /// BuildKit's version on the first node; `None` before it has booted. An engine built by a distribution may have
    /// `v0.0.0+unknown`.
    pub buildkit: Option<String>,
    /// Platforms of all nodes; empty before they have booted.
    #[serde(default)]
    pub platforms: Vec<String>,
    /// The default platform: the first one of the first node (BuildKit, `frontend/dockerui`). `None` before it has booted,
    /// and if platforms were set by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub native: Option<Platform>,
}

impl Builder {
    /// Reads the output. Its labels are the same since buildx 0.8, but for BuildKit's version, which older
    /// versions call `Buildkit`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let field = |name: &str| {
            text.lines().find_map(|line| {
                line.strip_prefix(name)?.strip_prefix(':').map(|value| value.trim().to_owned())
            })
        };
        let platforms = text.lines().filter_map(|line| line.strip_prefix("Platforms:"));
        let first = platforms.clone().next().filter(|list| !list.contains('*'));
        let native = first.and_then(|list| list.split(',').next()?.trim().parse().ok());
        Some(Self {
            native,
            name: field("Name")?,
            driver: field("Driver")?,
            buildkit: field("BuildKit version").or_else(|| field("Buildkit")),
            // A star marks platforms that were set by hand.
            platforms: platforms
                .flat_map(|list| list.split(','))
                .map(|platform| platform.trim().trim_end_matches('*').to_owned())
                .filter(|platform| !platform.is_empty())
                .collect(),
        })
    }

    /// Tells whether the builder is the engine's own BuildKit.
    #[must_use]
    pub fn is_engine(&self) -> bool {
        self.driver == "docker"
    }

    /// The builder as one that outlives the runs on this engine; `None` if it runs elsewhere.
    #[must_use]
    pub fn lasting(&self) -> Option<Lasting<'_>> {
        match self.driver.as_str() {
            "docker" => Some(Lasting::Engine),
            "docker-container" => Some(Lasting::Named(&self.name)),
            _ => None,
        }
    }

    /// Finds a platform that no node can build; `None` also if the nodes' platforms are unknown.
    #[must_use]
    pub fn lacks<'a>(&self, wanted: &'a [Platform]) -> Option<&'a Platform> {
        let own: Vec<Platform> = self.platforms.iter().filter_map(|text| text.parse().ok()).collect();
        wanted.iter().find(|wanted| !own.is_empty() && !own.iter().any(|own| own.covers(wanted)))
    }
}

/// Tells whether no node answered `docker buildx inspect`, because it is paused, stopped or out of reach.
#[must_use]
pub(crate) fn is_silent(text: &str) -> bool {
    let has = |start: &str| text.lines().any(|line| line.starts_with(start));
    has("Error:") && !has("Status:")
}

/// A builder to make.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct NewBuilder {
    /// A name that no other run uses, or that has a hash over these settings.
    pub name: String,
    pub driver: Driver,
    /// Driver options of every node.
    pub options: Vec<String>,
    /// BuildKit's configuration file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<PathBuf>,
    /// Entitlements that its BuildKit grants to builds that ask for them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub entitlements: Vec<String>,
    /// Nodes of a remote builder; other drivers make one node.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<Endpoint>,
}

impl NewBuilder {
    /// The arguments after `docker buildx`, one command a node. The last command boots all nodes.
    #[must_use]
    pub(crate) fn commands(&self) -> Vec<Vec<String>> {
        let count = self.nodes.len().max(1);
        (0..count).map(|at| self.command(at, self.nodes.get(at), at + 1 == count)).collect()
    }

    /// The command for the node with this place in the list; the first one makes the builder, the others are added to it.
    fn command(&self, at: usize, node: Option<&Endpoint>, boots: bool) -> Vec<String> {
        let mut args =
            ["create", "--name", &self.name, "--driver", self.driver.name()].map(str::to_owned).to_vec();
        let mut add = |name: &str, value: &str| args.extend([format!("--{name}"), value.to_owned()]);
        for option in &self.options {
            // Quoted, so that a value with commas stays one field.
            add("driver-opt", &csv_field(option));
        }
        if let Some(config) = &self.config {
            // `--buildkitd-config` since 0.14; the older name still works.
            add("config", &config.display().to_string());
        }
        if !self.entitlements.is_empty() {
            let flags = self.entitlements.iter().map(|name| format!("--allow-insecure-entitlement={name}"));
            add("buildkitd-flags", &flags.collect::<Vec<_>>().join(" "));
        }
        if let Some(node) = node {
            for (name, value) in &node.options {
                add("driver-opt", &csv_field(&format!("{name}={value}")));
            }
            let platforms: Vec<String> = node.platforms.iter().map(ToString::to_string).collect();
            if !platforms.is_empty() {
                add("platform", &platforms.join(","));
            }
        }
        if at > 0 {
            args.push("--append".to_owned());
        }
        if boots {
            args.push("--bootstrap".to_owned());
        }
        args.extend(node.map(|node| node.address.clone()));
        args
    }
}

/// buildx's prefix for the container of a `docker-container` builder (`driver.BuilderName`); the node's number follows.
const CONTAINER_PREFIX: &str = "buildx_buildkit_";

/// The container of the builder with this name.
#[must_use]
pub(crate) fn container_of(name: &str) -> String {
    format!("{CONTAINER_PREFIX}{name}0")
}

/// The name of the builder whose container this is.
#[must_use]
pub(crate) fn builder_of(container: &str) -> Option<&str> {
    container.strip_prefix(CONTAINER_PREFIX)?.strip_suffix('0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_inspect() {
        let text = "Name:          default\nDriver:        docker\nLast Activity: 2026-01-01 00:00:00 +0000 UTC\n\nNodes:\nName:             default\nEndpoint:         default\nStatus:           running\nBuildKit version: v0.25.2\nPlatforms:        linux/amd64, linux/arm64*\nLabels:\n org.x: y\n";
        let builder = Builder::parse(text).unwrap();
        assert_eq!(builder.driver, "docker");
        assert_eq!(builder.buildkit.as_deref(), Some("v0.25.2"));
        assert_eq!(builder.platforms, ["linux/amd64", "linux/arm64"]);
        assert_eq!(builder.native, None, "set by hand");
        let worker = text.replace('*', "");
        assert_eq!(Builder::parse(&worker).unwrap().native, "linux/amd64".parse().ok());
        assert!(Builder::parse("nonsense").is_none());
    }

    #[test]
    fn a_platform_that_no_node_runs() {
        let platforms =
            |list: &[&str]| -> Vec<Platform> { list.iter().map(|p| p.parse().unwrap()).collect() };
        let builder = |list: &[&str]| Builder {
            name: "b".into(),
            driver: "remote".into(),
            buildkit: None,
            native: None,
            platforms: list.iter().map(|&text| text.to_owned()).collect(),
        };
        let two = builder(&["linux/amd64", "linux/amd64/v2", "linux/arm64"]);
        assert_eq!(two.lacks(&platforms(&["linux/arm64/v8", "linux/amd64"])), None);
        let asked = platforms(&["linux/amd64", "linux/s390x"]);
        assert_eq!(two.lacks(&asked).unwrap().to_string(), "linux/s390x");
        assert_eq!(builder(&[]).lacks(&asked), None, "not booted: unknown, not absent");
    }

    fn new(driver: Driver) -> NewBuilder {
        NewBuilder {
            name: "b".into(),
            driver,
            options: vec![],
            config: None,
            entitlements: vec![],
            nodes: vec![],
        }
    }

    fn lines(new: &NewBuilder) -> Vec<String> {
        new.commands().iter().map(shell_words::join).collect()
    }

    #[test]
    fn one_of_each_driver() {
        let container = NewBuilder {
            options: vec!["network=host".into(), "image=moby/buildkit:v0.25.2".into()],
            config: Some("/etc/b.toml".into()),
            entitlements: vec!["network.host".into(), "security.insecure".into()],
            ..new(Driver::DockerContainer)
        };
        assert_eq!(
            lines(&container),
            [
                "create --name b --driver docker-container --driver-opt 'network=host' --driver-opt 'image=moby/buildkit:v0.25.2' --config /etc/b.toml --buildkitd-flags '--allow-insecure-entitlement=network.host --allow-insecure-entitlement=security.insecure' --bootstrap"
            ]
        );
        let pods = NewBuilder { options: vec!["replicas=2".into()], ..new(Driver::Kubernetes) };
        assert_eq!(
            lines(&pods),
            ["create --name b --driver kubernetes --driver-opt 'replicas=2' --bootstrap"]
        );
    }

    #[test]
    fn each_node_is_appended_and_the_last_boots() {
        let node = |address: &str, platform: &str, options: &[(&str, &str)]| Endpoint {
            address: address.into(),
            platforms: vec![platform.parse().unwrap()],
            options: options.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
        };
        let remote = NewBuilder {
            nodes: vec![
                node("tcp://a:1", "linux/amd64", &[("cacert", "/tls/a,b.pem")]),
                node("tcp://b:1", "linux/arm64", &[]),
            ],
            ..new(Driver::Remote)
        };
        assert_eq!(
            lines(&remote),
            [
                r#"create --name b --driver remote --driver-opt '"cacert=/tls/a,b.pem"' --platform linux/amd64 tcp://a:1"#,
                "create --name b --driver remote --platform linux/arm64 --append --bootstrap tcp://b:1",
            ]
        );
    }

    #[test]
    fn containers_have_their_builders_name() {
        assert_eq!(builder_of(&container_of("build-once-x")), Some("build-once-x"));
        assert_eq!(builder_of("postgres"), None);
    }
}
