//! A proxy that stands in for HTTPS hosts: it answers every `CONNECT` itself, with one certificate, and hands each request
//! to a stub on this machine.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

pub(crate) fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tls").join(name)
}

/// Returns the proxy's address. `stub`: the address that gets the requests.
pub(crate) fn start(stub: &str, certificate: &str, key: &str) -> String {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let chain = CertificateDer::pem_file_iter(fixture(certificate)).unwrap().map(Result::unwrap).collect();
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth();
    let config = Arc::new(
        config.with_single_cert(chain, PrivateKeyDer::from_pem_file(fixture(key)).unwrap()).unwrap(),
    );
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let stub = stub.to_owned();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (config, stub) = (Arc::clone(&config), stub.clone());
            thread::spawn(move || serve(stream, config, &stub));
        }
    });
    address
}

fn serve(mut stream: TcpStream, config: Arc<ServerConfig>, stub: &str) -> Option<()> {
    // The request for a tunnel, byte by byte: what follows is TLS.
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").ok()?;
    let mut tls = BufReader::new(StreamOwned::new(ServerConnection::new(config).unwrap(), stream));
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            tls.read_line(&mut head).ok().filter(|read| *read > 0)?;
        }
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
        });
        let mut body = vec![0; length.unwrap_or(0)];
        tls.read_exact(&mut body).ok()?;
        let mut to = TcpStream::connect(stub).ok()?;
        to.write_all(head.replacen("\r\n", "\r\nconnection: close\r\n", 1).as_bytes()).ok()?;
        to.write_all(&body).ok()?;
        let mut answer = Vec::new();
        to.read_to_end(&mut answer).ok()?;
        tls.get_mut().write_all(&answer).ok()?;
        tls.get_mut().flush().ok()?;
    }
}
