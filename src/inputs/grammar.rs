//! The grammars of inputs that go to buildx and BuildKit as they are, as those tools read them. What passes here
//! is not refused there.
//!
//! Each function takes one value, such as `nofile=1024:1024`; its error is a reason for the user.

use std::net::IpAddr;

use crate::env::Env;

/// A size in bytes (go-units, `RAMInBytes`).
pub(super) fn size(text: &str) -> Result<(), String> {
    let wrong = || format!("`{text}` is not a size: expected a number with b, k, m, g or t, such as 2g");
    let end = text.rfind(|c: char| c.is_ascii_digit() || c == '.').ok_or_else(wrong)? + 1;
    let (number, unit) = text.split_at(end);
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let unit = unit.strip_prefix(' ').unwrap_or(unit).to_ascii_lowercase();
    let is_unit = match unit.strip_prefix(['k', 'm', 'g', 't', 'p']) {
        Some(rest) => matches!(rest, "" | "b" | "ib"),
        None => matches!(unit.as_str(), "" | "b"),
    };
    if is_unit && number.is_finite() && number >= 0.0 { Ok(()) } else { Err(wrong()) }
}

/// A network of `RUN` steps (buildx, `toSolveOpt`).
pub(super) fn network(text: &str) -> Result<(), String> {
    if ["default", "host", "none"].contains(&text) {
        return Ok(());
    }
    Err(format!(
        "`{text}` is not one of default, host, none; a network of docker's is for the builder: driver-opts: network={text}"
    ))
}

