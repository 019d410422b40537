//! The table of tags; and that different names give different tags.

use super::*;
use proptest::prelude::*;

fn name(text: &str) -> ImageName {
    text.parse().unwrap()
}

fn mark(id: &str) -> Mark {
    Mark::of(None, Some(id), None).unwrap()
}

const SHA: &str = "0123456789012345678901234567890123456789";
const KEY: &str = "abcdefabcdefabcdefabcdefabcdefab";

#[test]
fn the_table() {
    let image = name("app-ci");
    let own = mark("1");
    let tags = TagScheme::new(&image, Some(&own));
    let rows = [
        (
            Zone::Trusted,
            "key-rf9d832d9-app-ci-",
            "sha-rf9d832d9-app-ci-",
            Some("cache-rf9d832d9-app-ci-main"),
        ),
        (Zone::Queue, "queue-key-rf9d832d9-app-ci-", "queue-sha-rf9d832d9-app-ci-", None),
        (
            Zone::PullRequest(12),
            "pr-12-key-rf9d832d9-app-ci-",
            "pr-12-sha-rf9d832d9-app-ci-",
            Some("pr-12-cache-rf9d832d9-app-ci"),
        ),
        (
            Zone::Branch("fix-it".into()),
            "br-fix-it-key-rf9d832d9-app-ci-",
            "br-fix-it-sha-rf9d832d9-app-ci-",
            Some("br-fix-it-cache-rf9d832d9-app-ci"),
        ),
        (
            Zone::Branch("fix/it".into()),
            "br-bbe4d8cc-fix-it-key-rf9d832d9-app-ci-",
            "br-bbe4d8cc-fix-it-sha-rf9d832d9-app-ci-",
            Some("br-bbe4d8cc-fix-it-cache-rf9d832d9-app-ci"),
        ),
    ];
    for (zone, key, sha, cache) in rows {
        assert_eq!(tags.key_tag(&zone, KEY).unwrap(), format!("{key}{KEY}"));
        assert_eq!(tags.commit_tag(&zone, SHA).unwrap(), format!("{sha}{SHA}"));
        assert_eq!(tags.cache_tag(&zone, Some("main")).as_deref(), cache);
    }
    assert_eq!(tags.key_tag(&Zone::Fork, KEY), None);
    assert_eq!(tags.commit_tag(&Zone::Fork, SHA), None);
    assert_eq!(tags.cache_tag(&Zone::Fork, Some("main")), None);
    // Outside GitHub there is no mark.
    assert_eq!(TagScheme::new(&image, None).key_tag(&Zone::Trusted, KEY), None);
}

#[test]
fn a_host_is_no_image_name() {
    for text in ["ghcr.io/o/app", "localhost/app", "h:5000/app", "App", "a@sha256:00", "", "a b"] {
        assert!(text.parse::<ImageName>().is_err(), "{text}");
    }
    assert_eq!(name("org/app:ci").local_reference(), "org/app:ci");
    assert_eq!(name("app").local_reference(), "app:latest");
}

