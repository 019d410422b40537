//! A web server for the files below a folder.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};

/// Serves until the program ends.
pub struct Web {
    port: u16,
}

const PORT: u16 = 5030;

impl Web {
    /// Serves these files.
    pub fn serve(root: PathBuf) -> Self {
        // Always the same port if it can be: it stands in Dockerfiles, which get into images.
        let listener =
            TcpListener::bind(("127.0.0.1", PORT)).or_else(|_| TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let root = root.clone();
                std::thread::spawn(move || answer(&stream.unwrap(), &root));
            }
        });
        Self { port }
    }

    /// The address of a file.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.port)
    }
}

fn answer(mut stream: &TcpStream, root: &Path) {
    let lines: Vec<String> =
        BufReader::new(stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
    let Some(request) = lines.first() else { return };
    let path = request.split([' ', '?']).nth(1).unwrap_or("/").trim_matches('/');
    let body = fs::read(root.join(path));
    let (status, body) = body.map_or(("404 Not Found", Vec::new()), |body| ("200 OK", body));
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    let _ = stream.write_all(head.as_bytes());
    if !request.starts_with("HEAD") {
        let _ = stream.write_all(&body);
    }
}
