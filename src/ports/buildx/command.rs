//! One call of `docker buildx build` or `docker buildx bake`, with the private files that it reads.

use std::io::Write as _;
use std::path::Path;

use tempfile::NamedTempFile;

use super::Build;
use crate::budget;
use crate::buildkit::{
    BakeFile, BuildMetadata, BuildSpec, BuildxVersion, Feature, ImagePin, LinkedBuild, SourcePin, policy,
};
use crate::error::{Error, Result};
use crate::failure::FailureClass;
use crate::secret::SecretString;

/// Variables for `docker buildx bake`: the definition is this program's own, so its paths are the working folder's, and
/// which paths may be read was decided before (<https://docs.docker.com/build/building/variables/>).
pub(super) const OF_BAKE: [(&str, &str); 2] =
    [("BUILDX_BAKE_FILE_RELATIVE_PATHS", "0"), ("BUILDX_BAKE_ENTITLEMENTS_FS", "0")];

/// For several images: their metadata is no output, so BuildKit need not be asked for the provenance of each
/// (<https://docs.docker.com/build/building/variables/>).
pub(super) const OF_SEVERAL: (&str, &str) = ("BUILDX_METADATA_PROVENANCE", "disabled");

/// The call. Its files are removed when it is dropped.
pub(super) struct Command {
    pub args: Vec<String>,
    /// Variables with the values of secrets.
    pub secrets: Vec<(String, SecretString)>,
    /// The source policy. It names sources by their whole URL, in which a password may be.
    pub policy: Option<NamedTempFile>,
    /// bake's files, if several images are built.
    pub bake: Option<BakeFiles>,
}

/// The files of a call of bake.
pub(super) struct BakeFiles {
    /// Kept until the call has ended.
    _definition: NamedTempFile,
    /// What bake writes of all images together.
    metadata: NamedTempFile,
    /// bake's name of each build.
    targets: Vec<String>,
}

