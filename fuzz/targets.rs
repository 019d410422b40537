//! What is fuzzed: each takes any bytes and panics where a promise does not hold. Driven by
//! libFuzzer through `fuzz_targets/`, and by a seeded loop in `tests/it/fuzz.rs`.

use std::path::Path;

use build_once::testing::EcrHost;
use build_once::testing::Env;
use build_once::testing::RunContext;
use build_once::testing::Zone;
use build_once::testing::classify;
use build_once::testing::http_login;
use build_once::testing::without_users;
use build_once::testing::{AnalysisRequest, GitRef, analyse};
use build_once::testing::{Annotation, Level, encode_outputs, inert};
use build_once::testing::{BuildMetadata, CacheEntry, Progress};
use build_once::testing::{Digest, ImageName, ImageReference, Platform, sanitise};
use build_once::testing::{Ignore, Inherited};
use build_once::testing::{comma_items, items, pairs};

use super::oracle;

/// A target, by name.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 18] = [
    ("reference", reference),
    ("lists", lists),
    ("metadata", metadata),
    ("progress", progress),
    ("log_filter", log_filter),
    ("classifier", classifier),
    ("event_file", event_file),
    ("dockerfile", dockerfile),
    ("dockerignore", dockerignore),
    ("manifest", answers::manifest),
    ("challenge", answers::challenge),
    ("tool_answers", answers::tool_answers),
    ("explanation", answers::explanation),
    ("inputs", answers::inputs),
    ("key_files", folders::key_files),
    ("tree", folders::tree),
    ("git_folder", folders::git_folder),
    ("local_cache", folders::local_cache),
];

/// What stands between the parts of an input that has several.
pub const BREAK: char = '\u{1e}';

#[path = "answers.rs"]
pub mod answers;
#[path = "folders.rs"]
pub mod folders;

fn text(data: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(data)
}

/// What is read is written back as the same; what names a tag is one.
pub fn reference(data: &[u8]) {
    let text = text(data);
    if let Ok(reference) = text.parse::<ImageReference>() {
        let written = reference.to_string();
        assert_eq!(written.parse::<ImageReference>().as_ref(), Ok(&reference), "{written:?}");
        assert!(!written.contains(char::is_whitespace), "{written:?}");
    }
    if let Ok(digest) = text.parse::<Digest>() {
        assert_eq!(digest.as_str(), text);
    }
    if let Ok(platform) = text.parse::<Platform>() {
        assert_eq!(platform.to_string().parse::<Platform>(), Ok(platform));
    }
    if let Ok(name) = text.parse::<ImageName>() {
        assert!(name.local_reference().parse::<ImageReference>().is_ok(), "{name:?}");
    }
    let tag = sanitise(&text);
    assert!(
        tag.len() <= 128 && tag.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)),
        "{tag:?}"
    );
    if let Ok(entry) = text.parse::<CacheEntry>() {
        assert_eq!(entry.to_string().parse::<CacheEntry>().as_ref(), Ok(&entry), "{entry}");
    }
    let _ = (GitRef::parse(&text), EcrHost::parse(&text), http_login(&text));
    let hidden = without_users(&text);
    assert_eq!(without_users(&hidden), hidden, "a second time changes nothing");
}

/// No item is empty, begins or ends with space, or is a comment.
pub fn lists(data: &[u8]) {
    let text = text(data);
    for item in comma_items(&text) {
        assert!(!item.is_empty() && item == item.trim(), "{item:?}");
    }
    let all = items(&text);
    // One item a line is a fixed point, where no item needs quotes.
    if all.iter().all(|item| !item.contains(['"', '\n', '\r', '\u{feff}', '#'])) {
        let again = items(&all.join("\n"));
        let kept: Vec<&str> = all.iter().map(|item| item.trim()).filter(|item| !item.is_empty()).collect();
        assert_eq!(again, kept);
    }
    for (name, _) in pairs(all).into_iter().flatten() {
        assert!(!name.is_empty());
    }
}

/// Never a digest that is none.
pub fn metadata(data: &[u8]) {
    if let Ok(metadata) = BuildMetadata::parse(data) {
        for digest in [metadata.digest, metadata.config].into_iter().flatten() {
            assert!(digest.as_str().parse::<Digest>().is_ok());
        }
    }
}

