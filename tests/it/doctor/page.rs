//! `docs/doctor.md` names the checks that are made.

use std::collections::BTreeSet;

use super::world::{ECR, ROLE, World, checks};
use crate::docs::page::rows;
use crate::support::Lab;

/// The name of a check as the page has it.
fn on_page(name: &str) -> String {
    if name.starts_with("tag ") {
        return "tag …".to_owned();
    }
    match name.rsplit_once(' ') {
        Some((start, "ci" | "ci/pr")) => format!("{start} …"),
        _ => name.to_owned(),
    }
}

fn listed(head: &str, column: usize) -> Vec<String> {
    let rows = rows("docs/doctor.md", head);
    let names = rows.iter().flat_map(|row| row[column].split('`').skip(1).step_by(2).map(str::to_owned));
    names.collect()
}

#[test]
fn the_page_has_every_check() {
    let page: BTreeSet<String> = listed("| check | what it looks at |\n", 0).into_iter().collect();
    let mut made = BTreeSet::new();
    let (lab, world) = (Lab::new(), World::start());
    lab.registry.let_push();
    let tag = format!("{}:v1", lab.registry.repository());
    let program = world.serves(lab.shared()).input("tags", &tag).input("upload-probe", "true");
    let program = program.env("ACTIONS_RESULTS_URL", &format!("{}/cache", world.address()));
    let program = program.env("ACTIONS_RUNTIME_TOKEN", "canary-5ec2e7-gha");
    let run = program.input("cache", "registry\ngha\nlocal").run();
    made.extend(checks(&run).into_keys());
    for cache in ["s3,bucket=b,region=us-east-1", "azblob,account_url=http://127.0.0.1:9"] {
        made.extend(checks(&world.serves(lab.shared()).input("cache", cache).run()).into_keys());
    }
    let cloud = || {
        let program = lab.build_once().input("repository", ECR).env("HTTPS_PROXY", "http://127.0.0.1:9");
        world.serves(program).input("role-to-assume", ROLE).input("pr-repository", &format!("{ECR}/pr"))
    };
    made.extend(checks(&cloud().run()).into_keys());
    made.extend(checks(&cloud().input("tags", "v1").run()).into_keys());
    world.deny("SimulatePrincipalPolicy");
    made.extend(checks(&cloud().env("GITHUB_REPOSITORY", "nonsense").run()).into_keys());
    let made: BTreeSet<String> = made.iter().map(|name| on_page(name)).collect();
    let unlisted: Vec<_> = made.difference(&page).collect();
    assert!(unlisted.is_empty(), "checks that the page does not have: {unlisted:?}");
    // Where docker's data is, the fake engine does not tell; both repositories have one key.
    let elsewhere = ["disk of docker's data", "same encryption"];
    let unmade: Vec<_> = page.difference(&made).filter(|name| !elsewhere.contains(&name.as_str())).collect();
    assert!(unmade.is_empty(), "rows for no check: {unmade:?}");
}

#[test]
fn each_common_failure_has_its_check() {
    let page: BTreeSet<String> = listed("| check | what it looks at |\n", 0).into_iter().collect();
    let named = listed("| what you see | check | what mends it |\n", 1);
    assert!(named.len() >= 7 && named.iter().all(|name| page.contains(name)), "{named:?}");
}
