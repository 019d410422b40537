//! Makes private names for images in an engine's store: `build-once.invalid/<owner>/<repository>/<image>:<zone>-key-<32
//! hex>` (`docs/trust.md`). A label could tell the key and the zone too, but an image inherits the labels of its base; no
//! image inherits a name.

use super::hash::hash;
use super::host::host_of_server;
use super::{Digest, ImageName, sanitise};
use crate::guards::Guard;

/// The host of private names. No registry can have it (RFC 6761, section 6.4), so docker can neither push nor pull them.
const HOST: &str = "build-once.invalid";
/// Most characters of one part of a name; an engine's name has at most 255 in all.
const PART_LIMIT: usize = 60;

/// The private names of one image in one GitHub repository.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LocalScheme<'a> {
    /// The GitHub repository, from [`place`].
    place: &'a str,
    image: &'a ImageName,
}

impl<'a> LocalScheme<'a> {
    /// `place` comes from [`place`].
    #[must_use]
    pub(crate) const fn new(place: &'a str, image: &'a ImageName) -> Self {
        Self { place, image }
    }

    /// The name of the image with this key that a run of this zone built or pulled.
    #[must_use]
    pub(crate) fn key_name(self, zone: &str, key_short: &str) -> String {
        self.name(zone, "key", key_short)
    }

    /// The name of an image that was pulled by digest. It is never looked up by key, because the digest may come from
    /// another zone.
    #[must_use]
    pub(crate) fn digest_name(self, zone: &str, digest: &Digest) -> String {
        self.name(zone, "digest", &digest.as_str()["sha256:".len()..][..32])
    }

    fn name(self, zone: &str, kind: &str, hex: &str) -> String {
        let image = component(self.image.as_str());
        if Guard::LocalZones.holds() {
            format!("{HOST}/{}/{image}:{zone}-{kind}-{hex}", self.place)
        } else {
            format!("{HOST}/{image}:{kind}-{hex}")
        }
    }
}

/// Tells whether a name is private.
#[must_use]
pub(crate) fn is_private(name: &str) -> bool {
    name.strip_prefix(HOST).is_some_and(|rest| rest.starts_with('/'))
}

/// Tells whether a private name belongs to this place and one of these zones.
#[must_use]
pub(crate) fn belongs_to(name: &str, place: &str, zones: &[String]) -> bool {
    let Some((_, tag)) = parts(name, place) else { return false };
    zones.iter().any(|zone| {
        let kind_and_hex = tag.strip_prefix(zone.as_str()).and_then(|rest| rest.rsplit_once('-'));
        kind_and_hex.is_some_and(|(kind, _)| matches!(kind, "-key" | "-digest"))
    })
}

/// The image's part of a private name of this place; `None` for any other name.
#[must_use]
pub(crate) fn image_of_private_name<'a>(name: &'a str, place: &str) -> Option<&'a str> {
    parts(name, place).map(|(image, _)| image)
}

/// docker's pattern for the private names of a place, for `docker image ls --filter reference=…`.
#[must_use]
pub(crate) fn private_names_of(place: &str) -> String {
    format!("{HOST}/{place}/*")
}

/// Image and tag of a private name of this place.
fn parts<'a>(name: &'a str, place: &str) -> Option<(&'a str, &'a str)> {
    let rest = name.strip_prefix(HOST)?.strip_prefix('/')?.strip_prefix(place)?.strip_prefix('/')?;
    rest.rsplit_once(':').filter(|(image, _)| !image.contains('/'))
}

/// The part of a private name for the GitHub repository: `<owner>/<repository>`, or `local` outside GitHub. A server
/// other than github.com is in the owner's part.
#[must_use]
pub(crate) fn place(server: Option<&str>, repository: Option<&str>) -> String {
    let Some((owner, name)) = repository.and_then(|repository| repository.split_once('/')) else {
        return "local".to_owned();
    };
    match host_of_server(server).filter(|host| *host != "github.com") {
        Some(host) => format!("{}/{}", component(&format!("{host}/{owner}")), component(name)),
        None => format!("{}/{}", component(owner), component(name)),
    }
}

