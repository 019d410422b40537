//! Layer caches in buckets: `cache: s3,…`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::prune;
use crate::support::github::GitHub;
use crate::support::http::{Request, Response, Server};
use crate::support::{BuildOnce, CANARY, Lab, Run};

/// What the bucket `layers` holds, and how it misbehaves.
#[derive(Default)]
struct State {
    objects: BTreeMap<String, usize>,
    /// Keys of a page; 0: all.
    page: usize,
    /// Method, part of the target, how often, what instead.
    faults: Vec<(&'static str, &'static str, usize, Response)>,
    /// Keys as they were deleted.
    deleted: Vec<String>,
}

struct S3 {
    server: Server,
    state: Arc<Mutex<State>>,
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8().unwrap().into_owned()
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

impl State {
    fn answer(&mut self, request: &Request) -> Response {
        let signed = request.header("authorization");
        assert!(signed.starts_with("AWS4-HMAC-SHA256 Credential=AKIA"), "{signed}");
        assert!(signed.contains("/eu-west-1/s3/aws4_request"), "{signed}");
        let fits = |(method, part, times, _): &&mut (&str, &str, usize, Response)| {
            *times > 0 && *method == request.method && request.target.contains(*part)
        };
        if let Some(fault) = self.faults.iter_mut().find(fits) {
            fault.2 -= 1;
            return fault.3.clone();
        }
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        let key = decoded(path.strip_prefix("/layers/").unwrap());
        match request.method.as_str() {
            "DELETE" => {
                self.objects.remove(&key);
                self.deleted.push(key);
                Response::new(204, "")
            }
            "GET" => self.list(query),
            other => panic!("{other} {}", request.target),
        }
    }

    fn list(&self, query: &str) -> Response {
        let value = |name: &str| {
            let pair = query.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}=")));
            decoded(pair.unwrap_or_default())
        };
        let (prefix, delimiter, after) = (value("prefix"), value("delimiter"), value("continuation-token"));
        assert!(prefix.ends_with('/') && value("encoding-type") == "url", "{query}");
        let (mut text, mut folders, mut seen) = (String::new(), BTreeSet::new(), 0);
        let mut next = String::new();
        for (key, bytes) in self.objects.iter().filter(|(key, _)| key.starts_with(&prefix) && **key > after) {
            if self.page > 0 && seen == self.page {
                break;
            }
            (seen, next) = (seen + 1, key.clone());
            let rest = &key[prefix.len()..];
            match rest.split_once('/').filter(|_| !delimiter.is_empty()) {
                Some((folder, _)) => {
                    folders.insert(format!("{prefix}{folder}/"));
                }
                None => {
                    write!(text, "<Contents><Key>{}</Key><Size>{bytes}</Size></Contents>", encoded(key))
                        .unwrap();
                }
            }
        }
        for folder in folders {
            write!(text, "<CommonPrefixes><Prefix>{}</Prefix></CommonPrefixes>", encoded(&folder)).unwrap();
        }
        let more = self.objects.keys().any(|key| key.starts_with(&prefix) && *key > next) && seen > 0;
        if more && self.page > 0 {
            write!(text, "<NextContinuationToken>{next}</NextContinuationToken>").unwrap();
        }
        let more = more && self.page > 0;
        Response::new(
            200,
            format!("<ListBucketResult><IsTruncated>{more}</IsTruncated>{text}</ListBucketResult>"),
        )
    }
}

impl S3 {
    fn start() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let server = Server::start(move |request| shared.lock().unwrap().answer(request));
        Self { server, state }
    }

    /// As BuildKit writes a cache: a manifest that names blobs.
    fn cache(&self, zone: &str, name: &str) {
        let mut state = self.state.lock().unwrap();
        for (key, bytes) in [("blobs/sha256:01", 100), ("blobs/sha256:02", 200)] {
            state.objects.insert(format!("{zone}/{key}"), bytes);
        }
        state.objects.insert(format!("{zone}/manifests/{name}"), 10);
    }

    fn fault(&self, method: &'static str, part: &'static str, times: usize, instead: Response) {
        self.state.lock().unwrap().faults.push((method, part, times, instead));
    }

    fn program<'a>(&self, lab: &'a Lab, github: &GitHub, apply: &str) -> BuildOnce<'a> {
        let endpoint = format!("endpoint_url=http://{},use_path_style=true", self.server.address);
        let cache = format!("s3,bucket=layers,region=eu-west-1,prefix=ci/,{endpoint}");
        let program = prune(lab, github).input("cache", &cache).input("apply", apply);
        let program = program.env("AWS_ACCESS_KEY_ID", "AKIA0").env("AWS_SECRET_ACCESS_KEY", CANARY);
        program.env("AWS_EC2_METADATA_DISABLED", "true")
    }
}

