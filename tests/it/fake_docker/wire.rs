//! The stub registry's control calls, over HTTP without a client.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::OnceLock;

use serde_json::Value;

/// The addresses of hosts that the stub stands in for.
static HOSTS: OnceLock<Value> = OnceLock::new();

/// Takes the addresses of such hosts, by their names.
pub(crate) fn stand_in(hosts: &Value) {
    HOSTS.set(hosts.clone()).unwrap();
}

/// The stub's address, if the reference's host is the stub or one that it stands in for.
pub(crate) fn stub(reference: &str) -> Option<&str> {
    let host = reference.split('/').next()?;
    let elsewhere = HOSTS.get().and_then(|hosts| hosts[host].as_str());
    elsewhere.or(Some(host).filter(|host| host.starts_with("127.0.0.1:")))
}

/// Posts to `host`; the answer if the status is 200, else the text of the refusal.
pub(crate) fn post(host: &str, path: &str, body: &Value) -> Result<Value, String> {
    let body = body.to_string();
    let mut stream = TcpStream::connect(host).map_err(|error| format!("dial tcp {host}: {error}"))?;
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream
        .write_all(head.as_bytes())
        .and_then(|()| stream.write_all(body.as_bytes()))
        .map_err(|e| e.to_string())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(|error| error.to_string())?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("unexpected EOF")?;
    if head.starts_with("HTTP/1.1 200") {
        Ok(serde_json::from_str(body).unwrap_or_default())
    } else {
        Err(body.to_owned())
    }
}