impl Command {
    /// The call that builds these images.
    ///
    /// # Errors
    /// If a private file cannot be written.
    pub(super) fn new(builds: &[Build<'_>], version: &BuildxVersion) -> Result<Self> {
        let Some(first) = builds.first() else {
            return Err(Error::new(FailureClass::Bug, "a build of no image"));
        };
        let folder = first.metadata.parent().unwrap_or(Path::new("."));
        let mut files = PrivateDockerfiles { metadata: first.metadata, number: 0 };
        let own: Vec<BuildSpec> =
            builds.iter().map(|build| files.with_own(build.spec)).collect::<Result<_>>()?;
        let policy = private_policy(&own, folder)?;
        let ([build], true) = (builds, first.spec.links.is_empty()) else {
            return Self::bake(builds, &own, version, folder, policy);
        };
        let secrets = (build.secrets)(&build.spec.image);
        let secrets = secrets.map(|values| build.spec.secret_env(0, values).collect()).unwrap_or_default();
        let args = own.iter().flat_map(|spec| spec.args(version, build.metadata)).collect();
        Ok(Self { args, secrets, policy, bake: None })
    }

    fn bake(
        builds: &[Build<'_>],
        own: &[BuildSpec],
        version: &BuildxVersion,
        folder: &Path,
        policy: Option<NamedTempFile>,
    ) -> Result<Self> {
        let BakeFile { definition, targets, entitlements, secrets } =
            BakeFile::new(&own.iter().collect::<Vec<_>>(), version);
        let file = private_file(folder, "bake-", &definition.to_string(), "the definition for bake")?;
        let metadata = private_file(folder, "bake-metadata-", "", "the file for bake's metadata")?;
        let progress = if version.has(Feature::RawJson) { "rawjson" } else { "plain" };
        let mut args: Vec<String> = ["bake", "--progress", progress].map(str::to_owned).into();
        let builder = own.first().and_then(|spec| spec.builder.clone());
        args.extend(builder.into_iter().flat_map(|name| ["--builder".to_owned(), name]));
        args.extend(entitlements.into_iter().flat_map(|name| ["--allow".to_owned(), name]));
        for (flag, path) in [("--file", file.path()), ("--metadata-file", metadata.path())] {
            args.extend([flag.to_owned(), path.display().to_string()]);
        }
        args.extend(targets.iter().cloned());
        let values = builds.first().map(|build| build.secrets);
        let secrets = secrets.iter().flat_map(|(spec, first)| {
            let values = values.and_then(|values| values(&spec.image));
            values.map(|values| spec.secret_env(*first, values).collect::<Vec<_>>()).unwrap_or_default()
        });
        let secrets = secrets.collect();
        let bake = Some(BakeFiles { _definition: file, metadata, targets });
        Ok(Self { args, secrets, policy, bake })
    }

    /// bake's name of each build; empty without bake.
    pub(super) fn targets(&self) -> &[String] {
        self.bake.as_ref().map(|bake| bake.targets.as_slice()).unwrap_or_default()
    }

    /// What buildx wrote of each build. bake writes one file for all; each build gets its own part of it.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(super) fn metadata(&self, builds: &[Build<'_>]) -> Result<Vec<BuildMetadata>> {
        if let Some(bake) = &self.bake {
            let parts = BuildMetadata::parts_of_bake(bake.metadata.path(), &bake.targets)?;
            for (part, build) in parts.iter().zip(builds) {
                fs_err::write(build.metadata, part).map_err(|error| {
                    Error::new(FailureClass::Resource, "failed to write the metadata of an image")
                        .because(&error)
                })?;
            }
        }
        builds.iter().map(|build| BuildMetadata::read(build.metadata)).collect()
    }
}

/// Writes a file that this user alone reads.
fn private_file(folder: &Path, prefix: &str, text: &str, what: &str) -> Result<NamedTempFile> {
    let write = || {
        let mut file = tempfile::Builder::new().prefix(prefix).suffix(".json").tempfile_in(folder)?;
        file.write_all(text.as_bytes())?;
        Ok(file)
    };
    write().map_err(|error: std::io::Error| {
        Error::new(FailureClass::Resource, format!("failed to write {what}")).because(&error)
    })
}

/// Writes the source policy of all builds; `None` if they need none.
fn private_policy(builds: &[BuildSpec], folder: &Path) -> Result<Option<NamedTempFile>> {
    let all: Vec<&BuildSpec> = builds.iter().flat_map(BuildSpec::with_linked).collect();
    let sources: Vec<SourcePin> = all.iter().flat_map(|spec| spec.sources.iter().cloned()).collect();
    let mut images: Vec<ImagePin> = all.iter().flat_map(|spec| spec.images.iter().cloned()).collect();
    images.sort_unstable();
    images.dedup();
    if sources.is_empty() && images.is_empty() {
        return Ok(None);
    }
    let text = policy::policy(&sources, &images).to_string();
    private_file(folder, "source-policy-", &text, "the source policy").map(Some)
}

/// Writes private copies of Dockerfiles.
struct PrivateDockerfiles<'a> {
    metadata: &'a Path,
    /// How many were written.
    number: usize,
}

impl PrivateDockerfiles<'_> {
    /// Makes the same build, and those that it is linked to, with private Dockerfiles where they need such: for a text that
    /// is no file, and for this run's ignore file, because BuildKit prefers `<Dockerfile>.dockerignore` to the context's
    /// own. A copy keeps the file's name, which messages show.
    fn with_own(&mut self, spec: &BuildSpec) -> Result<BuildSpec> {
        let mut own = spec.clone();
        for LinkedBuild { spec, .. } in &mut own.links {
            **spec = self.with_own(spec)?;
        }
        if spec.ignore.is_none() && spec.build.dockerfile_inline.is_none() {
            return Ok(own);
        }
        let failed = |error: std::io::Error| {
            Error::new(FailureClass::Resource, "failed to write a private Dockerfile").because(&error)
        };
        let given = spec.build.dockerfile();
        self.number += 1;
        let folder = self.metadata.with_extension(format!("dockerfile-{}", self.number));
        let mut file = folder.join(given.file_name().unwrap_or_default());
        fs_err::create_dir_all(&folder).map_err(failed)?;
        let text = match &spec.build.dockerfile_inline {
            Some(text) => text.as_bytes().to_vec(),
            // Not copied with its permissions, which may forbid that a second attempt writes it again.
            None => budget::read_file(&given, budget::DOCKERFILE).map_err(failed)?,
        };
        fs_err::write(&file, text).map_err(failed)?;
        own.build.file = Some(file.clone());
        own.build.dockerfile_inline = None;
        if let Some(ignore) = &spec.ignore {
            file.as_mut_os_string().push(".dockerignore");
            fs_err::write(&file, ignore).map_err(failed)?;
        }
        Ok(own)
    }
}