fn zones() -> (Lab, GitHub, S3) {
    let (lab, github, s3) = (Lab::new(), GitHub::start(), S3::start());
    github.close(7, 0);
    github.open(8);
    github.branch("fix");
    for zone in ["trusted", "pr-7", "pr-8", "br-fix", "br-gone", "other", "pr-07"] {
        s3.cache(&format!("ci/o/r/{zone}"), "app");
    }
    for other in ["ci/o/other/pr-7", "elsewhere/o/r/pr-7"] {
        s3.cache(other, "app");
    }
    (lab, github, s3)
}

fn left(s3: &S3, home: &str) -> Vec<String> {
    let state = s3.state.lock().unwrap();
    let zone = |key: &String| Some(key.strip_prefix(home)?.split('/').next()?.to_owned());
    state.objects.keys().filter_map(zone).collect::<BTreeSet<_>>().into_iter().collect()
}

fn counts(run: &Run) -> (i32, String, String) {
    (run.code, run.output("removed").to_owned(), run.output("freed").to_owned())
}

#[test]
fn zones_that_are_over_go() {
    let (lab, github, s3) = zones();
    s3.state.lock().unwrap().page = 2;
    let plan = s3.program(&lab, &github, "false").run();
    assert_eq!((plan.code, plan.output("planned")), (0, "2"), "{}", plan.all());
    assert!(plan.summary.contains("pull request 7 is closed"), "{}", plan.summary);
    assert!(s3.state.lock().unwrap().deleted.is_empty());
    let done = s3.program(&lab, &github, "true").run();
    assert_eq!(counts(&done), (0, "2".into(), "620".into()), "{}", done.all());
    assert_eq!(left(&s3, "ci/o/r/"), ["br-fix", "other", "pr-07", "pr-8", "trusted"]);
    assert_eq!(left(&s3, "ci/o/other/"), ["pr-7"], "of another GitHub repository");
    assert_eq!(left(&s3, "elsewhere/o/r/"), ["pr-7"], "of another prefix");
    let deleted = s3.state.lock().unwrap().deleted.clone();
    let place = |text: &str| deleted.iter().position(|key| key == text).unwrap();
    for zone in ["pr-7", "br-gone"] {
        let manifest = place(&format!("ci/o/r/{zone}/manifests/app"));
        assert!(manifest < place(&format!("ci/o/r/{zone}/blobs/sha256:01")), "{deleted:?}");
    }
    let again = s3.program(&lab, &github, "true").run();
    assert_eq!(again.output("outcome"), "nothing", "{}", again.all());
    assert!(lab.registry.asked().is_empty(), "the registry is not this run's to clean");
    github.check();
}

#[test]
fn a_pull_requests_run_removes_its_own_zone_alone() {
    let (lab, github, s3) = zones();
    github.close(8, 0);
    let done = s3.program(&lab, &github, "true").pull_request(8).run();
    assert_eq!(counts(&done), (0, "1".into(), "310".into()), "{}", done.all());
    assert_eq!(left(&s3, "ci/o/r/"), ["br-fix", "br-gone", "other", "pr-07", "pr-7", "trusted"]);
}

#[test]
fn keys_that_are_unlike_others_are_deleted_as_they_are() {
    let (lab, github, s3) = zones();
    let strange = ["a b+c", "é/ü", "%41", "x&y=z?#", "...", "q'<>\"*~"];
    for key in strange {
        s3.state.lock().unwrap().objects.insert(format!("ci/o/r/pr-7/blobs/{key}"), 1);
    }
    let done = s3.program(&lab, &github, "true").run();
    assert_eq!(counts(&done), (0, "2".into(), "626".into()), "{}", done.all());
    let deleted = s3.state.lock().unwrap().deleted.clone();
    for key in strange {
        assert!(deleted.contains(&format!("ci/o/r/pr-7/blobs/{key}")), "{key}: {deleted:?}");
    }
}

