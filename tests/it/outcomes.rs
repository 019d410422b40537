//! Outcomes by outputs: whatever became of a run, what its outputs say agrees with the registry and
//! the engine.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{BuildOnce, HEAD, Lab, PROGRESS, Response, Run};

const OTHER: &str = "3333333333333333333333333333333333333333";

/// What the registry and the engine must say of these outputs.
#[track_caller]
fn agrees(lab: &Lab, run: &Run) {
    let of = |tag: &str| lab.registry.digest(&format!("ci/{tag}"));
    let digest = run.output("digest");
    for name in ["tag", "commit-tag"] {
        let tag = run.output(name);
        if tag.is_empty() {
            continue;
        }
        let named = of(tag).unwrap_or_else(|| panic!("{name} {tag} is nowhere\n{}", run.all()));
        assert!(digest.is_empty() || named == digest, "{name} {tag}: {named}, not {digest}");
    }
    assert!(
        run.output("tag").is_empty() || run.output("tag").contains("key-rf9d832d9-app-"),
        "{}",
        run.output("tag")
    );
    if digest.is_empty() {
        assert_eq!(run.output("image"), "");
    } else {
        assert!(lab.registry.tags().iter().any(|tag| of(tag).as_deref() == Some(digest)), "{digest}");
        assert_eq!(run.output("image"), format!("{}@{digest}", lab.registry.repository()));
    }
    let local = run.output("local-image");
    let images = lab.images();
    let mut names = images.as_array().into_iter().flatten().flat_map(|i| i["names"].as_array().unwrap());
    assert!(local.is_empty() || names.any(|name| name == local), "{local} is not in {images}");
    assert_eq!(run.output("outcome") == "failed", run.code != 0);
}

/// Which outputs say something, run by run, by outcome.
type Table = std::collections::BTreeMap<String, Vec<Vec<String>>>;

/// The columns of the table in `docs/inputs.md`.
const COLUMNS: [&str; 6] = ["digest", "tag", "commit-tag", "local-image", "built", "pushed"];

fn note(table: &mut Table, run: &Run) {
    let says = |name: &&str| !["", "false"].contains(&run.output(name));
    let names = COLUMNS.iter().filter(|name| says(name)).map(|name| (*name).to_owned()).collect();
    table.entry(run.output("outcome").to_owned()).or_default().push(names);
}

/// `docs/inputs.md`: yes is always, no is never, and a cell that begins with `if` is both.
fn is_the_pages(table: &Table) {
    let head =
        "| `outcome` | `digest`, `image` | `tag` | `commit-tag` | `local-image` | `built` | `pushed` |\n";
    let rows = crate::docs::page::rows("docs/inputs.md", head);
    assert_eq!(rows.len(), table.len());
    for row in rows {
        let runs = &table[row[0].trim_matches('`')];
        for (name, cell) in COLUMNS.iter().zip(&row[1..]) {
            let times = runs.iter().filter(|run| run.iter().any(|known| known == name)).count();
            let expected = if times == 0 {
                "no"
            } else if times == runs.len() {
                "yes"
            } else {
                "if"
            };
            assert_eq!(cell.split(' ').next(), Some(expected), "{}: {name}", row[0]);
        }
    }
}

/// The outputs `outcome`, `built`, `pushed`, `degraded`, and which of `digest`, `tag`, `commit-tag` and
/// `local-image` say something.
#[track_caller]
fn says(lab: &Lab, run: &Run, expected: [&str; 4], filled: &[&str]) {
    agrees(lab, run);
    let got = ["outcome", "built", "pushed", "degraded"].map(|name| run.output(name));
    assert_eq!(got, expected, "{}", run.all());
    for name in ["digest", "tag", "commit-tag", "local-image"] {
        assert_eq!(!run.output(name).is_empty(), filled.contains(&name), "{name}: {}", run.output(name));
    }
}

const ALL: &[&str] = &["digest", "tag", "commit-tag", "local-image"];
const SHARED: &[&str] = &["digest", "tag", "commit-tag"];

