//! Parses references by the grammar of <https://github.com/distribution/reference> (`reference.go`, `normalize.go`):
//! `alpine:3` is the registry `docker.io`, the path `library/alpine` and the tag `3`. There is no regular expression here,
//! because to compile it takes longer than a hit.

/// The parts of a reference.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parts<'a> {
    /// The host with its port; Docker Hub is `docker.io`.
    pub registry: &'a str,
    /// With `library/` where Docker Hub's short form leaves it out.
    pub path: String,
    pub tag: Option<&'a str>,
    /// The text after `@`, which is not checked here.
    pub digest: Option<&'a str>,
}

const HUB: &str = "docker.io";
/// Most characters of a path (`RepositoryNameTotalLengthMax`).
const NAME_LIMIT: usize = 255;
/// Most characters of a tag.
const TAG_LIMIT: usize = 128;

/// Parses a reference.
///
/// # Errors
/// The reason that it is not valid.
pub(super) fn parse(text: &str) -> Result<Parts<'_>, &'static str> {
    let (rest, digest) = text.split_once('@').map_or((text, None), |(rest, digest)| (rest, Some(digest)));
    // A colon after the last slash begins the tag; one before it, a port.
    let last = rest.rfind('/').map_or(0, |slash| slash + 1);
    let (name, tag) = match rest[last..].find(':') {
        Some(colon) => (&rest[..last + colon], Some(&rest[last + colon + 1..])),
        None => (rest, None),
    };
    let (registry, path) = match name.split_once('/') {
        // A host's capitals tell it from Docker Hub's lower-case names (`splitDockerDomain`).
        Some((host, path))
            if host.contains(['.', ':'])
                || host == "localhost"
                || host.bytes().any(|b| b.is_ascii_uppercase()) =>
        {
            (host, path)
        }
        _ => (HUB, name),
    };
    let registry = if registry == "index.docker.io" { HUB } else { registry };
    if !is_host(registry) {
        return Err("the registry's name is not valid");
    }
    if path.is_empty() {
        return Err("the name is empty");
    }
    if path.bytes().any(|b| b.is_ascii_uppercase()) {
        return Err("the name must be lower-case");
    }
    if !path.split('/').all(is_component) {
        return Err("the name is not valid");
    }
    if tag.is_some_and(|tag| !is_tag(tag)) {
        return Err("the tag is not valid");
    }
    let path =
        if registry == HUB && !path.contains('/') { format!("library/{path}") } else { path.to_owned() };
    if path.len() > NAME_LIMIT {
        return Err("the name is longer than 255 characters");
    }
    Ok(Parts { registry, path, tag, digest })
}

/// Labels of letters, digits and inner dashes, with dots between, or an IPv6 address in brackets; then perhaps a
/// port.
fn is_host(text: &str) -> bool {
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    if let Some((address, rest)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        let is_address = address.parse::<std::net::Ipv6Addr>().is_ok();
        return is_address && (rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port));
    }
    let (name, port) = text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port)));
    let is_label = |label: &str| {
        let inner = label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        inner && !label.is_empty() && !label.starts_with('-') && !label.ends_with('-')
    };
    name.split('.').all(is_label) && port.is_none_or(is_port)
}

/// Lower-case letters and digits; between them one dot, one or two underscores, or dashes.
fn is_component(text: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let separators =
        text.split(|c: char| c.is_ascii() && is_word(c as u8)).filter(|separator| !separator.is_empty());
    let legal =
        |separator: &str| matches!(separator, "." | "_" | "__") || separator.bytes().all(|b| b == b'-');
    let ends = (text.bytes().next(), text.bytes().next_back());
    matches!(ends, (Some(first), Some(last)) if is_word(first) && is_word(last))
        && separators.into_iter().all(legal)
}

/// Up to 128 letters, digits, underscores, dots and dashes; a dot or dash is not the first.
fn is_tag(text: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    text.len() <= TAG_LIMIT
        && text.bytes().next().is_some_and(is_word)
        && text.bytes().all(|b| is_word(b) || matches!(b, b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts() {
        let rows = [
            ("alpine", ("docker.io", "library/alpine", None, None)),
            ("alpine:3", ("docker.io", "library/alpine", Some("3"), None)),
            ("o/app", ("docker.io", "o/app", None, None)),
            ("docker.io/alpine", ("docker.io", "library/alpine", None, None)),
            ("index.docker.io/o/app", ("docker.io", "o/app", None, None)),
            ("localhost/app", ("localhost", "app", None, None)),
            ("localhost:5000", ("docker.io", "library/localhost", Some("5000"), None)),
            (
                "Host.example:5000/a/b__c.d--e:V_1.x@sha256:0",
                ("Host.example:5000", "a/b__c.d--e", Some("V_1.x"), Some("sha256:0")),
            ),
            ("h.io/a@sha256:0", ("h.io", "a", None, Some("sha256:0"))),
            // D50
            ("[::1]:5000/x:1", ("[::1]:5000", "x", Some("1"), None)),
            ("[2001:db8::1]/x", ("[2001:db8::1]", "x", None, None)),
            ("REGISTRY/x", ("REGISTRY", "x", None, None)),
        ];
        for (text, (registry, path, tag, digest)) in rows {
            assert_eq!(parse(text), Ok(Parts { registry, path: path.to_owned(), tag, digest }), "{text}");
        }
    }

    #[test]
    fn texts_that_are_no_references() {
        let long = format!("h.io/{}", "a".repeat(256));
        let tag = format!("a:{}", "t".repeat(129));
        for text in [
            "",
            "/",
            "h.io/",
            "/a",
            "a//b",
            "a/",
            "Upper",
            "o/Upper",
            "-a",
            "a-",
            "a..b",
            "a___b",
            "a._b",
            "a_-b",
            "é",
            "a:",
            "a:-t",
            "a:.t",
            "a:é",
            "a:b:c",
            "h.io:/a",
            "h.io:x/a",
            "-h.io/a",
            "h-.io/a",
            "h..io/a",
            ".io/a",
            "a b",
            "https://h.io/a",
            "[::1/a",
            "[::1]x/a",
            "[1.2.3.4]/a",
            "[fe80::1%eth0]/a",
            "a\n",
            &long,
            &tag,
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
