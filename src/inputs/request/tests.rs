//! How the inputs of an image are read, and which ones are refused.

use super::*;

fn raw() -> RawInputs {
    RawInputs { image: Some("app-ci".into()), ..Default::default() }
}

#[test]
fn defaults() {
    let inputs = ImageRequest::read(&raw(), &Env::default()).unwrap();
    assert_eq!(inputs.settings.mode, Mode::Build);
    assert_eq!(inputs.settings.wait_timeout, Duration::from_mins(10));
    assert!(!inputs.build.provenance.is_on());
    assert_eq!(inputs.settings.reliability.retries, 3);
    assert_eq!(inputs.settings.reliability.stall_timeout, Some(Duration::from_mins(20)));
}

#[test]
fn an_empty_input_counts_as_unset() {
    let read = |value: &str| {
        let value = || Some(value.to_owned());
        let raw = RawInputs {
            mode: value(),
            load: value(),
            rebuild: value(),
            on_missing: value(),
            wait_timeout: value(),
            context: value(),
            labels_file: value(),
            no_cache: value(),
            compression: value(),
            key: value(),
            cache: value(),
            stall_timeout: value(),
            retries: value(),
            log: value(),
            ..raw()
        };
        ImageRequest::read(&raw, &Env::default()).map(|request| format!("{request:?}")).unwrap()
    };
    let unset = ImageRequest::read(&raw(), &Env::default()).map(|request| format!("{request:?}")).unwrap();
    assert_eq!((read(""), read(" \n")), (unset.clone(), unset));
}

/// D68
#[test]
fn logins_name_a_host_in_any_of_dockers_ways() {
    for (given, host) in [
        ("ghcr.io", "ghcr.io"),
        ("https://Registry.example:5000/", "registry.example:5000"),
        ("https://index.docker.io/v1/", "docker.io"),
        ("[::1]:5000", "[::1]:5000"),
    ] {
        let raw = RawInputs { logins: Some(format!("{given} ann PASSWORD")), ..raw() };
        assert_eq!(ImageRequest::read(&raw, &Env::default()).unwrap().settings.access.logins[0].host, host);
    }
}

#[test]
fn the_watchdog_is_off_when_it_is_off() {
    let stall = |text: &str| {
        let raw = RawInputs { stall_timeout: Some(text.into()), ..raw() };
        ImageRequest::read(&raw, &Env::default()).map(|inputs| inputs.settings.reliability.stall_timeout)
    };
    assert_eq!(stall("off").unwrap(), None);
    assert_eq!(stall("90s").unwrap(), Some(Duration::from_secs(90)));
    assert!(stall("0s").is_err() && stall("never").is_err());
}

#[test]
fn tags_as_metadata_action_writes_them() {
    let inputs =
        RawInputs { tags: Some("ghcr.io/o/app:1.2\nghcr.io/o/app:latest,ghcr.io/o/app:x".into()), ..raw() };
    let inputs = ImageRequest::read(&inputs, &Env::default()).unwrap();
    assert_eq!(inputs.tags.len(), 3);
}

#[test]
fn who_names_images_by_digest_needs_no_checkout() {
    let digest = Some(format!("sha256:{}", "0".repeat(64)));
    let absent = || Some("absent".to_owned());
    let pull = RawInputs { mode: Some("pull".into()), digest: digest.clone(), ..raw() };
    let merge = RawInputs { mode: Some("merge".into()), digests: digest, ..raw() };
    for by_digest in [pull, merge] {
        let of_checkout = RawInputs {
            context: absent(),
            labels_file: absent(),
            build_args_file: absent(),
            buildkitd_config: absent(),
            ..by_digest.clone()
        };
        assert!(ImageRequest::read(&of_checkout, &Env::default()).is_ok());
        // They say which image of an index is taken, or must be in it.
        let bad = RawInputs { platforms: Some("linux".into()), ..by_digest };
        let error = ImageRequest::read(&bad, &Env::default()).unwrap_err().to_string();
        assert!(error.contains("input `platforms`"), "{error}");
    }
}

#[test]
fn what_is_left_out_of_any_image_is_told_once() {
    let image = |name: &str, secrets: &str| RawInputs {
        image: Some(name.into()),
        secrets: Some(secrets.into()),
        ..RawInputs::default()
    };
    let raw = [image("a", "one="), image("b", "one=\ntwo=")];
    let raw = raw.each_ref().map(ImageInputs::from);
    let request = Request::read(&raw, &Env::default()).unwrap();
    let warnings = &request.settings.warnings;
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].contains("`one` is empty") && warnings[1].contains("`two` is empty"), "{warnings:?}");
    assert!(request.images.iter().all(|image| image.settings.warnings == *warnings));
}

#[test]
fn every_bad_value_is_named() {
    let bad = RawInputs {
        mode: Some("pul".into()),
        digest: Some("sha256:1".into()),
        platforms: Some("linux".into()),
        wait_timeout: Some("soon".into()),
        retries: Some("many".into()),
        logins: Some("ghcr.io".into()),
        ..RawInputs::default()
    };
    let text = ImageRequest::read(&bad, &Env::default()).unwrap_err().to_string();
    for input in ["image", "mode", "digest", "platforms", "wait-timeout", "retries", "logins"] {
        assert!(text.contains(&format!("input `{input}`")), "{input} in {text}");
    }
}

#[test]
fn combinations_that_make_no_sense() {
    for bad in [
        RawInputs { digest: Some(format!("sha256:{}", "0".repeat(64))), ..raw() },
        RawInputs { key: Some("files".into()), ..raw() },
        RawInputs { key_files: Some("a".into()), ..raw() },
    ] {
        assert!(ImageRequest::read(&bad, &Env::default()).is_err());
    }
}
