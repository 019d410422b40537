//! Inputs of the builder, and which of them go together.

use std::path::PathBuf;

use super::grammar;
use super::lists::{items, lines};
use super::problems::Problems;
use super::raw::RawInputs;
use super::types::{BuilderInputs, Driver, Endpoint};
use crate::budget;
use crate::image::{ImageReference, Platform};
use crate::key::dockerfile::csv;
use crate::shown;

/// Reads them all.
pub(super) fn read(raw: &RawInputs, problems: &mut Problems) -> BuilderInputs {
    let text =
        |value: &Option<String>| value.as_deref().map(str::trim).filter(|v| !v.is_empty()).map(str::to_owned);
    let drivers = [Driver::DockerContainer, Driver::Remote, Driver::Kubernetes]
        .map(|driver| (driver.name(), Some(driver)));
    let lines = raw.endpoints.as_deref().map(items).unwrap_or_default();
    let builder = BuilderInputs {
        name: text(&raw.builder),
        driver: text(&raw.driver).and_then(|driver| problems.choice("driver", &driver, &drivers)),
        driver_opts: driver_options(raw.driver_opts.as_deref().unwrap_or_default(), problems),
        endpoints: lines.iter().filter_map(|line| endpoint(line, problems)).collect(),
        image: text(&raw.buildkit_image).inspect(|image| {
            if let Err(error) = image.parse::<ImageReference>() {
                problems.add("buildkit-image", error);
            }
        }),
        config: text(&raw.buildkitd_config).map(|path| config(path, problems)),
        keep: problems.boolean("keep-builder", &text(&raw.keep_builder).unwrap_or_else(|| "false".into())),
    };
    check(&builder, !lines.is_empty(), problems);
    builder
}

/// Each line is one record of comma-separated values, as buildx reads it; a value with commas is quoted whole.
fn driver_options(text: &str, problems: &mut Problems) -> Vec<String> {
    let mut options = Vec::new();
    for line in lines(text) {
        let fields = csv(&line).unwrap_or_else(|why| {
            problems.add("driver-opts", format!("`{line}`: {why}"));
            Vec::new()
        });
        let quotes = |why: String| match fields.len() {
            1 => why,
            _ => format!("{why}; a value with commas is written in double quotes, \"{line}\""),
        };
        options.extend(problems.checked("driver-opts", fields.clone(), |field| {
            no_login(field)?;
            grammar::driver_option(field).map_err(quotes)
        }));
    }
    options
}

/// Arguments are public on the machine.
fn no_login(text: &str) -> Result<(), String> {
    match shown::secret_of(text) {
        Some(_) => Err("the password would stand in the process list: name the URL without it".to_owned()),
        None => Ok(()),
    }
}

/// The file is there, and is one that may be read.
fn config(path: String, problems: &mut Problems) -> PathBuf {
    if let Err(error) = budget::read_text(path.as_ref(), budget::INPUT_FILE) {
        problems.add("buildkitd-config", error);
    }
    PathBuf::from(path)
}

/// What the nodes of a `remote` builder take (buildx, `driver/remote/factory.go`).
const PATHS: [&str; 3] = ["cacert", "cert", "key"];
const WORDS: [&str; 2] = ["servername", "default-load"];

