//! The control API as scripts use it.

use lab_gateway::{Gateway, Handle};
use serde_json::{Value, json};

use crate::support::{Client, Upstream, config};

/// A gateway with its control API, and a client of each.
async fn start() -> (Upstream, Handle, Client, Client) {
    let upstream = Upstream::start().await;
    let mut config = config(&upstream);
    config.control = Some("127.0.0.1:0".parse().unwrap());
    let gateway = Gateway::start(config).await.unwrap();
    let control = Client::connect(gateway.control_addr().unwrap()).await;
    let client = Client::connect(gateway.addr()).await;
    (upstream, gateway, control, client)
}

#[tokio::test]
async fn rules_and_journal_over_http() {
    let (_upstream, gateway, mut control, mut client) = start().await;

    assert_eq!(control.ask("GET", "/healthz", "").await.text(), "ok\n");
    let rules = json!([
        {"method": "PUT", "path": "/manifests/", "times": 1, "fault": {"kind": "drop_after_commit"}},
        {"path": "^/x", "fault": {"kind": "status", "code": 404, "body": "gone"}},
    ]);
    assert_eq!(control.ask("PUT", "/rules", &rules.to_string()).await.status, 204);
    assert_eq!(client.ask("GET", "/x?y", "").await.text(), "gone");

    let listed: Value = serde_json::from_slice(&control.ask("GET", "/rules", "").await.body).unwrap();
    assert_eq!((&listed[1]["applied"], &listed[1]["matched"]), (&json!(1), &json!(1)));
    assert_eq!(listed[0]["fault"], json!({"kind": "drop_after_commit"}));
    assert_eq!((&listed[0]["times"], &listed[0]["applied"]), (&json!(1), &json!(0)));

    let journal: Value = serde_json::from_slice(&control.ask("GET", "/journal", "").await.body).unwrap();
    assert_eq!(journal.as_array().unwrap().len(), 1);
    assert_eq!((&journal[0]["path"], &journal[0]["fault"]), (&json!("/x?y"), &json!("status")));
    assert_eq!(control.ask("DELETE", "/journal", "").await.status, 204);
    assert_eq!(control.ask("GET", "/journal", "").await.text(), "[]");

    let refused = control.ask("PUT", "/rules", r#"[{"path": "(", "fault": {"kind": "reset"}}]"#).await;
    assert_eq!(refused.status, 400);
    assert!(refused.text().starts_with("rule 0: ("), "{}", refused.text());
    assert_eq!(control.ask("DELETE", "/rules", "").await.status, 204);
    assert_eq!(client.ask("GET", "/x", "").await.status, 201);
    assert_eq!(control.ask("GET", "/nope", "").await.status, 404);

    let addr = gateway.addr();
    gateway.shutdown().await;
    assert!(tokio::net::TcpStream::connect(addr).await.is_err());
}

#[tokio::test]
async fn sets_of_rules_do_not_touch_each_other() {
    let (_upstream, _gateway, mut control, mut client) = start().await;

    for (set, path) in [("/rules/a", "^/a/"), ("/rules/b", "^/b/"), ("/rules", "^/c/")] {
        let rules = json!([{"path": path, "fault": {"kind": "status", "code": 404, "body": set}}]);
        assert_eq!(control.ask("PUT", set, &rules.to_string()).await.status, 204);
    }
    assert_eq!(client.ask("GET", "/a/x", "").await.text(), "/rules/a");
    assert_eq!(client.ask("GET", "/c/x", "").await.text(), "/rules");
    let mut applied: Vec<u64> = Vec::new();
    for set in ["/rules/a", "/rules/b", "/rules", "/rules/none"] {
        let listed: Value = serde_json::from_slice(&control.ask("GET", set, "").await.body).unwrap();
        applied.push(listed.as_array().unwrap().iter().map(|rule| rule["applied"].as_u64().unwrap()).sum());
    }
    assert_eq!(applied, [1, 0, 1, 0]);

    assert_eq!(control.ask("PUT", "/rules/a", "[]").await.status, 204);
    assert_eq!(control.ask("DELETE", "/rules", "").await.status, 204);
    assert_eq!(client.ask("GET", "/a/x", "").await.status, 201);
    assert_eq!(client.ask("GET", "/c/x", "").await.status, 201);
    assert_eq!(client.ask("GET", "/b/x", "").await.text(), "/rules/b");
    assert_eq!(control.ask("GET", "/rulesets", "").await.status, 404);
}