#[test]
fn d87_the_table() {
    let mut table = Table::new();
    let mut says = |lab: &Lab, run: &Run, expected: [&str; 4], filled: &[&str]| {
        says(lab, run, expected, filled);
        note(&mut table, run);
    };
    let lab = Lab::new();
    let plan = lab.shared().input("mode", "plan").run();
    says(&lab, &plan, ["missing", "false", "false", "false"], &[]);
    // The engine's own builder keeps what it pushes.
    let built = lab.shared().run();
    says(&lab, &built, ["built", "true", "true", "false"], ALL);
    says(&lab, &lab.shared().run(), ["reused-tag", "false", "false", "false"], SHARED);
    let alias = lab.shared().commit(OTHER).run();
    says(&lab, &alias, ["reused-key", "false", "false", "false"], SHARED);
    lab.another_machine();
    let pull = || lab.shared().input("mode", "pull");
    let by_digest = || pull().input("digest", built.output("digest"));
    says(&lab, &by_digest().run(), ["reused-digest", "false", "false", "false"], &["digest", "local-image"]);
    says(&lab, &by_digest().run(), ["reused-local", "false", "false", "false"], &["digest", "local-image"]);
    lab.another_machine();
    // Pulling asks one question.
    let by_commit = pull().run();
    says(
        &lab,
        &by_commit,
        ["reused-tag", "false", "false", "false"],
        &["digest", "commit-tag", "local-image"],
    );
    lab.another_machine();
    let by_key = pull().commit(&"4".repeat(40)).run();
    says(&lab, &by_key, ["reused-key", "false", "false", "false"], &["digest", "tag", "local-image"]);
    lab.write("work/hello", "another");
    let local = || lab.shared().input("push", "false").commit(&"5".repeat(40)).run();
    says(&lab, &local(), ["built-local", "true", "false", "false"], &["local-image"]);
    says(&lab, &local(), ["reused-local", "false", "false", "false"], &["local-image"]);
    lab.write("work/hello", "one more");
    lab.registry.fault("/manifests/", 9, Response::new(503, ""));
    let down = lab.shared().commit(&"6".repeat(40)).run();
    says(&lab, &down, ["built-local", "true", "false", "true"], &["local-image"]);
    let lab = Lab::new();
    // A builder of its own keeps nothing in the engine.
    lab.set("driver", "docker-container");
    lab.write("work/hello", "by another builder");
    says(&lab, &lab.shared().run(), ["built", "true", "true", "false"], SHARED);
    let part = |platform: &str| {
        let run = lab.shared().input("image", "part").input("platforms", platform).run();
        run.succeeds("built").output("digest").to_owned()
    };
    let digests = format!("{}\n{}", part("linux/amd64"), part("linux/arm64"));
    let merge =
        || lab.shared().input("mode", "merge").input("digests", &digests).commit(&"9".repeat(40)).run();
    says(&lab, &merge(), ["merged", "false", "true", "false"], &["digest", "commit-tag"]);
    says(&lab, &merge(), ["merged", "false", "false", "false"], &["digest", "commit-tag"]);
    lab.set("driver", "docker");
    let unloaded = || lab.build_once().input("load", "false").input("push", "false");
    lab.write("work/hello", "for nobody");
    lab.set("containerd", false);
    let unloaded = unloaded().run();
    let named: &[&str] = if unloaded.output("local-image").is_empty() { &[] } else { &["local-image"] };
    says(&lab, &unloaded, ["built-local", "true", "false", "false"], named);
    lab.set("containerd", true);
    lab.write("work/hello", "refused");
    says(&lab, &half(&lab).commit(&"7".repeat(40)).run(), ["failed", "true", "true", "false"], ALL);
    lab.rule("buildx build", json!({"stderr": "ERROR: failed to solve: x\n", "exit": 1}));
    lab.write("work/hello", "fails");
    says(&lab, &lab.shared().commit(&"8".repeat(40)).run(), ["failed", "false", "false", "false"], &[]);
    is_the_pages(&table);
}

/// `v1` to `v5`, of which `v3` is refused.
fn half(lab: &Lab) -> BuildOnce<'_> {
    let tags: Vec<String> = (1..=5).map(|at| format!("{}:v{at}", lab.registry.repository())).collect();
    lab.registry.fault_on("PUT", "ci/manifests/v3", Response::error(403, "DENIED", "denied"));
    lab.shared().input("tags", &tags.join("\n"))
}

#[track_caller]
fn half_done(lab: &Lab, run: Run) -> Run {
    let run = run.fails(20, "access");
    for (tag, set) in [("v1", true), ("v2", true), ("v3", false), ("v4", true), ("v5", true)] {
        assert_eq!(lab.registry.digest(&format!("ci/{tag}")).is_some(), set, "{tag}");
    }
    let repository = lab.registry.repository();
    let said = run.error();
    assert!(
        said.contains(&format!("not set: {repository}:v3")) && said.contains(&format!("{repository}:v5; ")),
        "{said}"
    );
    run
}

