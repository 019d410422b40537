//! What registries, docker, buildx and users answer or write.

use build_once::testing::Env;
use build_once::testing::Lineage;
use build_once::testing::UserDockerConfig;
use build_once::testing::explain;
use build_once::testing::listed;
use build_once::testing::pick;
use build_once::testing::{Builder, BuildxVersion, checks};
use build_once::testing::{Challenge, bearer, redirected, registry_error};
use build_once::testing::{Command, ImageRequest, arguments, parse};
use build_once::testing::{Engine, LocalImage};
use build_once::testing::{MEDIA_TYPES, Manifest};
use reqwest::Url;

use super::{BREAK, text};

/// What a registry keeps: no digest that is none, and no sum that no number holds.
pub fn manifest(data: &[u8]) {
    for media_type in [None].into_iter().chain(MEDIA_TYPES.into_iter().map(Some)) {
        let Ok(manifest) = Manifest::parse(data, media_type) else { continue };
        let all = manifest.children_for(&["linux/amd64".to_owned(), "linux/arm64/v8".to_owned()]);
        assert!(all.len() <= manifest.children().count());
        assert!(manifest.config().is_none() || manifest.children().next().is_none());
        let _ = (manifest.size(), manifest.layers(), manifest.annotation("a"));
    }
    if let Some(lineage) = Lineage::decode(data) {
        assert_eq!(lineage.encode(), data, "nothing is lost");
    }
}

/// Credentials go nowhere but over TLS or to this machine, wherever a registry sends them.
pub fn challenge(data: &[u8]) {
    let text = text(data);
    let parts: Vec<&str> = text.split(BREAK).collect();
    let [header, location, body, ..] = [&parts[..], &["", ""]].concat()[..] else { return };
    if let Some(Challenge::Bearer(request)) = Challenge::parse(header)
        && let Some(address) = request.address()
    {
        let local = || build_once::testing::is_this_machine(address.host_str().unwrap_or_default());
        assert!(address.scheme() == "https" || (address.scheme() == "http" && local()), "{address}");
    }
    for from in ["https://r.example/v2/a", "http://127.0.0.1:5000/v2/a"] {
        let from = Url::parse(from).unwrap();
        if let Some(Ok(to)) = redirected(&from, location) {
            assert!(to.scheme() == "https" || (to.scheme() == "http" && from.scheme() == "http"), "{to}");
        }
    }
    let _ = (bearer(body.as_bytes()), registry_error(body.as_bytes()));
}

/// What docker, buildx and git print of themselves, and docker's own configuration.
pub fn tool_answers(data: &[u8]) {
    let text = text(data);
    let image: serde_json::Value = serde_json::from_slice(data).unwrap_or_default();
    if let Some(image) = LocalImage::read("x", image.get(0).unwrap_or(&image)) {
        assert_eq!(image.name, "x");
    }
    if let Some(engine) = Engine::parse(data) {
        assert!(!engine.version.is_empty());
    }
    let _ = (Builder::parse(&text), BuildxVersion::parse(&text), checks::parse(data));
    for name in ["", "main", "refs/tags/v1"] {
        if let Ok(found) = pick(&text, name) {
            assert!(text.contains(&found.object) && text.contains(&found.commit));
        }
    }
    let names: Vec<String> = listed(data, "failed").unwrap_or_default();
    assert!(names.iter().all(|name| !name.contains('\n')));
    let config = UserDockerConfig::read(data);
    let _ = (config.plugin("buildx"), config.proxies(&Env::default()).count());
}

/// What is read of a key differs in nothing from itself.
pub fn explanation(data: &[u8]) {
    let listing = serde_json::from_slice(data).ok().and_then(|value| explain::from_listing(&value).ok());
    for explained in explain::decode(&text(data)).ok().into_iter().chain(listing) {
        assert_eq!(explain::diff(&explained, &explained), []);
    }
}

/// Inputs, one a part as `name=value`: a wrong one is an error of the class `input`, which is exit 2.
pub fn inputs(data: &[u8]) {
    let text = text(data);
    let flags = text.split(BREAK).map(|part| format!("--{}", part.trim_start_matches('-')));
    let argv: Vec<_> = ["build-once", "run", "--image=app"]
        .map(str::to_owned)
        .into_iter()
        .chain(flags)
        .map(Into::into)
        .collect();
    let env = Env::from([("TOKEN", "a-long-secret")]);
    let Ok(argv) = arguments(&argv, &env) else { return };
    let Ok(Command::Run(raw)) = parse(&argv) else { return };
    if let Err(error) = ImageRequest::read(&raw.inputs, &env) {
        assert_eq!(error.class.exit_code(), 2, "{error}");
        assert!(!error.to_string().contains("a-long-secret"));
    }
}
