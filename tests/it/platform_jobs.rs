//! Jobs for single platforms, a plan before them and a merge after them, as people write them, right and wrong.

use serde_json::{Value, json};

use crate::support::{BuildOnce, Lab, MERGE, Run};

const BOTH: &str = "linux/amd64,linux/arm64";
const TAG: &str = "sha-rf9d832d9-app-1111111111111111111111111111111111111111";

fn job<'a>(lab: &'a Lab, platforms: &str) -> BuildOnce<'a> {
    lab.shared().input("platforms", platforms)
}

fn merge(lab: &Lab) -> BuildOnce<'_> {
    job(lab, BOTH).input("mode", "merge")
}

fn plan<'a>(lab: &'a Lab, platforms: &str) -> BuildOnce<'a> {
    job(lab, platforms).input("mode", "plan")
}

fn json_of(run: &Run, output: &str) -> Value {
    serde_json::from_str(run.output(output)).unwrap_or_else(|_| panic!("{output}\n{}", run.all()))
}

/// The platforms of the jobs that a plan asks for.
fn jobs(run: &Run) -> Vec<String> {
    let matrix = json_of(run, "matrix");
    matrix.as_array().unwrap().iter().map(|job| job["platform"].as_str().unwrap().to_owned()).collect()
}

/// The digests that an index lists. `name`: as in `ci/<tag>`.
fn lines(lab: &Lab, name: &str) -> Vec<String> {
    let index = lab.registry.manifest(name).unwrap();
    let lines = index["manifests"].as_array().unwrap_or_else(|| panic!("{index}"));
    lines.iter().map(|line| line["digest"].as_str().unwrap().to_owned()).collect()
}

/// With a repository of its own for pull requests.
fn split<'a>(lab: &'a Lab, program: BuildOnce<'a>, home: &str) -> BuildOnce<'a> {
    lab.registry.let_push();
    lab.registry.let_mount();
    program.input("pr-repository", home)
}

#[test]
fn a_platform_has_one_job_in_whatever_spellings_it_is_named() {
    let lab = Lab::new();
    let spellings = "linux/arm64/v8, linux/x86_64\nLinux/aarch64,linux/amd64,linux/arm64";
    let run = plan(&lab, spellings).input("runners", "linux/arm64/8=arm\nlinux/x86-64=big").run();
    let run = run.succeeds("missing");
    assert_eq!(jobs(&run), ["linux/arm64", "linux/amd64"]);
    assert_eq!(json_of(&run, "matrix")[0]["runs-on"], "arm");
    assert_eq!(json_of(&run, "matrix")[1]["runs-on"], "big");
    let both = job(&lab, spellings).run().succeeds("built");
    assert_eq!(both.build().values("--platform"), ["linux/arm64,linux/amd64"]);
    let other = job(&lab, BOTH).run().succeeds("reused-tag");
    assert_eq!(other.output("key"), both.output("key"));
    // Twice the same one is one.
    let twice = job(&lab, "linux/arm64,linux/arm64/v8").run().succeeds("reused-key");
    let once = job(&lab, "linux/aarch64").run().succeeds("reused-tag");
    assert_eq!(twice.output("key"), once.output("key"));
    assert_eq!(twice.output("commit-tag"), TAG.replace("app-", "app._linux-arm64-"));
    let run = job(&lab, "linux/arm64,linux/arm64/v8").input("mode", "merge").run().fails(2, "input");
    assert!(run.error().contains("needs several platforms with mode merge"), "{}", run.error());
    for text in ["arm64", "linux", "linux/arm64/v8/x", "linux arm64"] {
        for mode in ["plan", "build", "merge", "pull"] {
            let run = job(&lab, text).input("mode", mode).run().fails(2, "input");
            assert!(run.error().contains("is not a platform: expected os/architecture"), "{}", run.error());
        }
    }
}

#[test]
fn runners_of_platforms_that_no_image_has_are_refused() {
    let lab = Lab::new();
    let run = lab.shared().input("mode", "plan").input("runners", "linux/s390x=z").run().fails(2, "input");
    assert!(run.error().contains("no image of this run is built for linux/s390x"), "{}", run.error());
    for (line, said) in [("ubuntu-24.04-arm", "has no `=`"), ("=arm", "is not a platform")] {
        let run = plan(&lab, BOTH).input("runners", line).run().fails(2, "input");
        assert!(run.error().contains(said), "{}", run.error());
    }
}

