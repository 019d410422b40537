//! Tables of the pages, compared with the program row by row.

use std::collections::BTreeSet;

use build_once::testing::FailureClass;
use build_once::testing::Outcome;
use serde_json::Value;

use super::page::rows;
use crate::support::{BuildOnce, Lab};

fn code(text: &str) -> &str {
    text.trim_matches('`')
}

#[test]
fn the_page_has_every_exit_code() {
    use FailureClass::{
        Access, Bug, Build, Input, Integrity, Interrupted, Resource, Terminated, Unavailable, Unsupported,
    };
    let classes =
        [Input, Build, Access, Unavailable, Integrity, Resource, Unsupported, Bug, Interrupted, Terminated];
    let known: Vec<(String, String)> =
        classes.iter().map(|class| (class.exit_code().to_string(), class.name().to_owned())).collect();
    let mut found = Vec::new();
    for row in rows("docs/inputs.md", "| code | `failure-class` | meaning |\n").iter().skip(1) {
        found.extend(row[0].split(", ").map(|number| (number.to_owned(), code(&row[1]).to_owned())));
    }
    assert_eq!(found, known);
}

#[test]
fn the_page_says_when_each_outcome_comes() {
    use Outcome::{Built, BuiltLocal, Failed, Missing, ReusedDigest, ReusedKey, ReusedLocal, ReusedTag};
    let found: Vec<String> =
        rows("docs/inputs.md", "| when | `outcome` |\n").iter().map(|row| code(&row[1]).to_owned()).collect();
    let all = [ReusedLocal, ReusedTag, ReusedDigest, ReusedKey, Built, BuiltLocal, Missing, Failed];
    assert_eq!(found, all.map(Outcome::name));
}

/// The tag of a reference, with M for the mark of the GitHub repository.
fn tag_of(reference: &str) -> String {
    let tag = reference.rsplit(':').next().unwrap();
    let is_mark = |word: &&str| {
        word.len() == 9 && word.starts_with('r') && word[1..].bytes().all(|b| b.is_ascii_hexdigit())
    };
    match tag.split('-').find(is_mark) {
        Some(mark) => tag.replacen(mark, "M", 1),
        None => tag.to_owned(),
    }
}

/// What the names of a plan say, in the words of the page.
fn words(plan: &Value, list: &str, branch: &str) -> String {
    let names = &plan["images"][0]["names"][list];
    let names = names.as_array().cloned().unwrap_or_else(|| vec![names.clone()]);
    let mut words = Vec::new();
    for name in names.iter().filter_map(Value::as_str) {
        let tag = tag_of(name);
        let word = match tag.as_str() {
            tag if tag.starts_with("pr-") || tag.starts_with("br-") => "its own",
            tag if tag.starts_with("queue-") => "queue",
            "cache-M-app-main" => "default branch",
            tag if tag.starts_with("cache-M-app-release-1-") => branch,
            _ => "trusted",
        };
        if !words.contains(&word) {
            words.push(word);
        }
    }
    if list == "reads_images" {
        // The page begins with what all may read.
        words.sort_by_key(|word| *word != "trusted");
    }
    if words.is_empty() { "none".to_owned() } else { words.join(", ") }
}

fn plan(program: BuildOnce<'_>) -> Value {
    let run = program.input("cache-write", "always").args(&["plan", "--json"]).run();
    assert_eq!(run.code, 0, "{}", run.all());
    serde_json::from_str(&run.stdout).unwrap()
}

