//! Finds the builders that earlier runs made: one that was kept for this run, and those that killed runs left.

use std::collections::BTreeMap;

use super::Toolchain;
use crate::budget;
use crate::buildkit::owner::{KEPT, Owner, PREFIX};
use crate::buildkit::{builder_of, container_of};
use crate::coherence::makers::{self, Makers};
use crate::error::{Error, Result};
use crate::image::Digest;
use crate::inputs::{BuilderInputs, Driver, ImageRequest};
use crate::ports::docker::Docker;
use crate::ports::{Ports, host};
use crate::trust::{Access, ImageRun};

/// The builders of earlier runs on this engine.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct BuilderFacts {
    /// The builder that this run keeps; `None` without the input `keep-builder`.
    pub kept: Option<KeptBuilder>,
    /// The builders whose owner is dead.
    pub leftovers: Vec<Leftover>,
    /// The runs that have built on this engine; `None` on a runner that ends with its job.
    pub makers: Option<Makers>,
}

/// A builder that outlives the run.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct KeptBuilder {
    pub name: String,
    /// An earlier run has made it.
    pub exists: bool,
}

/// A builder whose owner is dead.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Leftover {
    pub name: String,
    /// buildx on this machine knows it; else only its container is left.
    pub known: bool,
}

/// Looks for builders in buildx's files, and asks the engine only if it may have containers of builders: the question
/// costs as much time as a small build step.
///
/// # Errors
/// If the configuration file of the builder to keep cannot be read.
pub(super) async fn gather(
    ports: &Ports,
    docker: &Docker,
    images: &[ImageRun<'_>],
    toolchain: &Toolchain,
) -> Result<BuilderFacts> {
    let Some(ImageRun { request, access, .. }) = images.first() else { return Ok(BuilderFacts::default()) };
    let builder = &request.settings.builder;
    let known = known_builders(ports);
    let makers = find_makers(ports, docker, access, toolchain).await?;
    let kept = if builder.keep {
        kept_name(builder, &entitlements(images.iter().map(|image| image.request)))?
    } else {
        None
    };
    let kept = kept.map(|name| KeptBuilder { exists: known.contains(&name), name });
    let mut names: BTreeMap<String, bool> = known.into_iter().map(|name| (name, true)).collect();
    let may_have_containers = builder.driver == Some(Driver::DockerContainer)
        || toolchain.engine.as_ref().is_some_and(|engine| !engine.containerd_store);
    if may_have_containers {
        // The engine may outlive the runner's home with buildx's files. If it does not answer, a later step tells.
        let prefix = container_of(PREFIX);
        let containers = docker.containers(prefix.trim_end_matches('0')).await;
        for container in containers.unwrap_or_default() {
            if let Some(name) = builder_of(&container) {
                names.entry(name.to_owned()).or_insert(false);
            }
        }
    }
    let here = host::this_process();
    let dead = |name: &str| {
        let (Some(owner), Some(here)) = (Owner::of_builder(name), &here) else { return false };
        owner.is_dead(here, host::started)
    };
    let leftovers = names.into_iter().filter(|(name, _)| dead(name));
    Ok(BuilderFacts {
        kept,
        leftovers: leftovers.map(|(name, known)| Leftover { name, known }).collect(),
        makers,
    })
}

/// Asks which runs have built with the chosen builder. Only self-hosted runners outlive their jobs.
async fn find_makers(
    ports: &Ports,
    docker: &Docker,
    access: &Access,
    toolchain: &Toolchain,
) -> Result<Option<Makers>> {
    let lasts = toolchain.builder.as_ref().is_some_and(|builder| builder.lasting().is_some());
    if !lasts || !ports.env.is_self_hosted() {
        return Ok(None);
    }
    let zone = access.local_zones.first().map(String::as_str).unwrap_or_default();
    Ok(Some(Makers::new(&access.place, zone, docker.volumes(makers::PREFIX).await?)))
}

/// Lists the builders that buildx knows on this machine: one file each (buildx, `store`).
fn known_builders(ports: &Ports) -> Vec<String> {
    let folder = ports.user_config.buildx_folder(&ports.env).map(|folder| folder.join("instances"));
    let entries = folder.and_then(|folder| fs_err::read_dir(folder).ok());
    let names = entries.into_iter().flatten().flatten();
    names.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// Collects the inputs `allow` of all images, each value once.
#[must_use]
pub(crate) fn entitlements<'a>(images: impl Iterator<Item = &'a ImageRequest>) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for entitlement in images.flat_map(|image| &image.build.allow) {
        if !all.contains(entitlement) {
            all.push(entitlement.clone());
        }
    }
    all
}

/// Names a kept builder by a hash over its settings, so that other settings make another builder. `None` for a remote
/// builder, which keeps its state where it runs.
///
/// # Errors
/// If its configuration file cannot be read.
fn kept_name(builder: &BuilderInputs, entitlements: &[String]) -> Result<Option<String>> {
    let driver = builder.driver.unwrap_or(Driver::DockerContainer);
    if driver == Driver::Remote {
        return Ok(None);
    }
    let config = match &builder.config {
        None => None,
        Some(path) => Some(read_config(path)?),
    };
    let settings = serde_json::json!([
        driver.name(),
        builder.driver_opts,
        builder.image,
        config.map(|bytes| Digest::of(&bytes)),
        entitlements,
    ]);
    let digest = Digest::of(settings.to_string().as_bytes());
    Ok(Some(format!("{KEPT}{}", digest.short())))
}

fn read_config(path: &std::path::Path) -> Result<Vec<u8>> {
    budget::read_file(path, budget::INPUT_FILE)
        .map_err(|error| Error::input("buildkitd-config").because(&error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Env;
    use crate::inputs::RawInputs;

    fn name(change: impl FnOnce(&mut RawInputs)) -> Option<String> {
        let mut raw = RawInputs { image: Some("app".into()), ..RawInputs::default() };
        change(&mut raw);
        let request = ImageRequest::read(&raw, &Env::default()).unwrap();
        kept_name(&request.settings.builder, &request.build.allow).unwrap()
    }

    #[test]
    fn every_setting_of_a_kept_builder_is_in_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("buildkitd.toml");
        let path = config.display().to_string();
        fs_err::write(&config, "debug = true\n").unwrap();
        let first = name(|raw| raw.buildkitd_config = Some(path.clone()));
        fs_err::write(&config, "debug = false\n").unwrap();
        let names = [
            first,
            name(|raw| raw.buildkitd_config = Some(path)),
            name(|_| {}),
            name(|raw| raw.driver = Some("kubernetes".into())),
            name(|raw| raw.driver_opts = Some("network=host".into())),
            name(|raw| raw.buildkit_image = Some("moby/buildkit:v0.25.2".into())),
            name(|raw| raw.allow = Some("security.insecure".into())),
        ];
        for (at, name) in names.iter().enumerate() {
            let name = name.as_ref().unwrap();
            assert!(name.starts_with("build-once-kept-") && Owner::of_builder(name).is_none(), "{name}");
            assert!(!names[..at].contains(&Some(name.clone())), "{name} twice");
        }
        assert_eq!(name(|_| {}), name(|raw| raw.driver = Some("docker-container".into())));
    }
}