/// The row of an empty matrix: GitHub hands over empty texts.
#[test]
fn a_row_without_an_image_is_refused() {
    let lab = Lab::new();
    let run = lab.shared().input("image", "").input("platforms", "").run().fails(2, "input");
    assert!(run.error().contains("image"), "{}", run.error());
    let run = merge(&lab).input("platforms", "").run().fails(2, "input");
    assert!(run.error().contains("needs several platforms with mode merge"), "{}", run.error());
}

/// A row of the plan's matrix is all that another workflow needs.
#[test]
fn a_row_of_the_matrix_builds_once_wherever_it_is_used() {
    let lab = Lab::new();
    let rows = json_of(&plan(&lab, BOTH).run().succeeds("missing"), "matrix");
    for row in rows.as_array().unwrap() {
        let of_row = || {
            let text = |name: &str| row[name].as_str().unwrap().to_owned();
            lab.shared().input("image", &text("image")).input("platforms", &text("platform"))
        };
        let built = of_row().run().succeeds("built");
        let again = of_row().env("GITHUB_WORKFLOW", "nightly").commit(&"7".repeat(40)).run();
        let again = again.succeeds("reused-key");
        assert_eq!(again.output("digest"), built.output("digest"));
    }
    let _ = merge(&lab).run().succeeds("merged");
    assert_eq!(plan(&lab, BOTH).run().succeeds("reused-tag").output("matrix"), "[]");
    // The plan of one platform knows it too, and needs no merge.
    assert_eq!(plan(&lab, "linux/arm64").run().succeeds("reused-tag").output("missing"), "[]");
}

#[test]
fn a_merge_that_may_not_publish_uses_what_is_there() {
    let lab = Lab::new();
    let fork = || merge(&lab).fork();
    let _ = job(&lab, "linux/amd64").run().succeeds("built");
    // It does not wait for what it could not use.
    let run = fork().run().fails(20, "access");
    assert!(run.error().contains("this run may not publish"), "{}", run.error());
    let _ = job(&lab, "linux/arm64").run().succeeds("built");
    let _ = fork().run().fails(20, "access");
    let merged = merge(&lab).run().succeeds("merged");
    let tags = lab.registry.tags();
    lab.without_docker();
    let run = fork().run().succeeds("reused-tag");
    assert_eq!((run.output("digest"), run.output("pushed")), (merged.output("digest"), "false"));
    assert_eq!(lab.registry.tags(), tags);
}

#[test]
fn platforms_that_are_built_again_are_merged_again() {
    let lab = Lab::new();
    let parts = || BOTH.split(',').map(|platform| job(&lab, platform));
    for part in parts() {
        let _ = part.run().succeeds("built");
    }
    let first = merge(&lab).run().succeeds("merged");
    // Of the same key, and another image.
    let again =
        |part: BuildOnce<'_>| part.input("rebuild", "true").input("annotations", "time=another").run();
    let built: Vec<Run> = parts().map(|part| again(part).succeeds("built")).collect();
    assert!(
        built.iter().all(|own| !lines(&lab, &format!("ci/{TAG}")).contains(&own.output("digest").to_owned()))
    );
    // Without it the merge finds the image from before.
    let _ = merge(&lab).run().succeeds("reused-tag");
    let merged = merge(&lab).input("rebuild", "true").run().succeeds("merged");
    assert_eq!(merged.output("key"), first.output("key"));
    assert_ne!(merged.output("digest"), first.output("digest"));
    let digests: Vec<&str> = built.iter().map(|own| own.output("digest")).collect();
    assert_eq!(lines(&lab, &format!("ci/{TAG}")), digests);
    for tag in [TAG, merged.output("tag")] {
        assert_eq!(
            lab.registry.digest(&format!("ci/{tag}")).as_deref(),
            Some(merged.output("digest")),
            "{tag}"
        );
    }
    let again = merge(&lab).input("rebuild", "true").run().succeeds("merged");
    assert_eq!((again.output("digest"), again.output("pushed")), (merged.output("digest"), "false"));
    let digests = format!("linux/amd64={}", built[0].output("digest"));
    let run = merge(&lab).input("digests", &digests).input("rebuild", "true").run().fails(2, "input");
    assert!(run.error().contains("a merge of platforms by their keys"), "{}", run.error());
}

