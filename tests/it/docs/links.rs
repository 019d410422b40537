//! Links between the pages lead somewhere, and the README leads to every page and example.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::page::{pages, read};
use crate::matrix::table::root;

/// Pages for users, for contributors, and of the examples.
fn all() -> Vec<String> {
    let mut all = pages();
    all.extend(["CONTRIBUTING.md", "CODE_OF_CONDUCT.md", "tests/lab/README.md"].map(str::to_owned));
    all.extend(examples().into_iter().map(|example| format!("{example}/README.md")));
    all
}

fn examples() -> Vec<String> {
    let folders = fs::read_dir(root().join("examples")).unwrap().map(|entry| entry.unwrap().file_name());
    folders.map(|name| format!("examples/{}", name.to_str().unwrap())).collect()
}

/// The targets of links and pictures, outside code.
fn targets(text: &str) -> Vec<String> {
    let mut code = false;
    let mut found = Vec::new();
    for line in text.lines() {
        code ^= line.trim_start().starts_with("```");
        if code {
            continue;
        }
        for (begin, end) in [("](", ')'), ("src=\"", '"'), ("srcset=\"", '"')] {
            found.extend(
                line.split(begin).skip(1).filter_map(|rest| rest.split(end).next()).map(str::to_owned),
            );
        }
    }
    found
}

/// A heading as GitHub names it in an address.
fn anchor(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || " -_".contains(*c);
    heading
        .trim_start_matches('#')
        .trim()
        .to_lowercase()
        .chars()
        .filter(kept)
        .collect::<String>()
        .replace(' ', "-")
}

fn anchors(text: &str) -> BTreeSet<String> {
    text.lines().filter(|line| line.starts_with('#')).map(anchor).collect()
}

#[test]
fn each_link_leads_somewhere() {
    let mut broken = Vec::new();
    for page in all() {
        let text = read(&page);
        let folder = Path::new(&page).parent().unwrap();
        for target in targets(&text).into_iter().filter(|target| !target.contains("://")) {
            let (file, place) = target.split_once('#').unwrap_or((&target, ""));
            let path = if file.is_empty() { root().join(&page) } else { root().join(folder).join(file) };
            let there = path.exists()
                && (place.is_empty()
                    || path.extension().is_none_or(|kind| kind != "md")
                    || anchors(&fs::read_to_string(&path).unwrap()).contains(place));
            if !there {
                broken.push(format!("{page}: {target}"));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_readme_leads_to_every_page_and_example() {
    let targets: BTreeSet<String> = targets(&read("README.md")).into_iter().collect();
    let missing: Vec<String> = pages()
        .into_iter()
        .chain(examples())
        .filter(|page| page != "README.md" && !targets.contains(page))
        .collect();
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

/// Messages that `docs/troubleshooting.md` quotes and that are this program's: each stands in the source, or
/// is made of parts that do. Those of docker, BuildKit and registries are what the classifier is tested with.
// D101
#[test]
fn messages_that_the_docs_quote_are_said() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut said = String::new();
    let mut folders = vec![root.join("src"), root.join("dist"), root.join("tests/fixtures")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                folders.push(entry);
            } else if let Ok(text) = std::fs::read_to_string(&entry) {
                said.push_str(&text.replace("\\\n", "").to_lowercase());
            }
        }
    }
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    let page = std::fs::read_to_string(root.join("docs/troubleshooting.md")).unwrap();
    let (page, _) = page.split_once("<!-- causes -->").unwrap();
    // Made of parts, or said by the system and by steps before this one.
    let elsewhere = [
        "no image with this key is published: this job builds it",
        "failed to start docker with these inputs: Argument list too long",
        "Not authorized to perform sts:AssumeRoleWithWebIdentity",
        "Unable to get ACTIONS_ID_TOKEN_REQUEST_URL",
        "allow ecr:GetAuthorizationToken on *",
        "allow ecr:BatchGetImage on …",
        "… has no image sha256:…",
        "failed to download build-once-…",
    ];
    let mut missing = Vec::new();
    for line in page.lines().filter(|line| line.starts_with("| `")) {
        let first = line.trim_start_matches("| ").split(" | ").next().unwrap();
        for quoted in
            first.split('`').skip(1).step_by(2).filter(|text| text.len() > 3 && !elsewhere.contains(text))
        {
            // What varies is left out: …, N, names in capitals.
            let parts =
                quoted.split(['…', ':']).map(|part| part.trim().trim_end_matches(" N").to_lowercase());
            missing.extend(
                parts
                    .filter(|part| part.len() > 3 && !said.contains(part.as_str()))
                    .map(|part| format!("`{quoted}`: {part}")),
            );
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}
