//! The engine's socket: it tells of the same images as the fake docker, or misbehaves.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::lab::Lab;

#[path = "../fake_docker/info.rs"]
mod info;

/// What the socket does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    Right,
    /// Each question has the status 500.
    Failing,
    /// The status 404 with another text than that of an absent image.
    Elsewhere,
    /// The version of the API is refused.
    TooOld,
    NoJson,
    /// JSON of another shape.
    OtherJson,
    /// The answer does not end.
    Endless,
    /// No byte comes.
    Silent,
    /// The connection is closed without an answer.
    Closed,
    /// Another program than docker answers.
    Podman,
    /// The server leads elsewhere.
    Redirecting,
}

/// The socket; it ends with the test's process.
pub(crate) struct EngineSocket {
    pub path: PathBuf,
    requests: Arc<Mutex<Vec<String>>>,
}

impl EngineSocket {
    pub(crate) fn start(lab: &Lab, manner: Manner) -> Self {
        let path = lab.path("engine.sock");
        let _ = fs::remove_file(&path);
        let listener = UnixListener::bind(&path).unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, folder) = (Arc::clone(&requests), lab.path("bin"));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (seen, folder) = (Arc::clone(&seen), folder.clone());
                thread::spawn(move || serve(&stream, manner, &folder, &seen));
            }
        });
        Self { path, requests }
    }

    /// As `DOCKER_HOST` names it.
    pub(crate) fn host(&self) -> String {
        format!("unix://{}", self.path.display())
    }

    /// The whole text of each request.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    /// The first line of each request, without protocol and version of the API, sorted.
    pub(crate) fn asked(&self) -> Vec<String> {
        let line =
            |request: &String| request.lines().next().unwrap().replace(" HTTP/1.1", "").replace("/v1.44", "");
        let mut asked: Vec<String> = self.requests().iter().map(line).collect();
        asked.sort();
        asked
    }
}

/// Answers one request a connection.
fn serve(mut stream: &UnixStream, manner: Manner, folder: &Path, seen: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(stream);
    let mut request = String::new();
    while !request.ends_with("\r\n\r\n") {
        if reader.read_line(&mut request).unwrap_or(0) == 0 {
            return;
        }
    }
    let target = request.split(' ').nth(1).unwrap().to_owned();
    seen.lock().unwrap().push(request);
    let server = if manner == Manner::Podman { "Libpod/5.6.0 (linux)" } else { "Docker/28.5.1 (linux)" };
    let mut say = |status: &str, headers: &str, body: &str| {
        let length = body.len();
        let head = format!("HTTP/1.1 {status}\r\nServer: {server}\r\nConnection: close\r\n{headers}");
        let _ = write!(stream, "{head}Content-Length: {length}\r\n\r\n{body}");
    };
    match manner {
        Manner::Right | Manner::Podman => {
            let (status, body) = answer(target.strip_prefix("/v1.44").unwrap(), folder);
            say(status, "", &body.to_string());
        }
        Manner::Failing => say("500 Internal Server Error", "", r#"{"message":"boltdb is closed"}"#),
        Manner::Elsewhere => say("404 Not Found", "", r#"{"message":"page not found"}"#),
        Manner::TooOld => say("400 Bad Request", "", r#"{"message":"client version 1.44 is too new"}"#),
        Manner::NoJson => say("200 OK", "", "<html>"),
        Manner::OtherJson => say("200 OK", "", r#"[{"Id":7},"x"]"#),
        Manner::Redirecting => say("302 Found", "Location: http://docker/v1.44/info\r\n", "{}"),
        Manner::Closed => {}
        Manner::Silent => thread::sleep(Duration::from_mins(1)),
        Manner::Endless => {
            let _ = write!(stream, "HTTP/1.1 200 OK\r\nServer: {server}\r\n\r\n\"");
            while stream.write_all(&[b'x'; 8192]).is_ok() {}
        }
    }
}

/// A right answer, from the store of the fake docker.
fn answer(path: &str, folder: &Path) -> (&'static str, Value) {
    let images: Vec<Value> =
        serde_json::from_slice(&fs::read(folder.join("store.json")).unwrap_or_default()).unwrap_or_default();
    let has = |image: &Value, list: &str, name: &str| {
        image[list].as_array().unwrap().iter().any(|known| known == name)
    };
    if path == "/info" {
        return ("200 OK", info::info(folder, images.len()));
    }
    if path == "/system/df" {
        let (size, list) = (images.len() * 1_000_000, vec![json!({"Containers": 0}); images.len()]);
        let none: [Value; 0] = [];
        let usage = json!({"LayersSize": size, "Images": list, "Containers": none, "Volumes": null, "BuildCache": null});
        return ("200 OK", usage);
    }
    if path.starts_with("/images/json?filters=") {
        return ("200 OK", images.iter().map(|image| json!({"Id": image["id"]})).collect());
    }
    let name = path.strip_prefix("/images/").unwrap().strip_suffix("/json").unwrap();
    let named =
        |image: &&Value| image["id"] == name || has(image, "names", name) || has(image, "digests", name);
    match images.iter().find(named) {
        Some(image) => (
            "200 OK",
            json!({
                "Id": image["id"], "RepoTags": image["names"], "RepoDigests": image["digests"],
                "Config": {"Labels": image["labels"]}, "Metadata": {"LastTagTime": image["tagged"]},
                "Size": image["size"],
            }),
        ),
        None => ("404 Not Found", json!({"message": format!("No such image: {name}")})),
    }
}