/// `ADDRESS [NAME=value…]`, split as a shell would.
fn endpoint(line: &str, problems: &mut Problems) -> Option<Endpoint> {
    // A key pasted here must not be shown again.
    if line.contains("-----BEGIN") {
        problems.add("endpoints", "certificates and keys go by path, not by content");
        return None;
    }
    let words = match shell_words::split(line) {
        Ok(words) => words,
        Err(error) => {
            problems.add("endpoints", format!("`{line}`: {error}"));
            return None;
        }
    };
    let (address, rest) = words.split_first()?;
    if address.split_once("://").is_none_or(|(scheme, host)| scheme.is_empty() || host.is_empty()) {
        problems.add("endpoints", format!("`{address}` is no address: expected one such as tcp://HOST:1234"));
        return None;
    }
    if let Err(why) = no_login(address) {
        problems.add("endpoints", why);
        return None;
    }
    let mut endpoint = Endpoint { address: address.clone(), platforms: Vec::new(), options: Vec::new() };
    for word in rest {
        match word.split_once('=') {
            Some(("platforms", list)) => {
                let list = list.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned);
                endpoint.platforms.extend(problems.parse_all::<Platform>("endpoints", list.collect()));
            }
            Some((name, value)) if PATHS.contains(&name) && !value.is_empty() => {
                // buildx takes absolute paths only.
                let path = std::path::absolute(value).unwrap_or_else(|_| value.into());
                endpoint.options.push((name.to_owned(), path.display().to_string()));
            }
            Some((name, value)) if WORDS.contains(&name) && !value.is_empty() => {
                endpoint.options.push((name.to_owned(), value.to_owned()));
            }
            _ => problems.add(
                "endpoints",
                format!("`{word}` is none of platforms=, {}=, {}=", PATHS.join("=, "), WORDS.join("=, ")),
            ),
        }
    }
    let has = |name: &str| endpoint.options.iter().any(|(known, _)| known == name);
    if has("cert") != has("key") {
        problems.add("endpoints", format!("{address}: cert and key go together"));
    }
    Some(endpoint)
}

fn check(builder: &BuilderInputs, has_endpoints: bool, problems: &mut Problems) {
    let BuilderInputs { driver, .. } = builder;
    let given = [
        ("driver", driver.is_some()),
        ("driver-opts", !builder.driver_opts.is_empty()),
        ("endpoints", has_endpoints),
        ("buildkit-image", builder.image.is_some()),
        ("buildkitd-config", builder.config.is_some()),
        ("keep-builder", builder.keep),
    ];
    if let Some(name) = &builder.name {
        for (input, _) in given.iter().filter(|(_, given)| *given) {
            problems.add(input, format!("is for a builder that is made, and the input builder names {name}"));
        }
        return;
    }
    if *driver != Some(Driver::Remote) {
        if has_endpoints {
            let found = driver.map_or("none is set", Driver::name);
            problems.add("endpoints", format!("go with driver remote ({found})"));
        }
        return;
    }
    if !has_endpoints {
        problems.add("endpoints", "driver remote needs at least one");
    }
    for (input, reason) in [
        ("buildkit-image", "a remote BuildKit runs already"),
        ("buildkitd-config", "a remote BuildKit has its own"),
        ("keep-builder", "a remote BuildKit keeps its state by itself"),
    ] {
        if given.contains(&(input, true)) {
            problems.add(input, format!("does not go with driver remote: {reason}"));
        }
    }
}

