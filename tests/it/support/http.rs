//! A small HTTP/1.1 server on this machine: keeps connections alive and counts them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// One request as it came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    /// Which connection it came on.
    pub connection: usize,
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// What is answered.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    /// How long it takes.
    delay: Duration,
}

impl Response {
    pub(crate) fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into(), delay: Duration::ZERO }
    }

    /// The same, after this time.
    pub(crate) fn after(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The body of a registry's error.
    pub(crate) fn error(status: u16, code: &str, message: &str) -> Self {
        Self::new(status, serde_json::json!({"errors": [{"code": code, "message": message}]}).to_string())
    }

    /// The connection stays open, and nothing comes.
    pub(crate) fn hang() -> Self {
        Self::new(1, "")
    }

    /// The connection is cut instead of an answer.
    pub(crate) fn cut() -> Self {
        Self::new(0, "")
    }
}

/// The server; it ends with the test's process.
pub(crate) struct Server {
    pub address: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    pub(crate) fn start(answer: impl Fn(&Request) -> Response + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (answer, seen) = (Arc::new(answer), Arc::clone(&requests));
        thread::spawn(move || {
            for (number, stream) in listener.incoming().flatten().enumerate() {
                let (answer, seen) = (Arc::clone(&answer), Arc::clone(&seen));
                thread::spawn(move || serve(number, &stream, &*answer, &seen));
            }
        });
        Self { address, requests }
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    pub(crate) fn forget(&self) {
        self.requests.lock().unwrap().clear();
    }
}

fn serve(
    connection: usize,
    stream: &TcpStream,
    answer: &dyn Fn(&Request) -> Response,
    seen: &Mutex<Vec<Request>>,
) {
    let mut reader = BufReader::new(stream);
    while let Some(request) = read(&mut reader, connection) {
        seen.lock().unwrap().push(request.clone());
        let response = answer(&request);
        thread::sleep(response.delay);
        if response.status == 1 {
            // Until the test's process ends.
            thread::sleep(Duration::from_hours(1));
            return;
        }
        if response.status == 0 || write(stream, &request, &response).is_err() {
            let _ = stream.shutdown(std::net::Shutdown::Both);
            return;
        }
        if request.header("connection") == "close" {
            return;
        }
    }
}

fn read(reader: &mut BufReader<&TcpStream>, connection: usize) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let mut request =
        Request { connection, method: words.next()?, target: words.next()?, ..Request::default() };
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        request.headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    request.body = vec![0; request.header("content-length").parse().unwrap_or(0)];
    reader.read_exact(&mut request.body).ok()?;
    Some(request)
}

fn write(mut stream: &TcpStream, request: &Request, response: &Response) -> std::io::Result<()> {
    let mut head =
        format!("HTTP/1.1 {} Stub\r\ncontent-length: {}\r\n", response.status, response.body.len());
    for (name, value) in &response.headers {
        write!(head, "{name}: {value}\r\n").unwrap();
    }
    head.push_str("\r\n");
    let mut bytes = head.into_bytes();
    if request.method != "HEAD" {
        bytes.extend_from_slice(&response.body);
    }
    stream.write_all(&bytes)
}
