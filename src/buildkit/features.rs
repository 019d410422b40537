//! The table of features by version, with what is done in place of each that is missing.
//!
//! In: a [`Feature`] and the [`Versions`] of buildx and BuildKit. Out: a [`Lack`], if one of them is too old.

use std::fmt;

use semver::Version;

use super::version::BuildxVersion;

/// A feature that not every version has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Feature {
    /// All that build-once cannot work without: the oldest buildx that it runs with.
    Floor,
    /// `--call=check`.
    Checks,
    /// The progress stream (`--progress=rawjson`).
    RawJson,
    /// Annotations of the key and the commit.
    Annotations,
    /// Annotations that the user asks for.
    UserAnnotations,
    /// One build whose result goes both to the registry and into the engine's store.
    PushAndLoad,
    /// Provenance and SBOM.
    Attestations,
    /// A source policy for URLs and git repositories.
    SourcePolicy,
    /// A source policy for images.
    ImagePolicy,
    /// GitHub's cache service in its second version, the only one left.
    GithubCache,
}

struct Row {
    name: &'static str,
    /// The `x` of the first buildx 0.x that has it; 0 if every version has.
    buildx: u64,
    /// The same of BuildKit.
    buildkit: u64,
    /// What is done instead; `None` where nothing gives the same result, and the run fails.
    instead: Option<&'static str>,
}

impl Row {
    /// The lack, if this version of a tool comes before the first minor version 0.x that has the feature.
    fn lack(&self, tool: &str, found: &Version, first: u64) -> Option<Lack> {
        (found.major == 0 && found.minor < first).then(|| Lack {
            feature: self.name,
            found: format!("{tool} {found}"),
            needed: format!("{tool} 0.{first} or newer"),
            instead: self.instead,
        })
    }
}

const fn row(name: &'static str, buildx: u64, buildkit: u64, instead: Option<&'static str>) -> Row {
    Row { name, buildx, buildkit, instead }
}

impl Feature {
    const ALL: [Self; 10] = [
        Self::Floor,
        Self::Checks,
        Self::RawJson,
        Self::Annotations,
        Self::UserAnnotations,
        Self::PushAndLoad,
        Self::Attestations,
        Self::SourcePolicy,
        Self::ImagePolicy,
        // D36
        Self::GithubCache,
    ];

    /// Name, buildx, BuildKit and what is done instead. Sources: the release notes of docker/buildx and moby/buildkit,
    /// and the pull requests named.
    const fn row(self) -> Row {
        match self {
            // `--provenance`, `--sbom` and EXPERIMENTAL_BUILDKIT_SOURCE_POLICY.
            Self::Floor => row("build-once", 10, 0, None),
            // docker/build-push-action needs the same version.
            Self::Checks => row("call: check", 15, 0, None),
            // buildx PR 2179.
            Self::RawJson => {
                let instead = "the log is buildx's own, without figures on steps and caches";
                row("the progress stream", 13, 0, Some(instead))
            }
            // buildx PR 2020; exporter attributes in BuildKit PR 2879.
            Self::Annotations => {
                let instead = "the key is in a label of the image's configuration alone";
                row("annotations", 12, 11, Some(instead))
            }
            Self::UserAnnotations => row("the input annotations", 12, 11, None),
            // Several exporters: BuildKit PR 4134, buildx PR 2290.
            Self::PushAndLoad => {
                row("push and load in one go", 13, 13, Some("the image is pushed, then pulled"))
            }
            Self::Attestations => row("provenance and sbom", 10, 11, None),
            // buildx PR 2971, BuildKit PR 5756. BuildKit's version is not looked at: an older one does not reach the
            // cache, and builds without it.
            Self::GithubCache => row("GitHub's cache service", 21, 0, Some("it is not used")),
            Self::SourcePolicy => row("sources held to what the key saw", 10, 11, None),
            // BuildKit 0.11 looks an image up without asking the policy (`llbBridge.ResolveImageConfig`).
            Self::ImagePolicy => {
                let instead = "they are held as named build contexts";
                row("base images held by source policy", 10, 12, Some(instead))
            }
        }
    }
}

/// A feature that a version lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lack {
    feature: &'static str,
    found: String,
    needed: String,
    /// What is done instead; `None` where the run fails.
    pub instead: Option<&'static str>,
}

impl Lack {
    /// Tells whether build-once cannot work with that tool at all.
    #[must_use]
    pub(crate) fn is_floor(&self) -> bool {
        self.feature == Feature::Floor.row().name
    }
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: found {}, needs {}", self.feature, self.found, self.needed)?;
        self.instead.map_or(Ok(()), |instead| write!(f, "; {instead}"))
    }
}

