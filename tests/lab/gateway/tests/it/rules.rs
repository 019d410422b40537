//! Which requests a rule takes.

use lab_gateway::{Basic, Fault, Gateway, Rule};
use serde_json::json;

use crate::support::{Client, Upstream, config, full, request, ruled};

fn status(code: u16) -> Fault {
    serde_json::from_value(json!({"kind": "status", "code": code})).unwrap()
}

#[tokio::test]
async fn skip_then_times_then_the_next_rule() {
    let first = Rule { skip: 1, times: Some(2), ..Rule::new(status(500)) };
    let second = Rule { times: Some(2), ..Rule::new(status(502)) };
    let (_upstream, gateway, mut client) = ruled(vec![first, second]).await;
    let mut codes = vec![];
    for _ in 0..6 {
        codes.push(client.ask("GET", "/", "").await.status);
    }
    assert_eq!(codes, [502, 500, 500, 502, 201, 201]);
    let counts: Vec<_> = gateway.rules().iter().map(|r| (r.matched, r.applied)).collect();
    assert_eq!(counts, [(6, 2), (4, 2)]);
}

#[tokio::test]
async fn method_path_and_header_must_all_fit() {
    let rule = Rule {
        method: Some("PUT|patch".into()),
        path: Some(r"^/v2/[^/]+/blobs/.*\?digest=\d+$".into()),
        header: [("User-Agent".to_owned(), "(?i)^buildkit/".to_owned())].into(),
        ..Rule::new(status(500))
    };
    let (_upstream, _gateway, mut client) = ruled(vec![rule]).await;
    let mut code = async |method, path, agent: &'static str| {
        let mut request = request(method, path, full(""));
        request.headers_mut().insert("user-agent", agent.parse().unwrap());
        client.send(request).await.unwrap().status().as_u16()
    };
    assert_eq!(code("PUT", "/v2/a/blobs/x?digest=12", "BuildKit/1").await, 500);
    assert_eq!(code("PATCH", "/v2/a/blobs/x?digest=12", "buildkit/1").await, 500);
    assert_eq!(code("GET", "/v2/a/blobs/x?digest=12", "buildkit/1").await, 201);
    assert_eq!(code("PUT", "/v2/a/b/blobs/x?digest=12", "buildkit/1").await, 201);
    assert_eq!(code("PUT", "/v2/a/blobs/x?digest=12", "curl").await, 201);
}

#[tokio::test]
async fn attempts_without_credentials_cost_no_hit_unless_asked() {
    let upstream = Upstream::start().await;
    let mut config = config(&upstream);
    config.basic = Some(Basic::new("u", "p"));
    let gateway = Gateway::start(config).await.unwrap();
    let mut client = Client::connect(gateway.addr()).await;
    gateway.set_rules(vec![Rule { times: Some(1), ..Rule::new(status(500)) }]).unwrap();
    assert_eq!(client.ask("GET", "/v2/", "").await.status, 401);
    assert_eq!(gateway.rules()[0].matched, 0);
    gateway.set_rules(vec![Rule { before_auth: true, ..Rule::new(status(500)) }]).unwrap();
    assert_eq!(client.ask("GET", "/v2/", "").await.status, 500);
}

#[tokio::test]
async fn wrong_rules_are_refused_and_the_old_ones_stay() {
    let (_upstream, gateway, mut client) = ruled(vec![Rule::new(status(500))]).await;
    let wrong = [
        json!([{"path": "(", "fault": {"kind": "hang"}}]),
        json!([{"header": {"a b": "x"}, "fault": {"kind": "hang"}}]),
        json!([{"fault": {"kind": "status", "code": 42}}]),
        json!([{"fault": {"kind": "status", "code": 100}}]),
        json!([{"fault": {"kind": "swap_body", "base64": "%"}}]),
    ];
    for rules in wrong {
        let parsed: Vec<Rule> = serde_json::from_value(rules.clone()).unwrap();
        let why = gateway.set_rules(parsed).unwrap_err();
        assert!(why.starts_with("rule 0: "), "{rules}: {why}");
    }
    for rules in [
        json!([{"fault": {"kind": "nap"}}]),
        json!([{"fault": {"kind": "hang", "ms": 1}}]),
        json!([{"tims": 1, "fault": {"kind": "hang"}}]),
    ] {
        assert!(serde_json::from_value::<Vec<Rule>>(rules.clone()).is_err(), "{rules}");
    }
    assert_eq!(client.ask("GET", "/", "").await.status, 500);
}
