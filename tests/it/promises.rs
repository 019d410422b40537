//! Promises of the pages that no other test shows.

use crate::support::{Lab, Run};

fn masks(run: &Run) -> Vec<String> {
    run.commands("add-mask").iter().map(|mask| mask.message.clone()).collect()
}

/// SECURITY.md, D17: what a file of a secret holds is masked by line, up to a size; fewer than four characters are not.
#[test]
fn secrets_that_are_not_masked() {
    let lab = Lab::new();
    lab.write("secret", "first-line-of-it\nabc\n  fourth  \n");
    let files = format!("one={}", lab.path("secret").display());
    let run = lab.shared().input("secret-files", &files).input("secrets", "two=abc").run().succeeds("built");
    assert_eq!(masks(&run), ["first-line-of-it", "fourth"]);
    let line = "a-line-of-a-secret-that-is-a-file\n";
    for (size, masked) in [(500 * 1024, true), (500 * 1024 + 1, false)] {
        let mut text = line.repeat(size / line.len() + 1);
        text.truncate(size);
        lab.write("secret", text);
        let run = lab.build_once().input("secret-files", &files).args(&["key"]).run();
        assert_eq!(run.code, 0, "{}", run.all());
        let said = format!("::add-mask::{}", line.trim());
        assert_eq!(run.stderr.lines().any(|told| told == said), masked, "{size}");
    }
}

/// docs/trust.md
#[test]
fn latest_is_written_only_if_it_is_asked_for() {
    let lab = Lab::new();
    let _ = lab.shared().run().succeeds("built");
    let latest = || lab.registry.digest("ci/latest");
    assert_eq!(latest(), None);
    let _ = lab.shared().run().succeeds("reused-tag");
    assert_eq!(latest(), None);
    let tag = format!("{}:latest", lab.registry.repository());
    let _ = lab.shared().input("tags", &tag).run().succeeds("reused-tag");
    assert!(latest().is_some());
}