/// Both find no index, and both write one.
#[test]
fn two_merges_at_once_make_one_index() {
    let lab = Lab::new();
    for platform in BOTH.split(',') {
        let _ = job(&lab, platform).run().succeeds("built");
    }
    // None of them waits for the other one.
    let plan: Value = serde_json::from_str(&merge(&lab).args(&["plan", "--json"]).run().stdout).unwrap();
    let steps = plan["steps"].as_array().unwrap_or_else(|| panic!("{plan:#}"));
    let tag = steps.iter().find(|step| step["step"] == "set-key-tag");
    assert_eq!(tag.map(|step| &step["guard"]), Some(&json!("unless-same-index")), "{plan:#}");
    let (one, two) = ("7".repeat(40), "8".repeat(40));
    let other = merge(&lab).commit(&one).beside_another().start();
    let own = merge(&lab).commit(&two).run();
    assert_eq!((own.code, other.finish_unchecked().code), (0, 0), "{}", own.all());
    for tag in
        [TAG.replace(&"1".repeat(40), &one), TAG.replace(&"1".repeat(40), &two), own.output("tag").to_owned()]
    {
        assert_eq!(lab.registry.digest(&format!("ci/{tag}")).as_deref(), Some(own.output("digest")), "{tag}");
    }
}

/// What is trusted is in another repository, and an index names images of its own.
#[test]
fn a_pull_requests_own_repository_gets_a_copy_of_the_trusted_platform() {
    let lab = Lab::new();
    let home = format!("{}/pr", lab.registry.repository());
    let trusted = split(&lab, job(&lab, "linux/amd64"), &home).commit(MERGE).run().succeeds("built");
    let run = split(&lab, plan(&lab, BOTH), &home).pull_request(12).run().succeeds("missing");
    assert_eq!(jobs(&run), ["linux/arm64"]);
    let own = split(&lab, job(&lab, "linux/arm64"), &home).pull_request(12).run().succeeds("built");
    let main = lab.registry.tags().into_iter().filter(|tag| !tag.starts_with("pr/")).collect::<Vec<_>>();
    let merged = split(&lab, merge(&lab), &home).pull_request(12).run().succeeds("merged");
    let index = format!("ci/pr/pr-12-{TAG}");
    assert_eq!(lines(&lab, &index), [trusted.output("digest"), own.output("digest")]);
    let copy = lab.registry.manifest(&format!("ci/pr/{}", trusted.output("digest"))).unwrap();
    let config = copy["config"]["digest"].as_str().unwrap();
    assert!(lab.registry.holds(&format!("ci/pr/{config}")));
    assert!(merged.all().contains("copied to"), "{}", merged.all());
    // Nothing but the index got a name, and nothing was written where trusted runs read.
    let left: Vec<String> = lab.registry.tags().into_iter().filter(|tag| !tag.starts_with("pr/")).collect();
    assert_eq!(left, main);
    let again = split(&lab, merge(&lab), &home).pull_request(12).run().succeeds("reused-tag");
    assert_eq!(again.output("digest"), merged.output("digest"));
}

/// The same in one job: the trusted platform is not built again.
#[test]
fn a_pull_requests_build_of_both_builds_the_missing_one() {
    let lab = Lab::new();
    let home = format!("{}/pr", lab.registry.repository());
    let trusted = split(&lab, job(&lab, "linux/amd64"), &home).commit(MERGE).run().succeeds("built");
    lab.forget_calls();
    let run = split(&lab, job(&lab, BOTH), &home).pull_request(12).run().succeeds("built");
    assert_eq!(run.build().values("--platform"), ["linux/arm64"]);
    let lines = lines(&lab, &format!("ci/pr/{}", run.output("digest")));
    assert!(lines.len() == 2 && lines[0] == trusted.output("digest"), "{lines:?}");
}

/// Its tag names something else, which no waiting changes.
#[test]
fn a_platform_whose_tag_is_taken_is_not_waited_for() {
    let lab = Lab::new();
    let _ = job(&lab, "linux/amd64").run().succeeds("built");
    let arm = job(&lab, "linux/arm64").run().succeeds("built");
    lab.registry.put(arm.output("tag"), Some(&"a".repeat(64)));
    let run = merge(&lab).run().fails(20, "access");
    assert!(run.error().contains("linux/arm64 is missing"), "{}", run.error());
    assert!(run.error().contains("names an image of another key"), "{}", run.error());
}