/// D87, D93: on a build and on a hit.
#[test]
fn d93_one_tag_that_is_refused_takes_nothing_from_the_others() {
    let lab = Lab::new();
    let run = half_done(&lab, half(&lab).run());
    says(&lab, &run, ["failed", "true", "true", "false"], ALL);
    let lab = Lab::new();
    let _ = lab.shared().run().succeeds("built");
    let run = half_done(&lab, half(&lab).run());
    says(&lab, &run, ["failed", "false", "false", "false"], SHARED);
}

#[test]
fn d87_a_second_registry_that_refuses() {
    let lab = Lab::new();
    let run = lab.shared().input("tags", "127.0.0.1:9/elsewhere:v1").run();
    assert_ne!(run.code, 0);
    says(&lab, &run, ["failed", "true", "true", "false"], ALL);
}

/// D94: stopped while the layer cache was written.
#[test]
fn d94_a_push_is_noted_once_the_image_is_exported() {
    let lab = Lab::new();
    // The image is there, and buildx goes on with the cache.
    let key: Value = serde_json::from_str(&lab.build_once().args(&["key", "--json"]).run().stdout).unwrap();
    let key = key["key"].as_str().unwrap();
    let digest = lab.registry.put("another-name", Some(key));
    let cache = json!({
        "vertexes": [{"digest": "sha256:ca", "name": "exporting cache to registry", "started": "2026-01-01T00:00:04.0Z"}],
        "statuses": [{"id": format!("exporting manifest {digest}"), "vertex": "sha256:ca"}],
    });
    lab.rule("buildx build", json!({"stderr": format!("{PROGRESS}{cache}\n"), "hang": true, "times": 1}));
    let mut running = lab.shared().start();
    let _ = running.wait_for_call("buildx build");
    assert_eq!(lab.registry.put(&format!("sha-rf9d832d9-app-{HEAD}"), Some(key)), digest);
    std::thread::sleep(std::time::Duration::from_millis(300));
    running.signal(Signal::INT);
    let run = running.finish().fails(130, "cancelled");
    says(&lab, &run, ["failed", "true", "true", "false"], &["digest", "commit-tag"]);
    assert_eq!(run.output("digest"), digest);
    assert!(run.error().contains("writing the layer cache"), "{}", run.error());
    // The re-run sets the key's tag, so that the next commit finds it.
    let again = lab.shared().run().succeeds("reused-tag");
    says(&lab, &again, ["reused-tag", "false", "false", "false"], SHARED);
    assert_eq!(lab.registry.digest(&format!("ci/key-rf9d832d9-app-{}", &key[..32])), Some(digest));
    let _ = lab.shared().commit(OTHER).run().succeeds("reused-key");
}

#[test]
fn a_push_is_listed_once_although_its_layer_cache_failed() {
    let lab = Lab::new();
    let vertex = |rest: &Value| {
        let mut vertex = json!({"digest": "sha256:ca", "name": "exporting cache to registry", "started": "2026-01-01T00:00:04.0Z"});
        vertex.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        json!({"vertexes": [vertex]})
    };
    let text = "error writing layer blob: failed to reserve cache";
    let cache = [vertex(&json!({})), vertex(&json!({"completed": "2026-01-01T00:00:05.0Z", "error": text}))];
    let [began, failed] = cache;
    let stream = format!("{PROGRESS}{began}\n{failed}\nERROR: failed to build: failed to solve: {text}\n");
    // It publishes, and fails after that.
    lab.rule("buildx build", json!({"stderr": stream, "after": 1, "times": 1}));
    let run = lab.shared().run().succeeds("built");
    assert_eq!((run.output("pushed"), run.output("degraded")), ("true", "true"));
    let tags = run.summary.lines().find(|line| line.starts_with("| tags |")).unwrap();
    assert_eq!(tags.matches(run.output("commit-tag")).count(), 1, "{tags}");
}

/// D83: two matrix legs, one image name, one commit.
#[test]
fn d83_the_tag_that_is_handed_over_is_the_keys() {
    let lab = Lab::new();
    lab.write("work/Dockerfile", "FROM scratch\nARG LEG\nCOPY hello /${LEG}\n");
    let leg = |at: &str| lab.shared().input("build-args", &format!("LEG={at}")).run().succeeds("built");
    let (first, second) = (leg("1"), leg("2"));
    assert_ne!(first.output("tag"), second.output("tag"));
    assert_eq!(first.output("commit-tag"), second.output("commit-tag"));
    let of = |run: &Run| lab.registry.digest(&format!("ci/{}", run.output("tag")));
    assert_eq!(of(&first).as_deref(), Some(first.output("digest")));
    assert_eq!(of(&second).as_deref(), Some(second.output("digest")));
}