/// Where every node says what it builds, each platform asked for needs one that does.
pub(super) fn check_platforms(builder: &BuilderInputs, asked: &[Platform], problems: &mut Problems) {
    let nodes = &builder.endpoints;
    if nodes.is_empty() || nodes.iter().any(|node| node.platforms.is_empty()) {
        return;
    }
    for platform in asked {
        if !nodes.iter().any(|node| node.platforms.iter().any(|built| built.covers(platform))) {
            problems.add("platforms", format!("no endpoint builds {platform}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Env;
    use crate::inputs::ImageRequest;

    fn inputs(pairs: &[(&str, &str)]) -> Result<BuilderInputs, String> {
        let value =
            |name: &str| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        let raw = RawInputs {
            image: Some("app".into()),
            builder: value("builder"),
            driver: value("driver"),
            driver_opts: value("driver-opts"),
            endpoints: value("endpoints"),
            buildkit_image: value("buildkit-image"),
            buildkitd_config: value("buildkitd-config"),
            keep_builder: value("keep-builder"),
            platforms: value("platforms"),
            ..RawInputs::default()
        };
        ImageRequest::read(&raw, &Env::default())
            .map(|inputs| inputs.settings.builder.clone())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn nodes_with_what_they_build_and_how_they_are_reached() {
        let lines = "# two machines\ntcp://a:1234 platforms=linux/amd64,linux/386\n\
            tcp://b:1234 platforms=linux/arm64 cacert=/tls/ca.pem cert=/tls/c.pem 'key=/tls/my key.pem' servername=b.example";
        let builder = inputs(&[("driver", "remote"), ("endpoints", lines)]).unwrap();
        let [a, b] = builder.endpoints.as_slice() else { panic!("{:?}", builder.endpoints) };
        assert_eq!((a.address.as_str(), a.platforms.len(), a.options.len()), ("tcp://a:1234", 2, 0));
        assert_eq!(b.options[2], ("key".to_owned(), "/tls/my key.pem".to_owned()));
        assert_eq!(b.options[3], ("servername".to_owned(), "b.example".to_owned()));
    }

    // D66
    #[test]
    fn d66_a_value_with_commas_is_one_option() {
        let quoted = "network=host\n\"env.no_proxy=localhost,127.0.0.1,.corp\"\nimage=h/buildkit:1,memory=2g";
        let builder = inputs(&[("driver-opts", quoted)]).unwrap();
        let options =
            ["network=host", "env.no_proxy=localhost,127.0.0.1,.corp", "image=h/buildkit:1", "memory=2g"];
        assert_eq!(builder.driver_opts, options);
        let error = inputs(&[("driver-opts", "env.no_proxy=localhost,127.0.0.1,.corp")]).unwrap_err();
        assert!(
            error.contains("input `driver-opts`: `127.0.0.1`") && error.contains("written in double quotes"),
            "{error}"
        );
    }

    #[test]
    fn paths_are_absolute() {
        let builder = inputs(&[("driver", "remote"), ("endpoints", "tcp://a:1 cacert=tls/ca.pem")]).unwrap();
        let path = std::path::absolute("tls/ca.pem").unwrap().display().to_string();
        assert_eq!(builder.endpoints[0].options, [("cacert".to_owned(), path)]);
    }

    #[test]
    fn what_does_not_go_together_is_named() {
        let remote = ("driver", "remote");
        let node = ("endpoints", "tcp://a:1");
        let rows: [(&[(&str, &str)], &str); 14] = [
            (&[remote], "input `endpoints`: driver remote needs at least one"),
            (
                &[("driver", "docker-container"), node],
                "input `endpoints`: go with driver remote (docker-container)",
            ),
            (&[node], "input `endpoints`: go with driver remote (none is set)"),
            (&[("driver", "docker")], "`docker` is not one of docker-container, remote, kubernetes"),
            (&[("builder", "b"), ("driver", "kubernetes")], "input `driver`: is for a builder that is made"),
            (&[("builder", "b"), ("keep-builder", "true")], "input `keep-builder`: is for a builder"),
            (&[("builder", "b"), ("buildkit-image", "i")], "input `buildkit-image`: is for a builder"),
            (&[remote, node, ("buildkit-image", "i")], "`buildkit-image`: does not go with driver remote"),
            (
                &[remote, node, ("buildkitd-config", "/etc/hostname")],
                "`buildkitd-config`: does not go with driver remote",
            ),
            (&[remote, node, ("keep-builder", "true")], "keeps its state by itself"),
            (&[remote, ("endpoints", "a:1")], "`a:1` is no address"),
            (&[remote, ("endpoints", "tcp://a:1 platform=x")], "`platform=x` is none of platforms="),
            (&[remote, ("endpoints", "tcp://a:1 cert=/c")], "cert and key go together"),
            (
                &[
                    remote,
                    ("endpoints", "tcp://a:1 platforms=linux/arm64"),
                    ("platforms", "linux/amd64,linux/arm64"),
                ],
                "input `platforms`: no endpoint builds linux/amd64",
            ),
        ];
        for (given, expected) in rows {
            let error = inputs(given).unwrap_err();
            assert!(error.contains(expected), "{given:?}: {error}");
        }
    }

    #[test]
    fn a_key_by_content_is_refused_and_not_repeated() {
        let line = "\"tcp://a:1 key=-----BEGIN PRIVATE KEY-----\nMIIcanary\"";
        let error = inputs(&[("driver", "remote"), ("endpoints", line)]).unwrap_err();
        assert!(error.contains("by path") && !error.contains("canary"), "{error}");
    }
}
