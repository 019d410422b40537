//! Plans how a built image gets into the engine's store, which may hold less than the build makes.

use crate::buildkit::Engine;
use crate::buildkit::{BuildSpec, OutputTarget};
use crate::image::Platform;
use crate::inputs::{Attestation, BuildInputs, Compression};

/// How an image is published and loaded.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Loading {
    /// The output of the build itself.
    pub output: OutputTarget,
    /// True if the engine gets the image.
    pub loads: bool,
    /// True if the image is pushed, then pulled.
    pub pulls: bool,
    /// The one platform that is pulled, or loaded once all are built.
    pub own_platform: Option<Platform>,
    /// What the engine does not get, and why.
    pub notices: Vec<String>,
}

/// Plans the loading. The engine's classic store holds one platform, no attestation and no annotation.
pub(super) fn loading(
    inputs: &BuildInputs,
    engine: Option<&Engine>,
    publish: bool,
    load: bool,
    on_engine: bool,
) -> Loading {
    let output = output_target(publish, load, on_engine);
    let mut loading = Loading { output, loads: load, pulls: false, own_platform: None, notices: Vec::new() };
    let Some(engine) = engine.filter(|engine| load && !engine.containerd_store) else { return loading };
    let mut notice = |text: String| {
        loading.notices.push(format!("{text} (the containerd image store can)"));
    };
    let here = engine.platform.clone().unwrap_or_else(Platform::of_this_machine);
    let own = inputs.platforms.iter().find(|platform| here.covers(platform)).cloned();
    if !publish && !inputs.annotations.is_empty() {
        notice("annotations are left out: the engine's image store holds none".to_owned());
    }
    if !publish && inputs.compression.is_asked() {
        notice("compression has no effect: the engine's image store does not keep packed layers".to_owned());
    }
    let several = inputs.platforms.len() > 1;
    if !inputs.makes_index() || (!publish && !several && !inputs.attests()) {
        return loading;
    }
    if !publish && inputs.attests() {
        notice("provenance and sbom are left out: the engine's image store holds none".to_owned());
    }
    if several || publish {
        loading.output = if publish { OutputTarget::Push } else { OutputTarget::Discard };
        loading.loads = own.is_some();
        loading.pulls = publish && own.is_some();
        match &own {
            None => notice(format!(
                "the image is built and not loaded: the engine's image store holds one platform, and none is its own {here}"
            )),
            Some(own) if several => notice(format!(
                "all platforms are built, {own} alone is loaded: the engine's image store holds one platform"
            )),
            Some(_) => {}
        }
        loading.own_platform = own;
    }
    loading
}

/// The build that loads one platform of the image that was just built: its steps are all cached.
pub(super) fn load_of_platform(spec: &BuildSpec, own: Platform) -> BuildSpec {
    let mut spec = spec.without_cache_exports();
    spec.output = OutputTarget::Load;
    let fresh = BuildInputs { no_cache: false, no_cache_filters: Vec::new(), ..spec.build };
    spec.build = BuildInputs { platforms: vec![own], ..for_classic_store(fresh) };
    spec
}

/// The build without what the classic store does not hold.
pub(super) fn for_classic_store(build: BuildInputs) -> BuildInputs {
    let none = Attestation::Off;
    BuildInputs { provenance: none.clone(), sbom: none, compression: Compression::default(), ..build }
}

const fn output_target(publish: bool, load: bool, on_engine: bool) -> OutputTarget {
    match (publish, load) {
        // The engine's own BuildKit keeps what it pushes; asked to load it as well, its two exports
        // race for the name, and one fails with "already exists".
        (true, true) if on_engine => OutputTarget::Push,
        (true, true) => OutputTarget::PushAndLoad,
        (true, false) => OutputTarget::Push,
        (false, true) => OutputTarget::Load,
        (false, false) => OutputTarget::Discard,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Env;
    use crate::inputs::{ImageRequest, RawInputs};

    fn of(publish: bool, containerd_store: bool, change: impl FnOnce(&mut RawInputs)) -> Loading {
        let mut raw = RawInputs { image: Some("app".into()), ..RawInputs::default() };
        change(&mut raw);
        let inputs = ImageRequest::read(&raw, &Env::default()).unwrap().build;
        let platform = "linux/amd64".parse().ok();
        let engine =
            Engine { version: "28".into(), platform, containerd_store, root: None, has_proxy: false };
        loading(&inputs, Some(&engine), publish, true, false)
    }

    #[test]
    fn d59_the_classic_store_gets_the_machines_own_platform() {
        let both = |raw: &mut RawInputs| raw.platforms = Some("linux/arm64,linux/amd64".into());
        let local = of(false, false, both);
        assert_eq!((local.output, local.loads), (OutputTarget::Discard, true));
        assert_eq!(local.own_platform.unwrap().to_string(), "linux/amd64");
        assert!(local.notices[0].contains("linux/amd64 alone is loaded"), "{:?}", local.notices);
        let pushed = of(true, false, both);
        assert_eq!((pushed.output, pushed.pulls), (OutputTarget::Push, true));
        let foreign = |raw: &mut RawInputs| raw.platforms = Some("linux/arm64,linux/s390x".into());
        for publish in [false, true] {
            let none = of(publish, false, foreign);
            assert!(!none.loads && !none.pulls && none.notices[0].contains("not loaded"), "{none:?}");
        }
        let all = of(false, true, both);
        assert_eq!((all.output, all.own_platform, all.notices.len()), (OutputTarget::Load, None, 0));
    }

    #[test]
    fn d77_what_the_classic_store_does_not_hold_is_said() {
        let said = of(false, false, |raw| {
            raw.annotations = Some("a=b".into());
            raw.provenance = Some("true".into());
            raw.compression = Some("zstd".into());
        });
        assert_eq!((said.output, said.notices.len()), (OutputTarget::Load, 3), "{said:?}");
        assert_eq!(of(false, true, |raw| raw.annotations = Some("a=b".into())).notices.len(), 0);
    }
}
