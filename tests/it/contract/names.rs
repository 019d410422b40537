//! The workflows that the pages show.

use std::fs;

use serde_yaml_ng::Value;

use super::{inputs, path};

/// The examples of the pages use inputs that exist.
#[test]
fn examples_use_names_that_exist() {
    let known = inputs();
    for page in ["README.md", "docs/usage.md", "docs/migrate.md"] {
        let text = fs::read_to_string(path(page)).unwrap();
        let mut uses = 0;
        for block in blocks(&text) {
            let Ok(workflow) = serde_yaml_ng::from_str::<Value>(&block) else { panic!("not YAML:\n{block}") };
            uses += walk(&workflow, &mut |name| {
                assert!(
                    known.iter().any(|input| input.name == name),
                    "{page} uses the input {name}:\n{block}"
                );
            });
        }
        assert!(uses > 0, "{page} shows no use of the action");
    }
}

/// The YAML of a page; of a diff what it leads to.
fn blocks(page: &str) -> Vec<String> {
    let of = |kind: &str| {
        let blocks = page.split(kind).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned());
        blocks.collect::<Vec<_>>()
    };
    let after = |diff: &String| {
        let lines = diff.lines().filter(|line| !line.starts_with('-'));
        lines.map(|line| line.get(1..).unwrap_or_default().to_owned() + "\n").collect()
    };
    [of("```yaml\n"), of("```diff\n").iter().map(after).collect()].concat()
}

fn walk(value: &Value, check: &mut impl FnMut(&str)) -> usize {
    match value {
        Value::Sequence(items) => items.iter().map(|item| walk(item, check)).sum(),
        Value::Mapping(map) => {
            let ours = map
                .get("uses")
                .and_then(Value::as_str)
                .is_some_and(|uses| uses.starts_with("build-once/build-once@"));
            let with = map.get("with").and_then(Value::as_mapping).filter(|_| ours);
            with.into_iter().flatten().for_each(|(name, _)| check(name.as_str().unwrap()));
            usize::from(ours) + map.values().map(|value| walk(value, check)).sum::<usize>()
        }
        _ => 0,
    }
}
