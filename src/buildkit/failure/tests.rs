//! The classifier on real texts (`tests/fixtures/failures.tsv`).

use proptest::prelude::*;

use super::*;
use crate::failure::FailureKind;
use crate::failure::Reaction;

pub(super) const PHASES: [(&str, Phase); 7] = [
    ("context", Phase::Context),
    ("cache-import", Phase::CacheImport),
    ("base", Phase::Base),
    ("steps", Phase::Steps),
    ("export", Phase::Export),
    ("push", Phase::Push),
    ("cache-export", Phase::CacheExport),
];

struct Row {
    kind: &'static str,
    phase: Option<Phase>,
    text: &'static str,
}

/// Real texts, with where they were reported.
fn corpus() -> Vec<Row> {
    let lines = include_str!("../../../tests/fixtures/failures.tsv").lines();
    let row = |line: &'static str| {
        let [kind, phase, _source, text] = line.split('\t').collect::<Vec<_>>().try_into().unwrap();
        let phase = PHASES.iter().find(|(name, _)| *name == phase).map(|(_, phase)| *phase);
        Row { kind, phase, text }
    };
    lines.filter(|line| !line.starts_with('#')).map(row).collect()
}

#[test]
fn every_real_text_has_its_kind() {
    let rows = corpus();
    assert!(rows.len() >= 80, "{}", rows.len());
    let wrong: Vec<String> = rows
        .iter()
        .filter_map(|row| {
            let error = classify_at("failed", row.text, row.phase);
            (error.cause_name() != row.kind)
                .then(|| format!("{} is taken for {}: {}", row.kind, error.cause_name(), row.text))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_kind_that_a_text_can_have_is_in_the_corpus() {
    let rows = corpus();
    // Said by this program alone.
    let own = [
        FailureKind::Hang,
        FailureKind::EventualRead,
        FailureKind::SourceGone,
        FailureKind::TagTaken,
        FailureKind::OlderCommit,
        FailureKind::NoRepository,
        FailureKind::NoImage,
        FailureKind::NotPublished,
        FailureKind::NotSetUp,
        FailureKind::DeleteOff,
        FailureKind::AwsUnavailable,
        FailureKind::UnsafeEvent,
        FailureKind::Machine,
        FailureKind::Unsettled,
        FailureKind::WaitTimeout,
        FailureKind::Timeout,
        FailureKind::BadAnswer,
    ];
    let public = include_str!("../../../tests/fixtures/failures-public.tsv");
    for kind in FailureKind::ALL.iter().filter(|kind| !own.contains(kind)) {
        let told = public.lines().any(|line| line.split('\t').nth(1) == Some(kind.name()));
        assert!(told || rows.iter().any(|row| row.kind == kind.name()), "{}", kind.name());
    }
    assert!(rows.iter().all(|row| FailureKind::ALL.iter().any(|kind| kind.name() == row.kind)));
}

#[test]
fn the_raw_line_is_kept_and_the_class_is_the_kinds() {
    for row in corpus() {
        let error = classify_at("failed", row.text, row.phase);
        assert_eq!(error.class, error.kind.unwrap().class(), "{}", row.text);
        assert_eq!(error.causes, [row.text.trim_start_matches("ERROR: ")]);
        assert_eq!(error.hint.is_none(), error.is(FailureKind::Unknown), "{}", row.text);
    }
    assert_eq!(classify("failed", "").kind, Some(FailureKind::Unknown));
}

/// A user's command line, path or name that says what a registry would say.
#[test]
fn quoted_text_is_not_read() {
    for row in corpus() {
        let said = row.text.replace('\\', "").replace('"', "\\\"");
        let error = classify_at(
            "failed",
            &format!("process \"/bin/sh -c {said}\" did not complete successfully: exit code: 1"),
            Some(Phase::Steps),
        );
        assert!(error.is(FailureKind::DockerfileError), "{}: {}", error.cause_name(), row.text);
        let error = classify("failed", &format!("no such thing: \"{said}\""));
        assert!(error.is(FailureKind::Unknown), "{}: {}", error.cause_name(), row.text);
    }
}

#[test]
fn a_killed_step_hints_at_memory() {
    let text = r#"process "/bin/sh -c make" did not complete successfully: exit code: 137"#;
    let error = classify_at("failed", text, Some(Phase::Steps));
    assert!(error.is(FailureKind::DockerfileError) && error.hint.unwrap().contains("memory"));
}

#[test]
fn the_same_words_elsewhere_mean_something_else() {
    let text = "unexpected status from HEAD request to https://h.example/v2/x: 403 Forbidden";
    for (phase, kind) in [
        (None, FailureKind::AuthDenied),
        (Some(Phase::Push), FailureKind::AuthDenied),
        (Some(Phase::Base), FailureKind::BaseNotFound),
        (Some(Phase::Steps), FailureKind::DockerfileError),
        (Some(Phase::CacheImport), FailureKind::CacheReadLost),
        (Some(Phase::CacheExport), FailureKind::CacheWriteFailed),
    ] {
        assert_eq!(classify_at("failed", text, phase).kind, Some(kind), "{phase:?}");
    }
    // What happened to the machine is not the cache's fault.
    let full = classify_at("failed", "write /x: no space left on device", Some(Phase::CacheExport));
    assert!(full.is(FailureKind::DiskFull));
}

#[test]
fn waits_that_the_registry_names() {
    let wait = |text: &str| classify("failed", text).retry_after.map(|wait| wait.as_micros());
    assert_eq!(wait("toomanyrequests: retry-after: 480.763µs, allowed: 44000/minute"), Some(480));
    assert_eq!(wait("429 Too Many Requests: Retry after 26.5 s"), Some(26_500_000));
    assert_eq!(wait("429 Too Many Requests: retry-after: 3"), Some(3_000_000));
    assert_eq!(wait("retry-after: soon"), None);
    assert_eq!(wait("429 Too Many Requests"), None);
}

proptest! {
    #[test]
    fn every_text_has_a_kind(text in "(?s).{0,300}", at in proptest::option::of(0..7_usize)) {
        let error = classify_at("failed", &text, at.map(|at| PHASES[at].1));
        prop_assert_eq!(Some(error.class), error.kind.map(FailureKind::class));
    }

    #[test]
    fn noise_around_a_text_changes_nothing(
        at in 0..200_usize,
        before in "[0-9 #.\\[\\]TZ+-]{0,30}",
        // A number in the same line may be meant: "returned 400".
        after in "[ .\\]\r\n\t-]{0,10}([\r\n][0-9 .\\]\r\n\t-]{0,20})?",
        upper in any::<bool>(),
    ) {
        let rows = corpus();
        let row = &rows[at % rows.len()];
        let text = row.text.trim_start_matches("ERROR: ");
        let text = if upper { text.to_uppercase() } else { text.to_owned() };
        let error = classify_at("failed", &format!("{before} {text}{after}"), row.phase);
        prop_assert_eq!(error.cause_name(), row.kind);
    }
}

#[test]
fn a_registrys_code_for_the_unknown_is_its_fault() {
    let text = "failed to push h.example/ci:x: unknown: something went wrong in here";
    let error = classify_at("failed", text, Some(Phase::Push));
    assert_eq!(error.kind, Some(FailureKind::RegistryError));
    assert_eq!(classify_at("failed", text, Some(Phase::Steps)).kind, Some(FailureKind::Unknown));
}

/// D42. What the user must correct is no exit 30.
#[test]
fn d42_what_the_user_must_correct_is_not_unavailable() {
    for (text, class, hint) in [
        (
            "failed to solve: index annotations not supported for single platform export",
            FailureClass::Unsupported,
            "annotate the manifest",
        ),
        (
            "failed to solve: dockerfile parse error on line 2: when using JSON array syntax, arrays must be comprised of strings only",
            FailureClass::Build,
            "correct the Dockerfile",
        ),
        (
            "failed to solve: failed to process \"${X:?}\": unsupported modifier (?) in substitution",
            FailureClass::Build,
            "correct the Dockerfile",
        ),
        (
            "failed to solve: dockerfile line greater than max allowed size of 65535",
            FailureClass::Build,
            "correct the Dockerfile",
        ),
        (
            "failed to solve: failed to read dockerfile: failed to fetch remote https://github.com/o/r.git: git stderr: fatal: could not read Username for 'https://github.com': terminal prompts disabled: exit status 128",
            FailureClass::Access,
            "GIT_AUTH_TOKEN",
        ),
        (
            "failed to solve: failed to read dockerfile: unknown scheme git",
            FailureClass::Unsupported,
            "has no git",
        ),
    ] {
        let error = classify("the build failed", text);
        assert_eq!(error.class, class, "{text}");
        assert!(error.hint.as_deref().unwrap_or_default().contains(hint), "{text}: {:?}", error.hint);
        assert_eq!(error.kind.unwrap().reaction(), Reaction::Stop, "{text}");
    }
}

/// D69. As buildx 0.29 and BuildKit 0.26 say them.
#[test]
fn d69_the_hint_is_for_what_was_wrong() {
    for (text, class, hint) in [
        (
            "failed to build: failed to solve: failed to load LLB: network.host is not allowed",
            FailureClass::Unsupported,
            "the input allow: network.host",
        ),
        (
            "failed to solve: entitlement network.host is not allowed",
            FailureClass::Unsupported,
            "use a builder that grants it",
        ),
        (
            "failed to build: failed to solve: Internal: rpc error: code = Internal desc = header key \"exclude-patterns\" contains value with non-printable ASCII characters",
            FailureClass::Build,
            "correct the ignore file",
        ),
    ] {
        let error = classify("the build failed", text);
        assert_eq!(error.class, class, "{text}");
        assert!(error.hint.as_deref().unwrap_or_default().contains(hint), "{text}: {:?}", error.hint);
    }
    let text = "error writing layer blob: rpc error: code = Internal desc = header key \"buildkit-attachable-store-id\" contains value with non-printable ASCII characters";
    let error = classify_at("its export failed", text, Some(Phase::CacheExport));
    assert!(error.is(FailureKind::CacheWriteFailed));
    assert_eq!(error.hint.as_deref(), Some("name a folder whose path has plain ASCII letters alone"));
}
