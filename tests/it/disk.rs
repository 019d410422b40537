//! The engine's disk: old images of this GitHub repository go, the report tells what takes it.

use serde_json::{Value, json};

use crate::support::{BuildOnce, Lab};

/// An image that was built or pulled on this day, with these names.
fn old(id: &str, day: &str, names: &[&str]) -> Value {
    json!({"id": format!("sha256:{id}"), "names": names, "digests": [format!("h.example/ci@sha256:{id}")],
        "labels": {}, "tagged": format!("{day}T00:00:00Z"), "size": 3_u64 << 30})
}

fn own(id: &str, day: &str) -> Value {
    old(id, day, &[&format!("build-once.invalid/o/r/app:trusted-key-{id}")])
}

fn self_hosted(lab: &Lab) -> BuildOnce<'_> {
    lab.build_once().env("RUNNER_ENVIRONMENT", "self-hosted")
}

fn ids(lab: &Lab) -> Vec<String> {
    let images = lab.images();
    let ids = images.as_array().unwrap().iter().map(|image| image["id"].as_str().unwrap().to_owned());
    ids.filter(|id| id.len() < 20).collect()
}

fn with_store(images: &[Value]) -> Lab {
    let lab = Lab::new();
    lab.write("bin/store.json", json!(images).to_string());
    lab
}

#[test]
fn old_images_go_and_the_summary_lists_them() {
    let images =
        [own("a", "2020-01-01"), own("b", "2020-01-02"), own("c", "2020-01-03"), own("d", "2020-01-04")];
    let lab = with_store(&images);
    let run = self_hosted(&lab).run().succeeds("built-local");
    assert_eq!(ids(&lab), ["sha256:c", "sha256:d"]);
    assert!(run.summary.contains("Removed 2 old images (6.0 GiB)"), "{}", run.summary);
    let removals = run.lines().iter().filter(|line| line.starts_with("image rm")).count();
    assert_eq!(removals, 2);
    assert!(!run.lines().iter().any(|line| line.contains("--force")), "{:?}", run.lines());
}

#[test]
fn what_is_used_or_of_others_stays() {
    let mut used = own("a", "2020-01-01");
    used["used"] = json!(true);
    let named = old("b", "2020-01-01", &["build-once.invalid/o/r/app:trusted-key-b", "mine:1"]);
    let foreign = old("c", "2020-01-01", &["build-once.invalid/o/s/app:trusted-key-c"]);
    let inherits = json!({"id": "sha256:d", "names": ["child:1"], "digests": [], "tagged": "2020-01-01T00:00:00Z",
        "labels": {"io.github.build-once.key": "0".repeat(64)}, "size": 1});
    let images = [used, named, foreign, inherits, own("e", "2020-01-03"), own("f", "2020-01-04")];
    let lab = with_store(&images);
    let _ = self_hosted(&lab).run().succeeds("built-local");
    assert_eq!(ids(&lab), ["sha256:a", "sha256:b", "sha256:c", "sha256:d", "sha256:e", "sha256:f"]);
}

#[test]
fn an_image_that_comes_into_use_is_a_notice() {
    let lab = with_store(&[own("a", "2020-01-01"), own("b", "2020-01-02"), own("c", "2020-01-03")]);
    let refused = "Error response from daemon: conflict: unable to delete a (must be forced)";
    lab.rule("image rm", json!({"stderr": refused, "exit": 1}));
    let run = self_hosted(&lab).run().succeeds("built-local");
    assert!(run.notices().contains("an old image is still in the engine"), "{}", run.notices());
    assert_eq!(ids(&lab).len(), 3);
}

#[test]
fn nothing_is_removed_elsewhere_or_if_it_is_off() {
    let images = [own("a", "2020-01-01"), own("b", "2020-01-02"), own("c", "2020-01-03")];
    let lab = with_store(&images);
    let hosted = || lab.build_once().env("RUNNER_ENVIRONMENT", "github-hosted");
    let _ = hosted().input("disk-report", "true").run().succeeds("built-local");
    assert_eq!(ids(&lab).len(), 3);
    lab.write("work/hello", "other");
    let _ = self_hosted(&lab).input("keep-local", "off").run().succeeds("built-local");
    assert_eq!(ids(&lab).len(), 3);
    let run = self_hosted(&lab).input("keep-local", "2 weeks").run().fails(2, "input");
    assert!(run.error().contains("input `keep-local`"), "{}", run.error());
}