/// `docs/trust.md`: which zone may read and write what.
#[test]
fn each_zone_has_its_rights() {
    let lab = Lab::new();
    let into_release = |event: &mut Value| event["pull_request"]["base"]["ref"] = "release/1".into();
    let trusted = plan(
        lab.shared()
            .fixture("push", "refs/heads/release/1", "push-protected", |_| {})
            .env("GITHUB_REF_PROTECTED", "true"),
    );
    let tag = plan(lab.shared().fixture("push", "refs/tags/v1", "push-tag", |_| {}));
    let queue = "refs/heads/gh-readonly-queue/release/1/pr-12-3333333333333333333333333333333333333333";
    let queue = plan(lab.shared().fixture("merge_group", queue, "merge-group", |event| {
        event["merge_group"]["base_ref"] = "refs/heads/release/1".into();
        event["merge_group"]["head_ref"] = queue.into();
    }));
    let pull = "refs/pull/12/merge";
    let pr = plan(lab.shared().fixture("pull_request", pull, "pull-request", into_release));
    let fork = plan(lab.shared().fixture("pull_request", pull, "pull-request-fork", into_release));
    let cells = |plan: &Value, branch: &str| {
        ["reads_images", "reads_caches", "writes_images", "writes_cache"]
            .map(|list| words(plan, list, branch))
    };
    let mut expected = Vec::new();
    for (zone, plan, branch) in [
        ("trusted", &trusted, "its branch"),
        ("queue", &queue, "base"),
        ("pr", &pr, "base"),
        ("fork", &fork, "base"),
    ] {
        assert_eq!(plan["run"]["zone"], zone);
        let mut cells = cells(plan, branch);
        if zone == "trusted" {
            let [images, reads, written, writes] = self::words_of(&tag);
            assert_eq!((&images, &written), (&cells[0], &cells[2]));
            cells[1] = format!("{}; from a tag: {reads}", cells[1]);
            cells[3] = format!("{}; from a tag: {writes}", cells[3]);
        }
        if zone == "pr" {
            cells[3].push_str(", with `cache-write: always`");
            let auto = lab.shared().fixture("pull_request", pull, "pull-request", |_| {});
            let run = auto.args(&["plan", "--json"]).run();
            let auto: Value = serde_json::from_str(&run.stdout).unwrap();
            assert_eq!(words(&auto, "writes_cache", "base"), "none");
        }
        expected.push([vec![format!("`{zone}`")], cells.to_vec()].concat());
    }
    let head = "| zone | runs | reads images | reads layer cache | writes images | writes layer cache |\n";
    let found = rows("docs/trust.md", head).into_iter().map(|mut row| {
        row.remove(1);
        row.iter().map(|cell| cell.replace("the default", "default")).collect::<Vec<_>>()
    });
    assert_eq!(found.collect::<Vec<_>>(), expected);
}

fn words_of(plan: &Value) -> [String; 4] {
    ["reads_images", "reads_caches", "writes_images", "writes_cache"]
        .map(|list| words(plan, list, "its branch"))
}

/// `docs/trust.md`: how the tags of each zone begin.
#[test]
fn each_zone_has_its_tags() {
    let lab = Lab::new();
    let on = |branch: &str| lab.shared().push_to(branch);
    let plans = [
        plan(on("main")),
        plan(lab.shared().fixture(
            "merge_group",
            "refs/heads/gh-readonly-queue/main/pr-12-3333333333333333333333333333333333333333",
            "merge-group",
            |_| {},
        )),
        plan(lab.shared().pull_request(12)),
        plan(on("fix")),
        plan(on("team/fix")),
        plan(lab.shared().fork()),
    ];
    let table = rows(
        "docs/trust.md",
        "| what | trusted | queue | pull request 12 | branch `fix` without protection | branch `team/fix` | fork |\n",
    );
    let kinds: Vec<&str> = table.iter().map(|row| row[0].as_str()).collect();
    assert_eq!(kinds, ["by content", "by commit", "layer cache"]);
    for (kind, row) in ["key-M-app-", "sha-M-app-", "cache-M-app"].iter().zip(&table) {
        for (plan, cell) in plans.iter().zip(&row[1..]) {
            let names = &plan["images"][0]["names"];
            let written =
                names["writes_images"].as_array().into_iter().flatten().chain([&names["writes_cache"]]);
            let tags = written.filter_map(Value::as_str).map(tag_of);
            let tags: BTreeSet<String> = tags.filter(|tag| tag.contains(kind)).collect();
            if cell == "never written" || cell == "none" {
                assert!(tags.is_empty(), "{cell}: {tags:?}");
                continue;
            }
            // `key-<mark>-<image>-<32 hex>`, `pr-12-key-…`, `cache-<mark>-<image>-<branch>`
            let cell =
                code(cell).replace("<mark>", "M").replace("<image>", "app").replace("<branch>", "main");
            let begins = cell.split(['<', '…']).next().unwrap();
            assert!(tags.len() == 1 && tags.iter().all(|tag| tag.starts_with(begins)), "{cell}: {tags:?}");
        }
    }
}