/// The versions of a build's tools.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Versions<'a> {
    pub buildx: &'a BuildxVersion,
    /// BuildKit's version; `None` if the builder does not exist yet. `v0.0.0+unknown` of a distribution's build counts as
    /// unknown.
    pub buildkit: Option<&'a str>,
}

impl Versions<'_> {
    /// Finds the tool that is too old for a feature. An unknown version is taken to have the feature; if it has not, the
    /// build fails and tells.
    #[must_use]
    pub(crate) fn lacks(&self, feature: Feature) -> Option<Lack> {
        let row = feature.row();
        let buildx = row.lack("buildx", &self.buildx.0, row.buildx);
        buildx.or_else(|| row.lack("BuildKit", &buildkit_version(self.buildkit?)?, row.buildkit))
    }
}

/// The version that a builder tells; `None` if it tells none.
fn buildkit_version(text: &str) -> Option<Version> {
    let version = BuildxVersion::parse(text)?.0;
    (version != Version::new(0, 0, 0)).then_some(version)
}

/// Everything that this BuildKit lacks, whatever buildx is before it; `None` if its version is not known.
#[must_use]
pub(crate) fn lacks_of_buildkit(text: &str) -> Option<Vec<Lack>> {
    let version = buildkit_version(text)?;
    let rows = Feature::ALL.into_iter().map(Feature::row);
    Some(rows.filter_map(|row| row.lack("BuildKit", &version, row.buildkit)).collect())
}

/// Everything that this buildx lacks.
#[must_use]
pub(crate) fn lacks_of_buildx(buildx: &BuildxVersion) -> Vec<Lack> {
    Feature::ALL
        .into_iter()
        .filter_map(|feature| Versions { buildx, buildkit: None }.lacks(feature))
        .collect()
}

impl BuildxVersion {
    /// Tells whether buildx has this feature.
    #[must_use]
    pub(crate) fn has(&self, feature: Feature) -> bool {
        Versions { buildx: self, buildkit: None }.lacks(feature).is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_each_version_lacks() {
        use Feature::*;
        let rows: [(&str, Option<&str>, &[Feature]); 11] = [
            ("v0.35.0", Some("v0.25.2"), &[]),
            ("v1.0.0", Some("v1.0.0"), &[]),
            ("v0.29.1", None, &[]),
            ("v0.29.1", Some("v0.0.0+unknown"), &[]),
            ("v0.29.1", Some("v0.12.5"), &[PushAndLoad]),
            (
                "v0.29.1",
                Some("v0.10.6-moby"),
                &[Annotations, UserAnnotations, PushAndLoad, Attestations, SourcePolicy, ImagePolicy],
            ),
            ("v0.29.1", Some("v0.11.6"), &[PushAndLoad, ImagePolicy]),
            ("v0.20.1", None, &[GithubCache]),
            ("v0.12.1", Some("v0.25.2"), &[Checks, RawJson, PushAndLoad, GithubCache]),
            ("v0.11.2", None, &[Checks, RawJson, Annotations, UserAnnotations, PushAndLoad, GithubCache]),
            ("v0.9.1", None, &Feature::ALL),
        ];
        for (buildx, buildkit, lacking) in rows {
            let buildx = BuildxVersion::parse(buildx).unwrap();
            let versions = Versions { buildx: &buildx, buildkit };
            let found: Vec<Feature> =
                Feature::ALL.into_iter().filter(|feature| versions.lacks(*feature).is_some()).collect();
            assert_eq!(found, lacking, "{buildx} {buildkit:?}");
        }
    }

    #[test]
    fn it_says_what_was_found_what_is_needed_and_what_is_done() {
        let buildx = BuildxVersion::parse("v0.12.1").unwrap();
        let versions = Versions { buildx: &buildx, buildkit: Some("v0.12.5") };
        assert_eq!(
            versions.lacks(Feature::RawJson).unwrap().to_string(),
            "the progress stream: found buildx 0.12.1, needs buildx 0.13 or newer; the log is buildx's own, without figures on steps and caches"
        );
        let newer = BuildxVersion::parse("v0.29.1").unwrap();
        let versions = Versions { buildx: &newer, ..versions };
        assert_eq!(
            versions.lacks(Feature::PushAndLoad).unwrap().to_string(),
            "push and load in one go: found BuildKit 0.12.5, needs BuildKit 0.13 or newer; the image is pushed, then pulled"
        );
    }
}
