//! Without rules: everything passes, credentials are asked for, the journal tells it.

use lab_gateway::{Basic, Gateway};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{Client, Upstream, Zeros, config, full, request, ruled};
use http_body_util::BodyExt as _;

#[tokio::test]
async fn every_method_passes_with_its_host_and_body() {
    let (upstream, gateway, mut client) = ruled(vec![]).await;
    for method in ["GET", "POST", "PATCH", "PUT", "DELETE"] {
        let answer = client.ask(method, "/v2/a?x=1", "body").await;
        assert_eq!((answer.status, answer.text()), (201, "hello"), "{method}");
        assert_eq!(answer.headers["location"], "http://reg.example/v2/a/blobs/uploads/1?_state=x");
    }
    let seen = upstream.seen();
    assert_eq!(seen.len(), 5);
    assert!(seen.iter().all(|s| s.bytes == 4 && s.whole && s.path == "/v2/a?x=1"));
    assert!(seen.iter().all(|s| s.headers["host"] == "reg.example"));
    assert!(seen.iter().all(|s| s.headers["content-length"] == "4"));
    assert!(seen.iter().all(|s| s.headers["x-forwarded-proto"] == "http"));
    gateway.shutdown().await;
}

#[tokio::test]
async fn head_keeps_its_length_and_the_connection() {
    let (_upstream, gateway, mut client) = ruled(vec![]).await;
    let answer = client.ask("HEAD", "/blob/1234", "").await;
    assert_eq!((answer.status, answer.body.len()), (200, 0));
    assert_eq!(answer.headers["content-length"], "1234");
    assert_eq!(client.ask("GET", "/", "").await.text(), "hello");
    assert_eq!(gateway.journal()[1].connection, gateway.journal()[0].connection);
}

#[tokio::test]
async fn chunked_bodies_pass_both_ways() {
    let (upstream, _gateway, mut client) = ruled(vec![]).await;
    let body = Zeros { left: 100_000, sized: false }.boxed_unsync();
    let answer = client.send(request("PATCH", "/v2/u", body)).await.unwrap();
    assert_eq!(answer.status(), 201);
    answer.collect().await.unwrap();
    assert_eq!(upstream.seen()[0].bytes, 100_000);
    assert_eq!(upstream.seen()[0].headers["transfer-encoding"], "chunked");
    assert_eq!(client.ask("GET", "/chunked/70000", "").await.body.len(), 70_000);
}

#[tokio::test]
async fn the_client_is_told_to_continue() {
    let (upstream, gateway, _client) = ruled(vec![]).await;
    let mut raw = TcpStream::connect(gateway.addr()).await.unwrap();
    let head = "PUT /v2/x HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\nexpect: 100-continue\r\n\r\n";
    raw.write_all(head.as_bytes()).await.unwrap();
    let mut buffer = [0; 1024];
    let read = raw.read(&mut buffer).await.unwrap();
    assert!(buffer[..read].starts_with(b"HTTP/1.1 100 Continue"));
    raw.write_all(b"abc").await.unwrap();
    let read = raw.read(&mut buffer).await.unwrap();
    assert!(buffer[..read].starts_with(b"HTTP/1.1 201"));
    assert!(!upstream.seen()[0].headers.contains_key("expect"));
}

#[tokio::test]
async fn registry_paths_demand_the_credentials() {
    let upstream = Upstream::start().await;
    let mut config = config(&upstream);
    config.basic = Some(Basic::new("AWS", "tok:en"));
    let gateway = Gateway::start(config).await.unwrap();
    let mut client = Client::connect(gateway.addr()).await;

    let refused = client.ask("PUT", "/v2/", "a body nobody wants").await;
    assert_eq!(refused.status, 401);
    assert_eq!(refused.headers["www-authenticate"], "Basic realm=\"lab-gateway\"");
    assert!(refused.text().contains("\"UNAUTHORIZED\""));
    assert!(upstream.seen().is_empty());

    let with = |path, value: &str| {
        let mut request = request("GET", path, full(""));
        request.headers_mut().insert("authorization", value.parse().unwrap());
        request
    };
    let wrong = client.send(with("/v2/", "Basic QVdTOm5v")).await.unwrap();
    assert_eq!(wrong.status(), 401);
    wrong.collect().await.unwrap();
    let right = client.send(with("/v2/", "basic QVdTOnRvazplbg==")).await.unwrap();
    assert_eq!(right.status(), 201);
    right.collect().await.unwrap();
    let signed = client.send(with("/", "AWS4-HMAC-SHA256 x")).await.unwrap();
    assert_eq!(signed.status(), 201);

    let seen = upstream.seen();
    assert!(!seen[0].headers.contains_key("authorization"), "checked here, not passed on");
    assert_eq!(seen[1].headers["authorization"], "AWS4-HMAC-SHA256 x");
    let auth: Vec<bool> = gateway.journal().iter().map(|entry| entry.had_auth).collect();
    assert_eq!(auth, [false, true, true, true]);
    assert!(!serde_json::to_string(&gateway.journal()).unwrap().contains("QVdT"));
}

#[tokio::test]
async fn without_upstream_there_is_a_502() {
    let (upstream, gateway, _) = ruled(vec![]).await;
    // A port that was free a moment ago.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = config(&upstream);
    config.upstream = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    drop(gateway);
    let gateway = Gateway::start(config).await.unwrap();
    let answer = Client::connect(gateway.addr()).await.ask("GET", "/v2/", "").await;
    assert_eq!(answer.status, 502);
    assert!(answer.text().contains("refused"), "{}", answer.text());
}

#[tokio::test]
async fn the_journal_tells_what_happened() {
    let (_upstream, gateway, mut client) = ruled(vec![]).await;
    client.ask("PUT", "/v2/a/manifests/t?x=1", "12345").await;
    client.ask("GET", "/blob/70000", "").await;
    let mut other = Client::connect(gateway.addr()).await;
    other.ask("GET", "/", "").await;

    let journal = gateway.journal();
    assert_eq!(journal.iter().map(|e| e.seq).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!((journal[0].method.as_str(), journal[0].path.as_str()), ("PUT", "/v2/a/manifests/t?x=1"));
    assert_eq!((journal[0].status, journal[0].upstream_status), (Some(201), Some(201)));
    assert_eq!((journal[0].request_bytes, journal[0].response_bytes), (5, 5));
    assert_eq!((journal[1].request_bytes, journal[1].response_bytes), (0, 70_000));
    assert_eq!(journal[0].connection, journal[1].connection);
    assert_ne!(journal[0].connection, journal[2].connection);
    assert!(journal[0].fault.is_none() && !journal[0].had_auth);
    assert!(journal[0].took_ms.is_some());

    gateway.clear_journal();
    client.ask("GET", "/", "").await;
    assert_eq!(gateway.journal().iter().map(|e| e.seq).collect::<Vec<_>>(), [4]);
}
