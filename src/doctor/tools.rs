//! docker, buildx, BuildKit, the builder and the engine's image store.

use super::{Check, Known};
use crate::buildkit::{Builder, BuildxVersion, Engine, Lack, lacks_of_buildkit, lacks_of_buildx};
use crate::failure::FailureKind;
use crate::image::Platform;
use crate::shown;

/// The tools of this machine.
pub(crate) struct Tools {
    pub engine: Known<Engine>,
    pub buildx: Known<BuildxVersion>,
    /// The builder of the input `builder`, or buildx's current one.
    pub builder: Known<Builder>,
    /// The platforms that the image is for; empty is the builder's own.
    pub platforms: Vec<Platform>,
}

pub(crate) fn checks(tools: &Tools) -> Vec<Check> {
    let mut checks = vec![engine(tools), buildx(tools), buildkit(tools), builder(tools), store(tools)];
    checks.extend(platforms(tools));
    checks.into_iter().map(Check::of_machine).collect()
}

fn engine(tools: &Tools) -> Check {
    let name = "docker";
    match (&tools.engine, &tools.builder) {
        (Ok(engine), _) => {
            let on = engine.platform.as_ref().map(|platform| format!(" on {platform}")).unwrap_or_default();
            Check::ok(name, format!("docker {}{on}", engine.version))
        }
        // Of a builder on an engine that is gone, buildx tells neither driver nor version.
        (Err(error), Ok(builder)) if !builder.is_engine() && builder.buildkit.is_some() => Check::warn(
            name,
            format!("{}; the builder {} does without it", error.headline(), builder.name),
            "start the engine if images are to be loaded on this machine",
        ),
        (Err(error), _) if error.is(FailureKind::ToolMissing) => Check::refused(name, error),
        (Err(error), _) => Check::unknown(name, error),
    }
}

fn buildx(tools: &Tools) -> Check {
    let name = "buildx";
    let version = match &tools.buildx {
        Ok(version) => version,
        Err(error) if error.is(FailureKind::ToolMissing) => return Check::refused(name, error),
        Err(error) => return Check::unknown(name, error),
    };
    lacking(name, &format!("buildx {version}"), &lacks_of_buildx(version))
}

fn lacking(name: &str, found: &str, lacks: &[Lack]) -> Check {
    let update = format!("update {name}: docs/builders.md, \"Old tools\"");
    let list = lacks.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    // All that build-once cannot work without is the first row.
    if lacks.first().is_some_and(Lack::is_floor) {
        Check::fail(name, list, update)
    } else if lacks.is_empty() {
        Check::ok(name, format!("{found} has every feature that is used"))
    } else {
        Check::warn(name, list, update)
    }
}

fn buildkit(tools: &Tools) -> Check {
    let name = "BuildKit";
    let builder = match &tools.builder {
        Ok(builder) => builder,
        Err(error) => return Check::unknown(name, error),
    };
    let boot = format!("docker buildx inspect --bootstrap {}", builder.name);
    let Some(buildkit) = &builder.buildkit else {
        let why = format!("could not be checked: the builder {} has not booted", builder.name);
        return Check::warn(name, why, boot);
    };
    match lacks_of_buildkit(buildkit) {
        Some(lacks) => lacking(name, &format!("BuildKit {buildkit}"), &lacks),
        None => Check::warn(
            name,
            format!("could not be checked: it says that its version is {buildkit}"),
            "nothing, if builds work: a distribution's own build hides its version",
        ),
    }
}

fn builder(tools: &Tools) -> Check {
    match &tools.builder {
        Ok(builder) if builder.driver.is_empty() => {
            let why = format!("could not be checked: buildx does not reach {}", builder.name);
            Check::warn("builder", why, "see the check docker; docker buildx ls shows the builders there are")
        }
        Ok(builder) => {
            let platforms = builder.platforms.join(", ");
            let of = if platforms.is_empty() { String::new() } else { format!(" for {platforms}") };
            Check::ok("builder", format!("{}, driver {}{of}", builder.name, builder.driver))
        }
        Err(error) if error.is(FailureKind::UnsupportedDriver) || error.is(FailureKind::ToolMissing) => {
            Check::refused("builder", error)
        }
        Err(error) => Check::unknown("builder", error),
    }
}

fn store(tools: &Tools) -> Check {
    let name = "image store";
    match &tools.engine {
        Ok(engine) if engine.containerd_store => {
            Check::ok(name, "containerd's: the engine's own builder exports layer caches and indexes")
        }
        Ok(_) => Check::warn(
            name,
            "the classic one: the engine's own builder exports no layer cache and no index, so each build boots a docker-container builder",
            r#"put {"features": {"containerd-snapshotter": true}} into /etc/docker/daemon.json, and restart docker"#,
        ),
        Err(error) => Check::unknown(name, error),
    }
}

