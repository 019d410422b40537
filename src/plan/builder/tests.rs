//! Which builder is chosen for what a build needs.

use super::*;
use crate::buildkit::Engine;
use crate::buildkit::{Builder, BuildxVersion};
use crate::env::Env;
use crate::failure::FailureClass;
use crate::inputs::{ImageRequest, RawInputs};

fn toolchain(driver: &str, containerd_store: bool) -> Toolchain {
    Toolchain {
        buildx: BuildxVersion::parse("v0.29.1").unwrap(),
        builder: Some(Builder {
            name: "b".into(),
            driver: driver.into(),
            buildkit: None,
            platforms: vec![],
            native: None,
        }),
        engine: Some(Engine {
            version: "28".into(),
            platform: None,
            containerd_store,
            root: None,
            has_proxy: false,
        }),
    }
}

fn inputs(change: impl FnOnce(&mut RawInputs)) -> BuilderInputs {
    let mut raw = RawInputs { image: Some("app".into()), ..RawInputs::default() };
    change(&mut raw);
    ImageRequest::read(&raw, &Env::default()).unwrap().settings.builder.clone()
}

fn named(name: Option<&str>) -> BuilderInputs {
    inputs(|raw| match name {
        Some(name) => raw.builder = Some(name.into()),
        None => raw.buildkit_image = Some("i".into()),
    })
}

const NAMES: Names<'_> = Names { unique: "u", owner: None, kept: None };

const CACHE: Needs = Needs { cache_export: true, ..PLAIN };
const INDEX: Needs = Needs { index: true, ..PLAIN };
const MANIFEST: Needs = Needs { manifest: true, ..PLAIN };
const PLAIN: Needs =
    Needs { cache_export: false, index: false, manifest: false, engine_images: false, own_layers: false };
const LOCAL: Needs = Needs { cache_export: true, engine_images: true, ..PLAIN };

#[test]
fn the_least_that_suffices() {
    let at_hand = |name: Option<&str>, without_cache_export| Choice::AtHand {
        name: name.map(str::to_owned),
        without_cache_export,
        without_layers: false,
    };
    let rows = [
        ("docker", true, None, CACHE, Some(at_hand(None, false))),
        ("docker", false, None, PLAIN, Some(at_hand(None, false))),
        ("docker", false, None, CACHE, None),
        ("docker", false, None, INDEX, None),
        // D77
        ("docker", false, None, MANIFEST, None),
        ("docker", true, None, MANIFEST, Some(at_hand(None, false))),
        ("docker-container", true, None, LOCAL, Some(at_hand(Some("default"), false))),
        ("docker-container", false, None, CACHE, Some(at_hand(None, false))),
        ("docker-container", false, None, LOCAL, Some(at_hand(Some("default"), true))),
        ("docker", false, Some("b"), CACHE, Some(at_hand(Some("b"), true))),
    ];
    for (driver, containerd, name, needs, expected) in rows {
        let choice = choose(&named(name), &[], &toolchain(driver, containerd), needs, NAMES).unwrap();
        match expected {
            Some(expected) => assert_eq!(choice, expected, "{driver} {needs:?}"),
            None => assert!(
                matches!(choice, Choice::Fresh { ref builder, keep: false, optional } if builder.name == "build-once-u" && builder.options == ["image=i"] && optional == needs.cache_export)
            ),
        }
    }
    for needs in [INDEX, MANIFEST] {
        let refused = choose(&named(Some("b")), &[], &toolchain("docker", false), needs, NAMES).unwrap_err();
        assert_eq!(refused.class, FailureClass::Unsupported);
        // D77: the engine alone has the base, and its store cannot hold what is asked.
        let local = Needs { engine_images: true, ..needs };
        let refused = choose(&named(Some("b")), &[], &toolchain("docker", false), local, NAMES).unwrap_err();
        assert!(refused.to_string().contains("containerd image store"), "{refused}");
        assert!(choose(&named(None), &[], &toolchain("docker-container", false), local, NAMES).is_err());
    }
}

#[test]
fn a_driver_that_is_asked_for_is_made_whatever_is_at_hand() {
    let remote = inputs(|raw| {
        raw.driver = Some("remote".into());
        raw.endpoints = Some("tcp://a:1\ntcp://b:1 platforms=linux/arm64".into());
        raw.allow = Some("network.host".into());
    });
    let none = Toolchain { builder: None, engine: None, ..toolchain("docker", true) };
    let Choice::Fresh { builder, keep: false, optional: false } =
        choose(&remote, &["network.host".to_owned()], &none, CACHE, NAMES).unwrap()
    else {
        panic!()
    };
    assert_eq!((builder.driver, builder.nodes.len()), (Driver::Remote, 2));
    assert!(builder.entitlements.is_empty());
    let error = choose(&remote, &["network.host".to_owned()], &none, LOCAL, NAMES).unwrap_err();
    assert_eq!(error.class, FailureClass::Unsupported, "{error}");

    let container = inputs(|raw| {
        raw.driver = Some("docker-container".into());
        raw.allow = Some("security.insecure".into());
    });
    let Choice::Fresh { builder, .. } =
        choose(&container, &["security.insecure".to_owned()], &toolchain("docker", true), PLAIN, NAMES)
            .unwrap()
    else {
        panic!()
    };
    assert_eq!(builder.entitlements, ["security.insecure"]);
}

#[test]
fn a_kept_one_is_made_once() {
    let kept = |exists| {
        let kept = KeptBuilder { name: "build-once-kept-0".to_owned(), exists };
        let names = Names { kept: Some(&kept), ..NAMES };
        choose(&named(None), &[], &toolchain("docker", false), CACHE, names).unwrap()
    };
    let Choice::Fresh { builder, keep: true, .. } = kept(false) else { panic!() };
    assert_eq!(builder.name, "build-once-kept-0");
    assert_eq!(kept(true), Choice::Kept { name: builder.name });
}

#[test]
fn names_say_whose_a_builder_is_and_fit() {
    let owner = Owner {
        machine: "0123abcd".into(),
        boot: "aaaaaa".into(),
        namespace: "bbbb".into(),
        pid: u32::MAX >> 10,
        started: 0xfff_ffff,
    };
    let unique = format!("123456789012-3-{}-0a1b2c3d", "job".repeat(60));
    let names = Names { unique: &unique, owner: Some(&owner), kept: None };
    let container = fresh_name(Driver::DockerContainer, names);
    assert_eq!(Owner::of_builder(&container).as_ref(), Some(&owner));
    assert!(container.len() < 200, "{container}");
    let pods = fresh_name(Driver::Kubernetes, names);
    assert!(pods.starts_with("build-once-0a1b2c3d-") && pods.len() < 63, "{pods}");
    assert_eq!(Owner::of_builder(&pods), Some(owner));
}
