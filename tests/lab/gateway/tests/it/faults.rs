//! Each fault does what it says, and the journal says that it did.

use std::time::{Duration, Instant};

use http_body_util::BodyExt as _;
use lab_gateway::Fault;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::support::{Answer, Client, Zeros, faulty, full, request};

#[tokio::test]
async fn status_answers_instead_of_the_upstream() {
    let fault = Fault::Status {
        code: 429,
        headers: [("retry-after".to_owned(), "3".to_owned())].into(),
        body: Some(json!({"errors": [{"code": "TOOMANYREQUESTS"}]})),
    };
    let (upstream, gateway, mut client) = faulty(fault).await;
    let body = Zeros { left: 5_000_000, sized: true }.boxed_unsync();
    let answer = client.send(request("PUT", "/v2/a/blobs/uploads/1", body)).await.unwrap();
    let answer = Answer::read(answer).await.unwrap();
    assert_eq!((answer.status, &answer.headers["retry-after"]), (429, &"3".parse().unwrap()));
    assert_eq!(answer.text(), r#"{"errors":[{"code":"TOOMANYREQUESTS"}]}"#);
    assert_eq!(answer.headers["content-type"], "application/json");
    assert!(upstream.seen().is_empty());
    let entry = &gateway.journal()[0];
    assert_eq!((entry.status, entry.fault.as_deref()), (Some(429), Some("status")));
    assert_eq!((entry.upstream_status, entry.request_bytes), (None, 5_000_000));
    // Told after a whole body, the client can go on with the same connection.
    assert_eq!(client.ask("HEAD", "/", "").await.status, 429);
    assert_eq!(gateway.journal()[1].connection, entry.connection);
}

#[tokio::test]
async fn delay_waits_then_forwards() {
    let (_upstream, _gateway, mut client) = faulty(Fault::Delay { ms: 200 }).await;
    let start = Instant::now();
    assert_eq!(client.ask("GET", "/", "").await.text(), "hello");
    assert!(start.elapsed() >= Duration::from_millis(200));
}

#[tokio::test]
async fn hang_never_answers() {
    let (upstream, gateway, mut client) = faulty(Fault::Hang {}).await;
    let answer = client.ask("PUT", "/", "x");
    assert!(timeout(Duration::from_millis(300), answer).await.is_err());
    assert!(upstream.seen().is_empty());
    assert_eq!((gateway.journal()[0].status, gateway.journal()[0].took_ms), (None, None));
    drop(client);
    sleep(Duration::from_millis(100)).await;
    assert!(gateway.journal()[0].took_ms.is_some(), "over once the client has gone");
}

#[tokio::test]
async fn reset_is_a_real_one() {
    let (upstream, gateway, _client) = faulty(Fault::Reset {}).await;
    let mut raw = TcpStream::connect(gateway.addr()).await.unwrap();
    raw.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let error = raw.read(&mut [0; 64]).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    assert!(upstream.seen().is_empty());
    assert_eq!(gateway.journal()[0].fault.as_deref(), Some("reset"));
}

#[tokio::test]
async fn cut_request_stops_both_sides_in_mid_upload() {
    let (upstream, gateway, mut client) = faulty(Fault::CutRequest { after_bytes: 300_000 }).await;
    let body = Zeros { left: 5_000_000, sized: true }.boxed_unsync();
    client.send(request("PATCH", "/v2/u", body)).await.unwrap_err();
    sleep(Duration::from_millis(100)).await;
    let seen = upstream.seen();
    assert_eq!((seen[0].bytes, seen[0].whole), (300_000, false));
    assert_eq!(gateway.journal()[0].status, None);
    // A shorter one passes.
    let mut client = Client::connect(gateway.addr()).await;
    assert_eq!(client.ask("PATCH", "/v2/u", "short").await.status, 201);
}

#[tokio::test]
async fn cut_response_closes_in_mid_answer() {
    for path in ["/blob/1000000", "/chunked/1000000"] {
        let (_upstream, gateway, mut client) = faulty(Fault::CutResponse { after_bytes: 100_000 }).await;
        let response = client.send(request("GET", path, full(""))).await.unwrap();
        let (mut body, mut bytes) = (response.into_body(), 0);
        let end = loop {
            match body.frame().await {
                Some(Ok(frame)) => bytes += frame.data_ref().map_or(0, bytes::Bytes::len),
                end => break end,
            }
        };
        assert!(matches!(end, Some(Err(_))), "{path}");
        assert_eq!(bytes, 100_000, "{path}");
        assert_eq!(gateway.journal()[0].response_bytes, 100_000, "{path}");
    }
}

#[tokio::test]
async fn drop_after_commit_keeps_the_answer_to_itself() {
    let (upstream, gateway, mut client) = faulty(Fault::DropAfterCommit {}).await;
    let error = client.send(request("PUT", "/v2/a/manifests/t", full("12345"))).await.unwrap_err();
    assert!(error.is_incomplete_message(), "{error}");
    assert_eq!((upstream.seen()[0].bytes, upstream.seen()[0].whole), (5, true));
    let entry = &gateway.journal()[0];
    assert_eq!((entry.status, entry.upstream_status), (None, Some(201)));
}

#[tokio::test]
async fn swap_body_keeps_the_digest() {
    let fault = Fault::SwapBody { body: None, base64: Some("AAEC".into()) };
    let (_upstream, _gateway, mut client) = faulty(fault).await;
    let answer = client.ask("GET", "/blob/9000", "").await;
    assert_eq!((answer.status, &answer.body[..]), (200, &[0, 1, 2][..]));
    assert_eq!(answer.headers["content-length"], "3");
    assert_eq!(answer.headers["docker-content-digest"], "sha256:abc");
}

#[tokio::test]
async fn truncate_body_is_well_formed() {
    let (_upstream, gateway, mut client) = faulty(Fault::TruncateBody { bytes: 10 }).await;
    let answer = client.ask("GET", "/blob/9000", "").await;
    assert_eq!((answer.body.len(), &answer.headers["content-length"]), (10, &"10".parse().unwrap()));
    assert_eq!(client.ask("GET", "/chunked/9000", "").await.body.len(), 10);
    assert_eq!(client.ask("GET", "/blob/4", "").await.body.len(), 4);
    assert_eq!(gateway.journal()[2].connection, gateway.journal()[0].connection);
}

#[tokio::test]
async fn hide_is_for_a_while_and_per_path() {
    let (_upstream, gateway, mut client) = faulty(Fault::Hide { ms: 300 }).await;
    let hidden = client.ask("GET", "/v2/a/manifests/t", "").await;
    assert_eq!(hidden.status, 404);
    assert!(hidden.text().contains("MANIFEST_UNKNOWN"));
    sleep(Duration::from_millis(350)).await;
    assert_eq!(client.ask("GET", "/v2/a/manifests/t", "").await.status, 201);
    assert_eq!(client.ask("HEAD", "/v2/a/blobs/x", "").await.status, 404);
    assert_eq!((gateway.rules()[0].matched, gateway.rules()[0].applied), (3, 2));
}

#[tokio::test]
async fn throttle_slows_both_ways() {
    let (_upstream, _gateway, mut client) = faulty(Fault::Throttle { bytes_per_second: 100_000 }).await;
    let start = Instant::now();
    assert_eq!(client.ask("GET", "/blob/30000", "").await.body.len(), 30_000);
    assert!(start.elapsed() >= Duration::from_millis(250));
    let start = Instant::now();
    let body = Zeros { left: 30_000, sized: true }.boxed_unsync();
    client.send(request("PUT", "/", body)).await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(250));
}

#[tokio::test]
async fn expire_auth_lasts_until_credentials_are_renewed() {
    let fault = Fault::ExpireAuth { after_ms: 150, code: 403, body: None };
    let (_upstream, _gateway, mut client) = faulty(fault).await;
    assert_eq!(client.ask("GET", "/v2/", "").await.status, 201);
    sleep(Duration::from_millis(200)).await;
    let refused = client.ask("GET", "/v2/", "").await;
    assert_eq!(refused.status, 403);
    assert!(refused.text().contains("authorization token has expired"));

    let mut renewal = request("POST", "/", full("{}"));
    let target = "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken";
    renewal.headers_mut().insert("x-amz-target", target.parse().unwrap());
    let renewed = client.send(renewal).await.unwrap();
    assert_eq!(renewed.status(), 201);
    renewed.collect().await.unwrap();
    assert_eq!(client.ask("GET", "/v2/", "").await.status, 201);
    sleep(Duration::from_millis(200)).await;
    assert_eq!(client.ask("GET", "/v2/", "").await.status, 403);
}