/// A platform that no node builds fails; one that is emulated is slow.
fn platforms(tools: &Tools) -> Option<Check> {
    let name = "platforms";
    if tools.platforms.is_empty() {
        return None;
    }
    let list = shown::list(&tools.platforms);
    let builder = match &tools.builder {
        Ok(builder) => builder,
        Err(error) => return Some(Check::unknown(name, error)),
    };
    if let Some(lacks) = builder.lacks(&tools.platforms) {
        let fix = format!(
            "build {lacks} on a runner of its own (mode: merge), name a builder that has it, or install emulation: docker/setup-qemu-action"
        );
        return Some(Check::fail(name, format!("the builder {} cannot build {lacks}", builder.name), fix));
    }
    let Some(native) = &builder.native else {
        let why = format!("could not be checked: the builder {} does not say what it builds", builder.name);
        return Some(Check::warn(name, why, format!("docker buildx inspect --bootstrap {}", builder.name)));
    };
    let emulated = shown::list(tools.platforms.iter().filter(|platform| !is_native(native, platform)));
    Some(if emulated.is_empty() {
        Check::ok(name, format!("{list}: none is emulated"))
    } else {
        Check::warn(
            name,
            format!("{emulated} is likely emulated on {native}: builds take several times as long"),
            "build each platform on a runner of its own, then mode: merge; or name a remote builder (docs/builders.md)",
        )
    })
}

/// A processor runs the programs of its own architecture, in whichever variant the builder says that it has.
fn is_native(native: &Platform, wanted: &Platform) -> bool {
    let processor = |platform: &Platform| platform.to_string().split('/').nth(1).map(str::to_owned);
    processor(native) == processor(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict::{self, Fail, Ok as Good, Warn};
    use crate::error::Error;

    fn tools() -> Tools {
        let builder =
            "Name: default\nDriver: docker\nBuildKit version: v0.25.2\nPlatforms: linux/amd64, linux/arm64\n";
        let info = r#"{"ServerVersion":"28.5.1","Architecture":"x86_64","DriverStatus":[["driver-type","io.containerd.snapshotter.v1"]]}"#;
        Tools {
            engine: Ok(Engine::parse(info.as_bytes()).unwrap()),
            buildx: Ok(BuildxVersion::parse("v0.29.1").unwrap()),
            builder: Ok(Builder::parse(builder).unwrap()),
            platforms: Vec::new(),
        }
    }

    fn verdict(name: &str, change: impl FnOnce(&mut Tools)) -> (Verdict, String) {
        let mut tools = tools();
        change(&mut tools);
        let found = checks(&tools).into_iter().find(|check| check.name == name).unwrap();
        assert_eq!(found.fix.is_some(), found.verdict != Good, "{found:?}");
        (found.verdict, found.why)
    }

    #[test]
    fn a_good_machine() {
        assert!(checks(&tools()).iter().all(|check| check.verdict == Good), "{:?}", checks(&tools()));
    }

    #[test]
    fn each_thing_that_is_wrong() {
        let missing = || Error::of(FailureKind::ToolMissing, "failed to reach the docker engine");
        let slow = || Error::of(FailureKind::Hang, "docker takes too long").hint("look at docker");
        let engine = |name: &str, error: Error| verdict(name, |tools| tools.engine = Err(error));
        assert_eq!(engine("docker", missing()).0, Fail);
        assert_eq!(engine("docker", slow()).0, Warn);
        assert_eq!(engine("image store", slow()).0, Warn);
        assert_eq!(
            verdict("image store", |tools| tools.engine.as_mut().unwrap().containerd_store = false).0,
            Warn
        );
        let buildx = |version: &'static str| {
            verdict("buildx", |tools| tools.buildx = Ok(BuildxVersion::parse(version).unwrap()))
        };
        assert_eq!(buildx("v0.9.1").0, Fail);
        let (old, why) = buildx("v0.12.1");
        assert!(old == Warn && why.contains("the progress stream: found buildx 0.12.1"), "{why}");
        assert_eq!(verdict("buildx", |tools| tools.buildx = Err(missing())).0, Fail);
        let buildkit = |version: Option<&str>| {
            verdict("BuildKit", |tools| tools.builder.as_mut().unwrap().buildkit = version.map(str::to_owned))
        };
        assert_eq!(buildkit(None).0, Warn);
        assert_eq!(buildkit(Some("v0.0.0+unknown")).0, Warn);
        let (old, why) = buildkit(Some("v0.11.6"));
        assert!(old == Warn && why.contains("found BuildKit 0.11.6"), "{why}");
        let none = Error::of(FailureKind::UnsupportedDriver, "failed to look at the builder x").hint("ls");
        assert_eq!(verdict("builder", |tools| tools.builder = Err(none)).0, Fail);
    }

    #[test]
    fn a_remote_builder_needs_no_engine() {
        let (verdict, why) = verdict("docker", |tools| {
            tools.engine = Err(Error::of(FailureKind::ToolMissing, "no engine"));
            tools.builder.as_mut().unwrap().driver = "remote".into();
        });
        assert!(verdict == Warn && why.contains("does without it"), "{why}");
    }

    /// As buildx 0.29 describes the engine's own builder where no engine answers.
    #[test]
    fn an_engine_that_is_gone_takes_its_builder_along() {
        let gone = |tools: &mut Tools| {
            tools.engine = Err(Error::of(FailureKind::ToolMissing, "no engine"));
            let builder = tools.builder.as_mut().unwrap();
            (builder.driver, builder.buildkit) = (String::new(), None);
        };
        assert_eq!((verdict("docker", gone).0, verdict("builder", gone).0), (Fail, Warn));
    }

    #[test]
    fn platforms_that_are_emulated_or_absent() {
        let of = |list: &'static str| {
            verdict("platforms", |tools| {
                tools.platforms = list.split(',').map(|text| text.parse().unwrap()).collect();
            })
        };
        assert_eq!(of("linux/amd64").0, Good);
        assert_eq!(of("linux/amd64,linux/arm64").0, Warn);
        assert_eq!(of("linux/s390x").0, Fail);
    }
}
