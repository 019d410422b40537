//! An image that is there is used as it is.

use crate::support::{HEAD, Lab};

#[test]
fn built_then_found_by_commit() {
    let lab = Lab::new();
    let built = lab.shared().run().succeeds("built");
    assert_eq!(built.output("pushed"), "true");
    let tags = lab.registry.tags();
    assert!(tags.contains(&format!("sha-app-{HEAD}")), "{tags:?}");
    lab.forget_calls();
    lab.registry.forget_requests();

    let hit = lab.shared().run().succeeds("reused-tag");
    assert_eq!(hit.output("digest"), built.output("digest"));
    assert_eq!(hit.output("built"), "false");
    assert!(hit.calls.is_empty(), "{:?}", hit.lines());
    assert_eq!(lab.registry.connections(), 1);
    assert_eq!(lab.registry.asked(), [format!("GET ci/manifests/sha-app-{HEAD}")]);
}