/// Makes a text usable as one part of an image's path. If that changes it, eight hex digits of its hash follow, as in
/// tags: `o` stays, `Some-Org` becomes `some-org-716fbfc2`.
fn component(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_legal = text.split(['-', '.', '_']).all(|word| !word.is_empty() && word.chars().all(is_plain));
    // `sanitise` changes a text that itself ends in a hash.
    if is_legal && text.len() <= PART_LIMIT && sanitise(text) == text {
        return text.to_owned();
    }
    let lower = text.to_ascii_lowercase();
    let words: Vec<&str> = lower.split(|c| !is_plain(c)).filter(|word| !word.is_empty()).collect();
    // A hyphen and the hash follow.
    let start: String = words.join("-").chars().take(PART_LIMIT - 9).collect();
    let start = start.trim_end_matches('-');
    format!("{}-{}", if start.is_empty() { "x" } else { start }, hash(text))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::image::ImageReference;

    const KEY: &str = "abcdefabcdefabcdefabcdefabcdefab";

    fn name(place: &str, image: &str) -> String {
        LocalScheme::new(place, &image.parse().unwrap()).key_name("trusted", KEY)
    }

    #[test]
    fn the_table() {
        let github = Some("https://github.com");
        for (server, repository, expected) in [
            (github, Some("o/r"), "o/r"),
            (None, Some("o/r"), "o/r"),
            (github, Some("Some-Org/.github"), "some-org-716fbfc2/github-bdcc6a2a"),
            (github, Some("o/deadbeef"), "o/deadbeef-2baf1f40"),
            (Some("https://ghe.example"), Some("o/r"), "ghe-example-o-33b4da02/r"),
            (github, None, "local"),
            (None, None, "local"),
        ] {
            assert_eq!(place(server, repository), expected, "{server:?} {repository:?}");
        }
        assert_eq!(name("o/r", "app"), format!("build-once.invalid/o/r/app:trusted-key-{KEY}"));
        assert_eq!(
            name("local", "org/app"),
            format!("build-once.invalid/local/org-app-e3a12384:trusted-key-{KEY}")
        );
        let image = "app".parse().unwrap();
        let digest = Digest::of(b"x");
        assert_eq!(
            LocalScheme::new("o/r", &image).digest_name("pr-12", &digest),
            format!("build-once.invalid/o/r/app:pr-12-digest-{}", &digest.as_str()[7..39])
        );
    }

    #[test]
    fn whose_a_name_is() {
        let zones = |list: &[&str]| list.iter().map(|&zone| zone.to_owned()).collect::<Vec<_>>();
        let image = "app".parse().unwrap();
        let scheme = LocalScheme::new("o/r", &image);
        for name in [scheme.key_name("br-fix", KEY), scheme.digest_name("br-fix", &Digest::of(b"x"))] {
            assert!(is_private(&name) && belongs_to(&name, "o/r", &zones(&["trusted", "br-fix"])), "{name}");
            for (own, zone) in
                [("o/r", "br"), ("o/r", "br-fix-key"), ("o/r", "trusted"), ("o/s", "br-fix"), ("o", "br-fix")]
            {
                assert!(!belongs_to(&name, own, &zones(&[zone])), "{name} {own} {zone}");
            }
        }
        assert!(!is_private("app:latest") && !is_private("build-once.invalid.example/o/r/app:1"));
    }

    proptest! {
        #[test]
        fn every_name_is_legal(owner in ".{0,80}", repository in ".{0,120}", image in "[a-z0-9]{1,90}(/[a-z0-9]{1,90}){0,2}") {
            prop_assume!(image.parse::<ImageName>().is_ok());
            let name = name(&place(None, Some(&format!("{owner}/{repository}"))), &image);
            prop_assert!(name.parse::<ImageReference>().is_ok(), "{name}");
            prop_assert!(name.len() <= 255, "{name}");
        }

        #[test]
        fn different_parts_stay_different(a in "[a-zA-Z._/-]{1,9}(-[0-9a-f]{8})?", b in "[a-zA-Z._/-]{1,9}(-[0-9a-f]{8})?") {
            prop_assume!(a != b);
            prop_assert_ne!(component(&a), component(&b));
        }
    }
}