/// Whatever buildx writes, its log obeys nobody, and a step's text is no final error.
pub fn progress(data: &[u8]) {
    let mut progress = Progress::new(data.len().is_multiple_of(2));
    let mut log = Vec::new();
    let mut keep = |line: &[u8]| log.push(inert(line));
    for line in data.split(|byte| *byte == b'\n') {
        progress.line(line, &mut keep);
    }
    progress.finish(&mut keep);
    harmless(&log.join("\n"));
    if let Some(error) = progress.error() {
        // A message may be spread over lines.
        assert!(text(data).replace('\n', "").contains(&error), "{error:?} is nobody's");
    }
    let summary = progress.into_summary();
    assert!(summary.cached_steps <= summary.total_steps && summary.slowest.len() <= 5);
    assert!(summary.failed.is_none_or(|step| step.log.len() <= 20));
}

fn harmless(log: &str) {
    let obeyed = oracle::bare_commands(log);
    assert!(obeyed.is_empty(), "the runner would obey {obeyed:?} in {log:?}");
}

/// Foreign text is one line that nobody obeys; our own encodings keep it in its place.
pub fn log_filter(data: &[u8]) {
    let clean = inert(data);
    assert!(!clean.contains(['\n', '\r', '\0', '\u{1b}']), "{clean:?}");
    harmless(&clean);
    // After a prefix too: BuildKit's own stands before it.
    harmless(&format!("#7 0.1 {clean}"));
    assert_eq!(inert(clean.as_bytes()), clean, "a second time changes nothing");

    let foreign = text(data).into_owned();
    let annotation = Annotation {
        level: Level::Error,
        title: &foreign,
        message: foreign.clone(),
        at: Some((&foreign, 7)),
    };
    let obeyed = oracle::scan(&annotation.to_command()).commands;
    assert_eq!(obeyed.len(), 1, "{obeyed:?}");
    assert!(obeyed[0].name == "error" && obeyed[0].properties.ends_with(",line=7"), "{obeyed:?}");

    let outputs = [("reason", foreign.clone()), ("outcome", "built".to_owned())];
    if let Ok(file) = encode_outputs(&outputs) {
        let read = oracle::file_command(&file);
        let expected = vec![
            ("reason".to_owned(), foreign.replace('\r', "")),
            ("outcome".to_owned(), "built".to_owned()),
        ];
        assert_eq!(read, Ok(expected));
    }
}

/// Total, the same for the same text, and what it quotes is what it got.
pub fn classifier(data: &[u8]) {
    let text = text(data);
    let error = classify("the build failed", &text);
    assert_ne!(error.class.exit_code(), 0, "unknown is never success");
    assert_eq!(error, classify("the build failed", &text));
    assert!(error.causes.iter().all(|cause| text.contains(cause.as_str())));
}

/// An event that is not understood is trusted by nobody.
pub fn event_file(data: &[u8]) {
    let text = text(data);
    for name in ["pull_request", "push", "merge_group", "workflow_run", "issue_comment", "never_heard_of"] {
        let env = Env::from([
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_EVENT_NAME", name),
            ("GITHUB_REF", "refs/pull/12/merge"),
            ("GITHUB_SHA", "1111111111111111111111111111111111111111"),
        ]);
        let Ok(run) = RunContext::read(&env, Some(&text)) else { continue };
        assert_ne!(run.zone, Zone::Trusted, "{name}: {text}");
    }
}

/// Reads or refuses; twice the same.
pub fn dockerfile(data: &[u8]) {
    let platform = build_once::testing::Platform::of_this_machine();
    let args = [("A".to_owned(), "1".to_owned())];
    let request = AnalysisRequest {
        file: "Dockerfile",
        target: None,
        build_args: &args,
        platforms: &[],
        build_platform: &platform,
        build_contexts: &[],
        triggers: &[],
    };
    let digest = |data: &[u8]| analyse(data, &request).map(|analysis| analysis.digest).ok();
    assert_eq!(digest(data), digest(data));
}

/// Reads or refuses, and decides about any path.
pub fn dockerignore(data: &[u8]) {
    // Linux: the longest path.
    let (rules, path) = data.split_at(data.len() - (data.len() / 4).min(4095));
    if let Ok(ignore) = Ignore::parse(rules, Path::new(".dockerignore")) {
        let (_, inherited) = ignore.enter(b"a", &Inherited::default());
        let _ = (ignore.excludes(path, &inherited), ignore.may_skip(path));
    }
}