/// The size of an index is the sum of its images' sizes, for a build and for a merge. A run that finds the index does not
/// read its images, and tells no size.
#[test]
fn the_summary_has_the_size_of_an_index() {
    let lab = Lab::new();
    lab.write("work/Dockerfile.web", "FROM scratch\nCOPY hello /web\n");
    let web: &[&str] = &["--image", "web", "--file", "Dockerfile.web"];
    let two: &[&str] = &["--image", "app", "--platforms", BOTH];
    let size = |run: &Run| {
        let row = run.summary.lines().find(|line| line.starts_with("| <code>app</code>")).unwrap_or_default();
        row.trim_end_matches(" |").rsplit(" | ").next().unwrap_or_default().to_owned()
    };
    let built = lab.shared().images(&[two, web]).run().succeeds("built");
    let images = lines(&lab, &format!("ci/{TAG}")).into_iter().map(|digest| {
        let image = lab.registry.manifest(&format!("ci/{digest}")).unwrap();
        let layers = image["layers"].as_array().unwrap().iter();
        layers.chain([&image["config"]]).map(|part| part["size"].as_u64().unwrap()).sum::<u64>()
    });
    let whole = format!("{} B", images.sum::<u64>());
    assert_eq!(size(&built), whole, "{}", built.summary);
    assert_eq!(size(&lab.shared().images(&[two, web]).run().succeeds("reused-tag")), "");
    // Of one that is there and one that is built.
    let lab = Lab::new();
    lab.write("work/Dockerfile.web", "FROM scratch\nCOPY hello /web\n");
    let _ = job(&lab, "linux/arm64").run().succeeds("built");
    let joined = lab.shared().images(&[two, web]).run().succeeds("built");
    assert_eq!(size(&joined), whole, "{}", joined.summary);
}

/// A plan says what changed since the nearest earlier image, and reads no more images for that than it needs.
#[test]
fn a_plan_reads_the_nearest_earlier_image_alone() {
    let lab = Lab::new();
    let (older, old) = ("5".repeat(40), "6".repeat(40));
    for commit in [&older, &old] {
        let _ = job(&lab, "linux/arm64").commit(commit).run();
    }
    lab.git_is(&format!("case $* in *rev-list*) echo {old}; echo {older} ;; *) exit 128 ;; esac"));
    lab.write("work/hello", "changed");
    lab.registry.forget_requests();
    let run = plan(&lab, "linux/arm64").run().succeeds("missing");
    assert!(run.output("reason").contains("`hello` changed"), "{}", run.output("reason"));
    let asked: Vec<String> = lab
        .registry
        .asked()
        .into_iter()
        .filter(|asked| asked.contains(&old) || asked.contains(&older))
        .collect();
    assert_eq!(asked, [format!("GET ci/manifests/sha-rf9d832d9-app._linux-arm64-{old}")]);
    assert_eq!(
        run.output("matrix"),
        json!([{"image": "app", "platform": "linux/arm64", "runs-on": "ubuntu-latest"}]).to_string()
    );
}

#[test]
fn platforms_that_are_missing_are_built_side_by_side() {
    let lab = Lab::new();
    let all = "linux/amd64,linux/arm64,linux/s390x";
    let there = job(&lab, "linux/arm64").run().succeeds("built");
    let run = job(&lab, all).run().succeeds("built");
    let listed = lines(&lab, &format!("ci/{TAG}"));
    assert!(listed.len() == 3 && listed[1] == there.output("digest"), "{listed:?}");
    let plan: Value = serde_json::from_slice(&std::fs::read(run.output("plan")).unwrap()).unwrap();
    let steps = plan["steps"].as_array().unwrap_or_else(|| panic!("{plan:#}"));
    let of = |kind: &str| -> Vec<&Value> { steps.iter().filter(|step| step["step"] == kind).collect() };
    let (builds, join) = (of("build"), of("join-index"));
    assert_eq!((builds.len(), join.len()), (2, 1), "{plan:#}");
    let waits = |step: &Value, other: &Value| {
        step["after"].as_array().is_some_and(|after| after.contains(&other["id"]))
    };
    assert!(!waits(builds[0], builds[1]) && !waits(builds[1], builds[0]), "{plan:#}");
}
