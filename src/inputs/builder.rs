//! The inputs of the builder, and which of them go together. The grammar of `endpoints`, one node a line:
//! `tcp://arm.example:1234 platforms=linux/arm64 cacert=tls/ca.pem servername=arm`.

use std::path::PathBuf;

use super::grammar;
use super::lists::{InputText as _, comma_items, lines};
use super::problems::Problems;
use super::raw::RawInputs;
use super::types::{BuilderInputs, Driver, Endpoint};
use crate::budget;
use crate::image::{ImageReference, Platform};
use crate::key::dockerfile::csv;
use crate::shown;

/// Reads them all. `builds`: a builder may be made, so the file that is its configuration must be there.
pub(super) fn read(raw: &RawInputs, builds: bool, problems: &mut Problems) -> BuilderInputs {
    let drivers = [Driver::DockerContainer, Driver::Remote, Driver::Kubernetes]
        .map(|driver| (driver.name(), Some(driver)));
    let nodes = raw.endpoints.items();
    let builder = BuilderInputs {
        name: raw.builder.text(),
        driver: raw.driver.trimmed().and_then(|driver| problems.choice("driver", driver, &drivers)),
        driver_opts: driver_options(raw.driver_opts.as_deref().unwrap_or_default(), problems),
        endpoints: nodes.iter().filter_map(|line| endpoint(line, problems)).collect(),
        image: raw.buildkit_image.text().inspect(|image| {
            if let Err(error) = image.parse::<ImageReference>() {
                problems.add("buildkit-image", error);
            }
        }),
        config: raw.buildkitd_config.text().map(PathBuf::from).inspect(|path| {
            if let Some(error) = budget::read_text(path, budget::INPUT_FILE).err().filter(|_| builds) {
                problems.add("buildkitd-config", error);
            }
        }),
        keep: problems.boolean("keep-builder", raw.keep_builder.trimmed().unwrap_or("false")),
    };
    check(&builder, !nodes.is_empty(), problems);
    builder
}

/// The options of `docker buildx create --driver-opt`. Each line is one record of comma-separated values, as buildx
/// reads it; an option with commas in its value is quoted whole: `"env.no_proxy=localhost,127.0.0.1"`.
fn driver_options(text: &str, problems: &mut Problems) -> Vec<String> {
    let mut options = Vec::new();
    for line in lines(text) {
        let fields = csv(&line).unwrap_or_else(|why| {
            problems.add("driver-opts", format!("`{line}`: {why}"));
            Vec::new()
        });
        let is_split = fields.len() > 1;
        options.extend(problems.checked("driver-opts", fields, |field| {
            refuse_password(field)?;
            let hint = format!("a value with commas is written in double quotes, \"{line}\"");
            grammar::driver_option(field).map_err(|why| if is_split { format!("{why}; {hint}") } else { why })
        }));
    }
    options
}

/// Refuses a URL with a password in it: every process of the machine can read arguments.
fn refuse_password(text: &str) -> Result<(), String> {
    match shown::secret_of(text) {
        Some(_) => Err("the password would stand in the process list: name the URL without it".to_owned()),
        None => Ok(()),
    }
}

/// Options of a node whose value is a path (buildx, `driver/remote/factory.go`).
const PATH_OPTIONS: [&str; 3] = ["cacert", "cert", "key"];
/// Its other options.
const OTHER_OPTIONS: [&str; 2] = ["servername", "default-load"];

/// `ADDRESS [NAME=value…]`, split as a shell would.
fn endpoint(line: &str, problems: &mut Problems) -> Option<Endpoint> {
    let (address, options) = problems.ok("endpoints", address_and_options(line).map(Some))?;
    let mut endpoint = Endpoint { address, platforms: Vec::new(), options: Vec::new() };
    for option in options {
        match option.split_once('=') {
            Some(("platforms", list)) => {
                endpoint.platforms.extend(problems.parse_all::<Platform>("endpoints", comma_items(list)));
            }
            Some((name, value)) if PATH_OPTIONS.contains(&name) && !value.is_empty() => {
                // buildx takes absolute paths only.
                let path = std::path::absolute(value).unwrap_or_else(|_| value.into());
                endpoint.options.push((name.to_owned(), path.display().to_string()));
            }
            Some((name, value)) if OTHER_OPTIONS.contains(&name) && !value.is_empty() => {
                endpoint.options.push((name.to_owned(), value.to_owned()));
            }
            _ => {
                let names = [&PATH_OPTIONS[..], &OTHER_OPTIONS].concat().join("=, ");
                problems.add("endpoints", format!("`{option}` is none of platforms=, {names}="));
            }
        }
    }
    let has = |name: &str| endpoint.options.iter().any(|(known, _)| known == name);
    if has("cert") != has("key") {
        problems.add("endpoints", format!("{}: cert and key go together", endpoint.address));
    }
    Some(endpoint)
}

fn address_and_options(line: &str) -> Result<(String, Vec<String>), String> {
    // A key that was pasted here must not be repeated in the message.
    if line.contains("-----BEGIN") {
        return Err("certificates and keys go by path, not by content".to_owned());
    }
    let mut words = shell_words::split(line).map_err(|error| format!("`{line}`: {error}"))?.into_iter();
    let address = words.next().unwrap_or_default();
    if address.split_once("://").is_none_or(|(scheme, host)| scheme.is_empty() || host.is_empty()) {
        return Err(format!("`{address}` is no address: expected one such as tcp://HOST:1234"));
    }
    refuse_password(&address)?;
    Ok((address, words.collect()))
}

/// Notes inputs that do not go together. `has_endpoints` is true of lines that could not be read, too.
fn check(builder: &BuilderInputs, has_endpoints: bool, problems: &mut Problems) {
    let driver = builder.driver;
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
    if driver != Some(Driver::Remote) {
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

/// Notes a platform that is asked for and that no node builds. A node that names no platforms may build any.
pub(super) fn check_platforms(builder: &BuilderInputs, asked: &[Platform], problems: &mut Problems) {
    let nodes = &builder.endpoints;
    if nodes.is_empty() || nodes.iter().any(|node| node.platforms.is_empty()) {
        return;
    }
    let built = nodes.iter().flat_map(|node| &node.platforms);
    for platform in asked {
        if !built.clone().any(|built| built.covers(platform)) {
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
