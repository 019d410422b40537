//! Base images that arrive broken: a fresh builder fetches them through the gateway.

use serde_json::{Value, json};

use crate::engines::{classic, no_classic};
use crate::harness::{Program, Repository, Rules, Workspace, lab, rule};

/// F13 and F14: a layer that is cut short is fetched again; one with other bytes is refused,
/// and nothing made from it is published.
#[test]
fn a_base_layer_that_is_cut_or_swapped() {
    if no_classic() {
        return;
    }
    let classic = classic();
    let (base, repository) = (Workspace::new("broken-base"), Repository::ecr("broken-base"));
    base.write("content.txt", &"some text of the base\n".repeat(4000));
    base.commit("of some size");
    let digest = base.program().repository(&repository).run().is("built").output("digest").to_owned();
    let layers = repository.image(&digest).unwrap().manifest["layers"].clone();
    // The one that COPY made; another base's layer may be anywhere already.
    let layer = &layers[layers.as_array().unwrap().len() - 2];
    let size = usize::try_from(layer["size"].as_u64().unwrap()).unwrap();
    let path = format!("blobs/{}", layer["digest"].as_str().unwrap());

    let work = Workspace::new("on-broken-base");
    work.write(
        "Dockerfile",
        &format!(
            "FROM {}@{digest}\nCOPY content.txt /content.txt\nRUN --network=none true\n",
            repository.name()
        ),
    );
    work.commit("on the base");
    let target = Repository::ecr("on-broken-base");
    // Each run has a builder of its own, which has no layer yet.
    let program = || -> Program<'_> {
        let program = work.program().repository(&target).engine(classic).input("driver-opts", "network=host");
        let program = program.input("build-args", "").input("cache", "none").input("provenance", "true");
        program.input("buildkit-image", lab().get("BUILD_ONCE_LAB_BUILDKIT_IMAGE"))
    };
    let fault = |times: Option<u64>, fault: &Value| rule("GET", &repository.path, &path, times, fault);
    let rules = Rules::set(&[fault(None, &json!({"kind": "swap_body", "body": "x".repeat(size)}))]);
    let refused = program().input("retries", "1").run();
    assert!(rules.applied()[0] > 0, "{}", refused.log);
    let refused = refused.failed(40, "integrity");
    assert!(refused.annotations("error")[0].contains("sha256:"), "{}", refused.log);
    assert!(target.tags().is_empty(), "{:?}", target.tags());

    rules.replace(&[fault(Some(1), &json!({"kind": "cut_response", "after_bytes": 100}))]);
    let built = program().run().is("built");
    assert_eq!(rules.applied(), [1]);
    assert!(target.image(built.output("digest")).is_some());
}
