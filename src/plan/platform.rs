//! Decides whether the build names its platform.
//!
//! `docker buildx build` without `--platform` leaves the platform in the image's configuration to
//! the base image, as with `FROM --platform=linux/arm64`; with it, the name that was given stands
//! there whatever the files are.

use super::builder::Choice;
use crate::error::{Error, Result};
use crate::facts::{ImageFacts, Toolchain};
use crate::failure::FailureKind;
use crate::image::Platform;
use crate::inputs::BuildInputs;

/// The platforms that the build names: those of the input `platforms`. If it is empty, none, provided that the builder
/// builds for this machine's platform by itself, which is the one in the key.
///
/// # Errors
/// If the builder may build for another platform, and the Dockerfile chooses its own.
pub(super) fn platforms(
    inputs: &BuildInputs,
    facts: &ImageFacts,
    toolchain: &Toolchain,
    choice: &Choice,
) -> Result<Vec<Platform>> {
    if !inputs.implied_platform {
        return Ok(inputs.platforms.clone());
    }
    let here = Platform::of_this_machine();
    let native = native_platform(toolchain, choice);
    if native.is_some_and(|native| native.covers(&here)) {
        return Ok(Vec::new());
    }
    let from = facts.pins.from_platform.as_deref();
    let is_here = |from: &str| from.parse::<Platform>().is_ok_and(|from| from.covers(&here));
    match from.filter(|from| !is_here(from)) {
        None => Ok(vec![here]),
        Some(from) => Err(Error::of(
            FailureKind::UnsupportedDriver,
            format!(
                "failed to decide what is built for: FROM --platform={from}, and the input platforms is empty"
            ),
        )
        .cause(match native {
            Some(native) => format!("the builder builds for {native}, this machine is {here}"),
            None => format!("it is not known whether the builder builds for {here}, as this machine is"),
        })
        .hint(format!("set the input platforms, such as {here}"))),
    }
}

/// The platform that the chosen builder builds for if the build names none, as far as it is known.
fn native_platform<'a>(toolchain: &'a Toolchain, choice: &Choice) -> Option<&'a Platform> {
    let engines = toolchain.engine.as_ref().and_then(|engine| engine.platform.as_ref());
    let builder = toolchain.builder.as_ref();
    match choice {
        Choice::AtHand { name, .. } if name.as_deref() == Some("default") => engines,
        Choice::AtHand { .. } => builder.and_then(|builder| builder.native.as_ref()),
        // Such a builder runs on the engine, unless another driver is asked for: then no builder was looked at.
        Choice::Kept { .. } | Choice::Fresh { .. } => builder.and(engines),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buildkit::{Builder, BuildxVersion};
    use crate::env::Env;
    use crate::facts::{NoRepository, Pins, RepositoryFact};
    use crate::failure::FailureClass;
    use crate::inputs::{ImageRequest, RawInputs};

    fn named(asked: Option<&str>, from: Option<&str>, native: Option<&str>) -> Result<Vec<Platform>> {
        let raw = RawInputs {
            image: Some("app".into()),
            platforms: asked.map(str::to_owned),
            ..RawInputs::default()
        };
        let inputs = ImageRequest::read(&raw, &Env::default()).unwrap().build;
        let facts = ImageFacts {
            pins: Pins { from_platform: from.map(str::to_owned), ..Pins::default() },
            ..ImageFacts::empty(RepositoryFact::None(NoRepository::NotNamed).into())
        };
        let builder = Builder {
            name: "b".into(),
            driver: "remote".into(),
            buildkit: None,
            platforms: vec![],
            native: native.map(|text| text.parse().unwrap()),
        };
        let buildx = BuildxVersion::parse("v0.29.1").unwrap();
        let toolchain = Toolchain { buildx, builder: Some(builder), engine: None };
        let choice = Choice::AtHand { name: None, without_cache_export: false, without_layers: false };
        platforms(&inputs, &facts, &toolchain, &choice)
    }

    #[test]
    fn d106_no_platform_is_named_where_none_is_asked_for() {
        let here = Platform::of_this_machine();
        let own = Some(here.to_string());
        assert_eq!(named(None, Some("linux/s390x"), own.as_deref()).unwrap(), []);
        // What is asked for is named.
        assert_eq!(named(own.as_deref(), None, own.as_deref()).unwrap(), std::slice::from_ref(&here));
        // Another builder's own platform is not what the key says.
        for native in [Some("linux/s390x"), None] {
            assert_eq!(named(None, None, native).unwrap(), std::slice::from_ref(&here));
            assert_eq!(named(None, own.as_deref(), native).unwrap(), std::slice::from_ref(&here));
            let refused = named(None, Some("linux/s390x"), native).unwrap_err();
            assert_eq!(refused.class, FailureClass::Unsupported);
            assert_eq!(named(Some("linux/s390x"), Some("linux/s390x"), native).unwrap().len(), 1);
        }
    }
}
