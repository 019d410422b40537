//! What is done before a plan is executed only reads.

use serde_json::json;

use crate::support::{BuildOnce, Lab, Login};

/// Commands of docker that only look.
const READS: [&str; 8] = [
    "buildx version",
    "buildx inspect",
    "buildx ls",
    "container ls",
    "volume ls",
    "info",
    "image ls",
    "image inspect",
];

/// D24: `plan` in every zone, with and without a repository for pull requests, and with each `push`, for an image that
/// is missing, one that is there, and one that is pulled: what arrives at docker and at the registry only asks.
#[test]
fn d24_a_plan_asks_and_nothing_else() {
    type Zone = (&'static str, fn(BuildOnce<'_>) -> BuildOnce<'_>);
    let zones: [Zone; 6] = [
        ("trusted", |program| program.push_to("main")),
        ("branch", |program| program.push_to("work")),
        ("queue", |program| {
            program.fixture("merge_group", "refs/heads/gh-readonly-queue/main/pr-1", "merge-group", |_| {})
        }),
        ("pr", |program| program.pull_request(12)),
        ("fork", |program| program.fork()),
        ("local", |program| program.outside_github()),
    ];
    let mut plans = 0;
    for (zone, of_zone) in zones {
        for pr_repository in [false, true] {
            for push in ["auto", "true", "false"] {
                for there in [false, true] {
                    let lab = Lab::new();
                    lab.registry.let_push();
                    lab.registry.require(Login::Basic("ann", "word"));
                    lab.docker_config(
                        &json!({"auths": {lab.registry.address(): {"username": "ann", "password": "word"}}}),
                    );
                    // A plan that boots its own builder has the most to write.
                    lab.set("containerd", there);
                    if there {
                        let _ = lab.shared().run().succeeds("built");
                        lab.forget_calls();
                        lab.registry.forget_requests();
                    }
                    let mut program = of_zone(lab.shared()).input("push", push).args(&["plan"]);
                    if pr_repository {
                        let other = lab.registry.repository().replace("/ci", "/pr");
                        program = program.input("pr-repository", &other);
                    }
                    let run = program.run();
                    let what = format!("{zone}, pr-repository {pr_repository}, push {push}, there {there}");
                    plans += usize::from(run.code == 0);
                    for call in &run.calls {
                        assert!(
                            READS.iter().any(|read| call.line().starts_with(read)),
                            "{what}: docker {}",
                            call.line()
                        );
                        assert!(!call.has("--bootstrap"), "{what}: docker {}", call.line());
                    }
                    for asked in lab.registry.asked() {
                        assert!(asked.starts_with("GET ") || asked.starts_with("HEAD "), "{what}: {asked}");
                    }
                }
            }
        }
    }
    assert!(plans >= 48, "most of them are plans: {plans}");
}