proptest! {
    #[test]
    fn every_tag_is_legal(image in "[a-z0-9]{1,60}(/[a-z0-9]{1,60}){0,2}", branch in ".{1,200}", number in any::<u64>()) {
        let image = name(&image);
        let own = mark("1");
        let tags = TagScheme::new(&image, Some(&own));
        for zone in [Zone::Trusted, Zone::Queue, Zone::PullRequest(number), Zone::Branch(branch.clone())] {
            for tag in [tags.key_tag(&zone, KEY), tags.commit_tag(&zone, SHA), tags.cache_tag(&zone, Some(&branch))].into_iter().flatten() {
                prop_assert!(tag.len() <= 128, "{} {}", tag.len(), tag);
                let mut chars = tag.chars();
                prop_assert!(chars.next().is_some_and(|c| c.is_ascii_alphanumeric() || c == '_'));
                prop_assert!(chars.all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-')));
            }
        }
    }

    #[test]
    fn different_names_stay_different(a in NAMES, b in NAMES) {
        prop_assume!(a != b);
        prop_assert_ne!(sanitise(&a), sanitise(&b));
        prop_assert_ne!(branch_prefix(&a), branch_prefix(&b));
    }

    #[test]
    fn different_images_zones_and_kinds_have_different_tags(a in tagged(), b in tagged()) {
        prop_assume!(a != b);
        prop_assert_ne!(a.tag(), b.tag(), "{:?} {:?}", a, b);
    }

    #[test]
    fn d23_a_tag_is_its_own_zones_alone(a in tagged(), other in zone()) {
        prop_assume!(other != a.zone);
        let own = if a.zone == Zone::Trusted { Owner::Trusted } else { Owner::Own };
        prop_assert_eq!(owner(&a.tag(), &a.zone, Some(&a.mark())), own);
        prop_assert_ne!(owner(&a.tag(), &other, Some(&a.mark())), Owner::Own, "{:?}", a);
    }

    #[test]
    fn d91_a_tag_is_its_own_github_repositorys_alone(a in tagged()) {
        for other in [Some(mark("3")), None] {
            let owner = owner(&a.tag(), &a.zone, other.as_ref());
            let elsewhere = if a.zone == Zone::Trusted { Owner::TrustedElsewhere } else { Owner::Other };
            prop_assert_eq!(owner, elsewhere);
            prop_assert!(names_another_repository(&a.tag(), other.as_ref()));
        }
    }

    #[test]
    fn a_tag_is_taken_apart_as_it_was_made(a in tagged()) {
        let (tag, own) = (a.tag(), a.mark());
        let parsed = parse(&tag, &own);
        prop_assert!(parsed.is_some(), "{}", tag);
        let parsed = parsed.unwrap();
        let kind = match a.of.0 { "key" => TagKind::Key, "sha" => TagKind::Commit, _ => TagKind::Cache };
        prop_assert_eq!(parsed.kind, kind, "{}", tag);
        match (&a.zone, parsed.zone) {
            (Zone::Trusted, TagZone::Trusted) | (Zone::Queue, TagZone::Queue) => {}
            (Zone::PullRequest(number), TagZone::PullRequest(parsed)) => prop_assert_eq!(*number, parsed),
            (Zone::Branch(branch), TagZone::Branch(prefixes)) => {
                prop_assert!(prefixes.contains(&&*branch_prefix(branch)), "{} {:?}", tag, prefixes);
            }
            other => prop_assert!(false, "{} {:?}", tag, other),
        }
        prop_assert_eq!(parse(&tag, &mark("3")), None, "of another GitHub repository");
    }

    #[test]
    fn tags_of_less_trusted_zones_are_recognised(a in tagged()) {
        prop_assert_eq!(is_less_trusted(&a.tag()), a.zone != Zone::Trusted);
    }
}

/// Names of every shape that was ever mistaken for another, and long ones.
const NAMES: &str = "(pr|br|queue|key|sha|cache|a|b|12|1|0123abcd|deadbeef|\\.|_|é|x{90}|x{40})([-/.:+](pr|br|queue|key|sha|cache|a|b|12|1|0123abcd|deadbeef|y{60})){0,4}";
const IMAGES: &str = "(pr|br|queue|key|sha|cache|a|b|12|1|0123abcd|deadbeef|x{90})([-/](pr|br|queue|key|sha|cache|a|b|12|1|0123abcd|deadbeef)){0,4}(:[a-c])?";

/// What a tag is made from.
#[derive(Clone, Debug, PartialEq)]
struct Tagged {
    /// The GitHub repository's number.
    of_repository: &'static str,
    zone: Zone,
    image: String,
    /// `key` with a key, `sha` with a commit, or `cache` with a branch.
    of: (&'static str, String),
}

impl Tagged {
    fn mark(&self) -> Mark {
        mark(self.of_repository)
    }

    fn tag(&self) -> String {
        let (image, own) = (name(&self.image), self.mark());
        let (tags, (kind, of)) = (TagScheme::new(&image, Some(&own)), &self.of);
        let tag = match *kind {
            "key" => tags.key_tag(&self.zone, of),
            "sha" => tags.commit_tag(&self.zone, of),
            _ => tags.cache_tag(&self.zone, Some(of)),
        };
        tag.unwrap()
    }
}

fn zone() -> impl Strategy<Value = Zone> {
    prop_oneof![
        2 => Just(Zone::Trusted),
        1 => Just(Zone::Queue),
        1 => prop_oneof![Just(1), Just(12), Just(121), any::<u64>()].prop_map(Zone::PullRequest),
        4 => NAMES.prop_map(Zone::Branch),
    ]
}

fn tagged() -> impl Strategy<Value = Tagged> {
    let of = prop_oneof![
        ("[ab]{32}").prop_map(|key| ("key", key)),
        prop_oneof!["[ab]{40}", "[ab]{64}"].prop_map(|commit| ("sha", commit)),
        NAMES.prop_map(|branch| ("cache", branch)),
    ];
    (prop_oneof![Just("1"), Just("2")], zone(), IMAGES, of).prop_map(|(of_repository, zone, image, of)| {
        // The queue has no cache, and other zones' have no branch.
        let of = match (&zone, of) {
            (Zone::Queue, ("cache", _)) => ("key", "a".repeat(32)),
            (Zone::PullRequest(_) | Zone::Branch(_), ("cache", _)) => ("cache", String::new()),
            (_, of) => of,
        };
        Tagged { of_repository, zone, image, of }
    })
}

#[test]
fn names_that_were_once_the_same() {
    let (image, own) = (|text: &str| name(text), mark("1"));
    let branch = |text: &str| Zone::Branch(text.into());
    let key = |zone: &Zone, text: &str| TagScheme::new(&image(text), Some(&own)).key_tag(zone, KEY).unwrap();
    let cache = |text: &str, branch: &str| {
        TagScheme::new(&image(text), Some(&own)).cache_tag(&Zone::Trusted, Some(branch)).unwrap()
    };
    for (a, b) in [
        (key(&branch("a/b"), "app"), key(&branch("a-b"), "app")),
        (key(&branch("x"), "key-y"), key(&branch("x-key"), "y")),
        (key(&branch("pr-12"), "app"), key(&Zone::PullRequest(12), "app")),
        (key(&branch("queue"), "app"), key(&Zone::Queue, "app")),
        (key(&Zone::PullRequest(1), "2-key-app"), key(&Zone::PullRequest(12), "app")),
        (key(&Zone::Trusted, "pr-12-key-app"), key(&Zone::PullRequest(12), "app")),
        (key(&Zone::Trusted, "o/app"), key(&Zone::Trusted, "o-app")),
        (cache("a-b", "c"), cache("a", "b-c")),
        (cache("app", "release/1"), cache("app", "release-1")),
    ] {
        assert_ne!(a, b);
    }
}

#[test]
fn a_tag_that_looks_like_one_of_the_scheme_is_none() {
    let own = mark("1");
    let hash = "0123456789abcdef0123456789abcdef";
    for good in [
        format!("pr-1-key-rf9d832d9-app-{hash}"),
        "pr-1-cache-rf9d832d9-app".to_owned(),
        "br-fix-it-cache-rf9d832d9-app".to_owned(),
        format!("queue-key-rf9d832d9-app-{hash}"),
        "cache-rf9d832d9-app-main".to_owned(),
    ] {
        assert!(parse(&good, &own).is_some(), "{good}");
    }
    for other in [
        "latest".to_owned(),
        "pr-1".to_owned(),
        "pr-1-mine".to_owned(),
        "key-app".to_owned(),
        "cache-main".to_owned(),
        "cache-rf9d832d9-app".to_owned(),
        // The mark of another GitHub repository, and none.
        format!("pr-1-key-rd4b3670a-app-{hash}"),
        format!("pr-1-key-app-{hash}"),
        // A number that the scheme does not print.
        format!("pr-01-key-rf9d832d9-app-{hash}"),
        format!("pr-+1-key-rf9d832d9-app-{hash}"),
        "pr-99999999999999999999-cache-rf9d832d9-app".to_owned(),
        // Too short, in capitals, without an image.
        format!("pr-1-key-rf9d832d9-app-{}", &hash[1..]),
        format!("pr-1-key-rf9d832d9-app-{}", hash.to_uppercase()),
        format!("pr-1-key-rf9d832d9-{hash}"),
        format!("key-rf9d832d9--{hash}"),
        format!("sha-rf9d832d9-app-{hash}"),
        // Another kind, a zone without this kind.
        format!("pr-1-release-rf9d832d9-app-{hash}"),
        "queue-cache-rf9d832d9-app".to_owned(),
        // A branch's name that the scheme would have marked by its hash.
        "br-a-name-of-more-than-twenty-nine-letters-cache-rf9d832d9-app".to_owned(),
        "br--cache-rf9d832d9-app".to_owned(),
        "br-cache-rf9d832d9-app".to_owned(),
    ] {
        assert_eq!(parse(&other, &own), None, "{other}");
    }
}
