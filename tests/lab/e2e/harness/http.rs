//! Plain HTTP, one request at a time.

use reqwest::{Client, Method};
use serde_json::Value;

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub content_type: String,
    pub body: Vec<u8>,
}

impl Answer {
    /// Its body.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }
}

/// One request; a panic if there is no answer.
pub fn request(method: &str, url: &str, headers: &[(&str, &str)], body: Option<Vec<u8>>) -> Answer {
    try_request(method, url, headers, body).unwrap_or_else(|error| panic!("{method} {url}: {error}"))
}

/// One request.
pub fn try_request(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: Option<Vec<u8>>,
) -> Result<Answer, String> {
    send(&Client::new(), method, url, headers, body)
}

/// One request to an engine, by its `unix://` address. A process of docker's for each would cost ten times as much.
pub fn ask_engine(host: &str, method: &str, path: &str) -> Result<Answer, String> {
    let socket = host.strip_prefix("unix://").ok_or("no socket")?;
    let client = Client::builder().unix_socket(socket).build().unwrap();
    send(&client, method, &format!("http://engine/v1.44{path}"), &[], None)
}

fn send(
    client: &Client,
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: Option<Vec<u8>>,
) -> Result<Answer, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let send = async {
        let mut request = client.request(method.parse::<Method>().unwrap(), url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.body(body);
        }
        let answer = request.send().await?;
        let content_type = answer.headers().get("content-type").and_then(|value| value.to_str().ok());
        let (status, content_type) = (answer.status().as_u16(), content_type.unwrap_or_default().to_owned());
        Ok(Answer { status, content_type, body: answer.bytes().await?.to_vec() })
    };
    runtime.block_on(send).map_err(|error: reqwest::Error| error.to_string())
}