#[test]
fn a_hit_that_loads_nothing_asks_nothing() {
    let lab = Lab::new();
    let shared = || lab.shared().env("RUNNER_ENVIRONMENT", "self-hosted");
    let _ = shared().run().succeeds("built");
    lab.forget_calls();
    let hit = shared().run().succeeds("reused-tag");
    assert!(hit.lines().is_empty(), "{:?}", hit.lines());
}

#[test]
fn the_report_has_figures_of_before_and_after() {
    let lab = with_store(&[own("a", "2020-01-01")]);
    let run = lab.build_once().input("disk-report", "true").run().succeeds("built-local");
    for text in [
        "The engine's disk",
        "| free of ",
        "| Images | 1MB (1, reclaimable 0B (0%)) | 2MB (2,",
        "largest images",
    ] {
        assert!(run.summary.contains(text), "{text}: {}", run.summary);
    }
    assert_eq!(ids(&lab), ["sha256:a"], "a report removes nothing");
}

#[test]
fn a_count_that_another_job_disturbs_is_repeated() {
    for (failures, counted) in [(1, true), (2, true), (3, false)] {
        let lab = with_store(&[own("a", "2020-01-01")]);
        let gone = json!({"stderr": "lease \"a\": not found\n", "exit": 1, "times": failures});
        lab.rule("system df", gone);
        let run = lab.build_once().input("disk-report", "true").run().succeeds("built-local");
        let row = run.summary.lines().find(|line| line.starts_with("| Images |")).unwrap_or_default();
        // The count after the run succeeds in any case.
        assert_eq!(row.contains("1MB (1,"), counted, "{failures}: {row}\n{}", run.all());
    }
}

#[test]
fn a_list_that_another_job_disturbs_is_repeated() {
    for (failures, removed) in [(2, true), (3, false)] {
        let lab = with_store(&[own("a", "2020-01-01"), own("b", "2020-01-02"), own("c", "2020-01-03")]);
        // What dockerd 28.5 says of an image that is removed at that moment.
        let gone =
            json!({"stderr": "NotFound: content digest sha256:d: not found\n", "exit": 1, "times": failures});
        lab.rule("image ls", gone);
        let run = self_hosted(&lab).run().succeeds("built-local");
        assert_eq!(!ids(&lab).contains(&"sha256:a".to_owned()), removed, "{failures}: {}", run.all());
    }
    // Another failure is not asked for again.
    let lab = with_store(&[own("a", "2020-01-01")]);
    lab.rule("image ls", json!({"stderr": "permission denied\n", "exit": 1}));
    let run = self_hosted(&lab).run().succeeds("built-local");
    assert_eq!(run.called("image ls").len(), 1, "{:?}", run.lines());
}

#[test]
fn the_disk_is_counted_once_if_nothing_is_added_to_it() {
    let lab = Lab::new();
    let job = || lab.shared().env("RUNNER_ENVIRONMENT", "self-hosted").input("disk-report", "true");
    let counted = |run: &crate::support::Run| run.called("system df").len();
    let _ = lab.shared().run().succeeds("built");
    lab.another_machine();
    lab.forget_calls();
    let pulled = job().input("mode", "pull").run().succeeds("reused-tag");
    assert_eq!(counted(&pulled), 2, "{:?}", pulled.lines());
    lab.forget_calls();
    let hit = job().input("mode", "pull").run().succeeds("reused-local");
    assert_eq!(counted(&hit), 1, "{:?}", hit.lines());
    let row = hit.summary.lines().find(|line| line.starts_with("| Images |")).unwrap();
    let cells: Vec<&str> = row.split('|').map(str::trim).collect();
    assert!(!cells[2].is_empty() && cells[2] == cells[3], "{row}");
}

#[test]
fn an_image_that_is_there_asks_nothing_of_the_store() {
    let lab = Lab::new();
    let job = || lab.shared().env("RUNNER_ENVIRONMENT", "self-hosted").input("mode", "pull");
    let _ = lab.shared().run().succeeds("built");
    let old = [own("a", "2020-01-01"), own("b", "2020-01-02"), own("c", "2020-01-03")];
    lab.write("bin/store.json", json!(old).to_string());
    lab.forget_calls();
    let pulled = job().run().succeeds("reused-tag");
    assert_eq!(
        (pulled.called("image ls").len(), pulled.called("info").len()),
        (1, 1),
        "{:?}",
        pulled.lines()
    );
    assert_eq!(ids(&lab).len(), 2, "a pull makes room");
    lab.forget_calls();
    let hit = job().run().succeeds("reused-local");
    assert_eq!(hit.lines().len(), 1, "{:?}", hit.lines());
    assert_eq!(hit.called("image inspect").len(), 1, "{:?}", hit.lines());
}