#[test]
fn what_s3_does_not_say_stops_everything() {
    let code = |code: &str| format!("<Error><Code>{code}</Code><Message>no</Message></Error>");
    for (status, body, class, exit, told) in [
        (403, code("AccessDenied"), "access", 20, "allow s3:ListBucket on the bucket layers"),
        (403, code("ExpiredToken"), "access", 20, "S3 answered 403 ExpiredToken"),
        (404, code("NoSuchBucket"), "input", 2, "correct bucket in the input cache"),
        (301, code("PermanentRedirect"), "input", 2, "correct region"),
        (503, code("SlowDown"), "unavailable", 30, "S3 answered 503 SlowDown"),
        (200, "<html>".to_owned(), "unavailable", 30, "failed to list the bucket layers"),
        (200, "<ListBucketResult></ListBucketResult>".to_owned(), "unavailable", 30, "where the list ends"),
        (
            200,
            "<ListBucketResult><IsTruncated>false</IsTruncated><CommonPrefixes><Prefix>else/pr-7/</Prefix></CommonPrefixes></ListBucketResult>".to_owned(),
            "unavailable",
            30,
            "does not begin with",
        ),
    ] {
        let (lab, github, s3) = zones();
        s3.fault("GET", "", 99, Response::new(status, body));
        let run = s3.program(&lab, &github, "true").input("retries", "1").run();
        assert_eq!(run.code, exit, "{class}: {}", run.all());
        assert!(run.all().contains(told), "{told}: {}", run.all());
        assert!(s3.state.lock().unwrap().deleted.is_empty());
    }
}

#[test]
fn an_answer_that_fails_once_is_asked_for_again() {
    let (lab, github, s3) = zones();
    for (method, part) in
        [("GET", "prefix=ci%2Fo%2Fr%2F&"), ("DELETE", "pr-7/blobs"), ("DELETE", "br-gone/manifests")]
    {
        s3.fault(method, part, 1, Response::new(503, "<Error><Code>SlowDown</Code></Error>"));
    }
    let done = s3.program(&lab, &github, "true").input("retries", "2").run();
    assert_eq!(counts(&done), (0, "2".into(), "620".into()), "{}", done.all());
}

/// A pull request that may write to its own zone names objects as it likes.
#[test]
fn a_key_that_leads_out_of_the_zone_deletes_nothing_elsewhere() {
    let (lab, github, s3) = zones();
    for key in ["../trusted/manifests/app", "blobs/../../trusted/blobs/sha256:01", ".", "%2e%2e/x"] {
        s3.state.lock().unwrap().objects.insert(format!("ci/o/r/pr-7/{key}"), 1);
    }
    let before = left(&s3, "ci/o/r/");
    let done = s3.program(&lab, &github, "true").run();
    assert_eq!(counts(&done), (0, "1".into(), "310".into()), "{}", done.all());
    assert!(done.all().contains("no URL can name the object"), "{}", done.all());
    let deleted = s3.state.lock().unwrap().deleted.clone();
    assert!(deleted.iter().all(|key| key.starts_with("ci/o/r/br-gone/")), "{deleted:?}");
    assert_eq!(left(&s3, "ci/o/r/").len(), before.len() - 1);
}

/// What names blobs goes first: a run that may not delete, or that ends in between, leaves no manifest without blobs.
#[test]
fn a_run_that_breaks_off_leaves_no_manifest_without_its_blobs() {
    let (lab, github, s3) = zones();
    s3.fault("DELETE", "blobs", 99, Response::new(403, "<Error><Code>AccessDenied</Code></Error>"));
    let run = s3.program(&lab, &github, "true").run();
    assert_eq!(run.code, 20, "{}", run.all());
    assert!(run.all().contains("allow s3:DeleteObject on the bucket layers"), "{}", run.all());
    let state = s3.state.lock().unwrap();
    for zone in ["br-gone", "pr-7"] {
        let of =
            |kind: &str| state.objects.keys().any(|key| key.starts_with(&format!("ci/o/r/{zone}/{kind}")));
        assert!(of("blobs") || !of("manifests"), "{zone}");
    }
    drop(state);
    s3.state.lock().unwrap().faults.clear();
    let next = s3.program(&lab, &github, "true").run();
    assert_eq!(next.output("outcome"), "removed", "{}", next.all());
    assert_eq!(left(&s3, "ci/o/r/"), ["br-fix", "other", "pr-07", "pr-8", "trusted"]);
}

#[test]
fn wrong_buckets_are_named_before_anything_is_asked() {
    let (lab, github) = (Lab::new(), GitHub::start());
    for (cache, told) in [
        ("s3,region=r", "s3 needs bucket"),
        ("s3,bucket=b/../c,region=r", "are no address of S3"),
        ("s3,bucket=b,region=r,endpoint_url=file:///etc", "are no address of S3"),
        ("s3,bucket=b,region=r,secret_access_key=x", "AWS_SECRET_ACCESS_KEY"),
        ("azblob,account_url=https://a.example", "azblob is cleaned by a rule"),
        ("inline", "inline is in the image"),
    ] {
        let run = prune(&lab, &github).input("cache", cache).run();
        assert_eq!(run.code, 2, "{cache}: {}", run.all());
        assert!(run.all().contains(told), "{told}: {}", run.all());
    }
}
