//! Big bodies pass through without being held: memory stays bounded. One test, because
//! the whole process is measured.
#![forbid(unsafe_code)]

mod support;

use http_body_util::BodyExt as _;
use support::{Zeros, full, request, ruled};

const BLOB: u64 = 50 << 20;
/// For gateway, upstream and client together.
const ALLOWED_KIB: u64 = 24 << 10;

/// The most memory this process ever had, in KiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn fifty_megabytes_each_way() {
    let (upstream, gateway, mut client) = ruled(vec![]).await;
    client.ask("GET", "/blob/1000000", "").await;
    let before = peak();

    for sized in [true, false] {
        let body = Zeros { left: BLOB, sized }.boxed_unsync();
        let stored = client.send(request("PUT", "/v2/u", body)).await.unwrap();
        assert_eq!(stored.status(), 201);
        stored.collect().await.unwrap();
    }
    for path in [format!("/blob/{BLOB}"), format!("/chunked/{BLOB}")] {
        let mut body = client.send(request("GET", &path, full(""))).await.unwrap().into_body();
        let mut bytes = 0;
        while let Some(frame) = body.frame().await {
            bytes += frame.unwrap().data_ref().map_or(0, |data| data.len() as u64);
        }
        assert_eq!(bytes, BLOB);
    }

    let grown = peak() - before;
    assert!(grown < ALLOWED_KIB, "grew by {grown} KiB");
    assert!(upstream.seen()[1..3].iter().all(|seen| seen.bytes == BLOB && seen.whole));
    let journal = gateway.journal();
    assert_eq!((journal[1].request_bytes, journal[3].response_bytes), (BLOB, BLOB));
    assert!(journal.iter().all(|entry| entry.connection == journal[0].connection));
}