/// What a `ulimit` can limit (go-units, `ulimit.go`).
const LIMITS: [&str; 15] = [
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// `NAME=SOFT[:HARD]` (go-units, `ParseUlimit`); -1 means without a limit.
pub(super) fn ulimit(text: &str) -> Result<(), String> {
    let wrong = |why: &str| Err(format!("`{text}` is not NAME=SOFT:HARD, such as nofile=1024:1024: {why}"));
    let Some((name, limits)) = text.split_once('=') else { return wrong("it has no =") };
    if !LIMITS.contains(&name) {
        return wrong(&format!("the names are {}", LIMITS.join(", ")));
    }
    let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
    let (Ok(soft), Ok(hard)) = (soft.parse::<i64>(), hard.parse::<i64>()) else {
        return wrong("a limit is a whole number");
    };
    if hard != -1 && (soft == -1 || soft > hard) {
        return wrong("the first limit is above the second");
    }
    Ok(())
}

/// An entitlement: a right that a build asks for, of the input `allow` (BuildKit, `util/entitlements`).
pub(super) fn entitlement(text: &str) -> Result<(), String> {
    match text.split('=').next() {
        Some("network.host" | "security.insecure") if !text.contains('=') => Ok(()),
        Some("device") => Ok(()),
        _ => Err(format!("`{text}` is not one of network.host, security.insecure, device")),
    }
}

/// `NAME:IP`, `NAME=IP`, or `host-gateway` for the address (buildx, `toBuildkitExtraHosts`).
pub(super) fn host(text: &str) -> Result<(), String> {
    let wrong = || Err(format!("`{text}` is not NAME:IP, such as docker:10.180.0.1"));
    let Some((name, address)) = text.split_once(['=', ':']) else { return wrong() };
    let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
    let known = address == "host-gateway" || bare.parse::<IpAddr>().is_ok();
    if name.is_empty() || !known { wrong() } else { Ok(()) }
}

/// `default`, or `ID=SOCKET-OR-KEY`; without a path the agent whose socket `SSH_AUTH_SOCK` names (BuildKit,
/// `sshprovider`).
pub(super) fn ssh(text: &str, env: &Env) -> Result<(), String> {
    let (id, path) = text.split_once('=').unwrap_or((text, ""));
    if id.is_empty() {
        return Err(format!("`{text}` is neither default nor ID=SOCKET"));
    }
    if path.is_empty() {
        return match env.get("SSH_AUTH_SOCK") {
            Some(_) => Ok(()),
            None => Err(format!(
                "`{id}` is the agent's socket, and SSH_AUTH_SOCK is not set: start one in a step before (webfactory/ssh-agent), or name a key as {id}=PATH"
            )),
        };
    }
    fs_err::metadata(path).map(drop).map_err(|error| format!("`{id}`: {error}"))
}

/// What an annotation can be attached to.
const LEVELS: [&str; 4] = ["index", "index-descriptor", "manifest", "manifest-descriptor"];

/// `[TYPE[PLATFORM],…:]NAME` (buildx, `ParseAnnotations`).
pub(super) fn annotation(name: &str) -> Result<(), String> {
    let Some((levels, _)) = name.split_once(':') else { return Ok(()) };
    let words: Vec<&str> =
        levels.split(',').map(|level| level.split('[').next().unwrap_or_default()).collect();
    // In `org.x/y:z` the colon belongs to the name: there is no level before it.
    let is_word = |word: &&str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
    if !words.iter().all(is_word) {
        return Ok(());
    }
    match words.iter().find(|word| !LEVELS.contains(word)) {
        Some(word) => Err(format!("`{word}` is not one of {}", LEVELS.join(", "))),
        None => Ok(()),
    }
}

/// `NAME=value` for `docker buildx create --driver-opt`.
pub(super) fn driver_option(text: &str) -> Result<(), String> {
    match text.split_once('=') {
        Some((name, _)) if !name.is_empty() && !name.contains(char::is_whitespace) => Ok(()),
        _ => Err(format!("`{text}` is not NAME=value, such as network=host")),
    }
}

/// An AWS region: at least two words of letters and one digit, such as `eu-central-1` or `us-gov-west-1`. It becomes a
/// part of host names.
pub(super) fn region(text: &str) -> Result<(), String> {
    let mut words = text.split('-');
    let letters = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase());
    let number = words.next_back().is_some_and(|word| word.len() == 1 && word.as_bytes()[0].is_ascii_digit());
    let words: Vec<&str> = words.collect();
    if number && words.len() >= 2 && words.iter().all(|word| letters(word)) {
        Ok(())
    } else {
        Err(format!("`{text}` is not a region of AWS, such as eu-central-1"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn each(grammar: impl Fn(&str) -> Result<(), String>, good: &[&str], bad: &[&str]) {
        for text in good {
            assert_eq!(grammar(text), Ok(()), "{text}");
        }
        for text in bad {
            assert!(grammar(text).is_err(), "{text}");
        }
    }

    #[test]
    fn d74_as_buildx_and_buildkit_read_them() {
        each(
            size,
            &["2g", "64M", "1.5 GiB", "100", "0", "3kb", "10b"],
            &["2x", "g", "", "-1g", "2gg", "1 2", "2bb"],
        );
        each(
            ulimit,
            &["nofile=1024:1024", "nproc=3", "memlock=-1:-1", "core=0", "nofile=5:-1"],
            &["nofile", "files=1", "nofile=a", "nofile=2:1", "nofile=-1:5", "nofile=1:2:3"],
        );
        each(
            entitlement,
            &["network.host", "security.insecure", "device", "device=vendor.com/x=a"],
            &["network.hosts", "all", "network.host=1"],
        );
        each(
            host,
            &["docker:10.180.0.1", "foo=10.0.0.1", "a:::1", "a:[::1]", "a:host-gateway"],
            &["docker", ":1.2.3.4", "a:b", "a:1.2.3"],
        );
        each(
            annotation,
            &["a", "index:a", "manifest,index:a", "manifest-descriptor[linux/amd64]:a", "org.x/y:z"],
            &["indx:a", "manifest,foo:a"],
        );
        each(driver_option, &["network=host", "env.A=", "\"env.no_proxy=a,b\""], &["network", "=x", "a b=c"]);
        each(region, &["eu-central-1", "us-gov-west-1", "cn-north-1"], &["eu-central", "EU-central-1", "1"]);
    }

    #[test]
    fn d74_an_agent_that_is_not_there_is_told() {
        let with = Env::from([("SSH_AUTH_SOCK", "/s")]);
        let ssh = |text: &str, env: &Env| ssh(text, env).err().unwrap_or_default();
        assert_eq!(ssh("default", &with), "");
        assert!(ssh("default", &Env::default()).contains("SSH_AUTH_SOCK is not set"));
        assert_eq!(ssh("key=/etc/hostname", &Env::default()), "");
        assert!(ssh("key=/absent", &Env::default()).contains("/absent") && !ssh("=x", &with).is_empty());
    }
}
