//! Builders.

use std::path::PathBuf;

/// What `docker buildx inspect` says of a builder.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Builder {
    /// Its name.
    pub name: String,
    /// `docker`, `docker-container`, `kubernetes`, `remote` or `cloud`.
    pub driver: String,
    /// BuildKit's version, once it has booted.
    pub buildkit: Option<String>,
    /// Platforms of all its nodes.
    pub platforms: Vec<String>,
}

impl Builder {
    /// Reads the text, which has had the same labels since buildx 0.8.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let field = |name: &str| {
            text.lines().find_map(|line| {
                line.strip_prefix(name)?.strip_prefix(':').map(|value| value.trim().to_owned())
            })
        };
        let platforms = text.lines().filter_map(|line| line.strip_prefix("Platforms:"));
        Some(Self {
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

    /// Whether it is the engine's own BuildKit.
    #[must_use]
    pub fn is_engine(&self) -> bool {
        self.driver == "docker"
    }
}

/// A `docker-container` builder to make.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct NewBuilder {
    /// A name nobody else has.
    pub name: String,
    /// Driver options.
    pub options: Vec<String>,
    /// BuildKit's configuration file.
    pub config: Option<PathBuf>,
}

impl NewBuilder {
    /// Arguments after `docker buildx`.
    #[must_use]
    pub fn args(&self) -> Vec<String> {
        let mut args: Vec<String> =
            ["create", "--name", &self.name, "--driver", "docker-container", "--bootstrap"]
                .map(str::to_owned)
                .to_vec();
        for option in &self.options {
            args.extend(["--driver-opt".to_owned(), option.clone()]);
        }
        if let Some(config) = &self.config {
            // `--buildkitd-config` since 0.14; the older name still works.
            args.extend(["--config".to_owned(), config.display().to_string()]);
        }
        args
    }
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
        assert!(Builder::parse("nonsense").is_none());
    }
}
