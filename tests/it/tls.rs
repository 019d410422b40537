//! D90: a registry whose certificate is its own authority, as docker's documentation has it made.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use build_once::testing::Digest;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use crate::support::{BuildOnce, Lab};

const REGISTRY: &str = "registry.test:5000";
const MANIFEST: &str = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","size":2},"layers":[]}"#;

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tls").join(name)
}

fn chain(name: &str) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_file_iter(fixture(name)).unwrap().map(Result::unwrap).collect()
}

/// A proxy that is the registry itself: whatever host is asked for, it answers with this certificate. Returns its address.
fn registry(wants_client: bool) -> String {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let config = config.with_safe_default_protocol_versions().unwrap();
    let config = if wants_client {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(chain("client.cert"));
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        config.with_client_cert_verifier(clients.build().unwrap())
    } else {
        config.with_no_client_auth()
    };
    let key = PrivateKeyDer::from_pem_file(fixture("registry.key")).unwrap();
    let config = Arc::new(config.with_single_cert(chain("registry.crt"), key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let config = Arc::clone(&config);
            thread::spawn(move || serve(stream, config));
        }
    });
    address
}

fn serve(mut stream: TcpStream, config: Arc<ServerConfig>) -> Option<()> {
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
        let mut line = String::new();
        while !line.ends_with("\r\n\r\n") {
            tls.read_line(&mut line).ok().filter(|read| *read > 0)?;
        }
        let kind = "content-type: application/vnd.oci.image.manifest.v1+json";
        let answer =
            format!("HTTP/1.1 200 OK\r\n{kind}\r\ncontent-length: {}\r\n\r\n{MANIFEST}", MANIFEST.len());
        tls.get_mut().write_all(answer.as_bytes()).ok()?;
        tls.get_mut().flush().ok()?;
    }
}

fn asks<'a>(lab: &'a Lab, proxy: &str, registry: &str) -> BuildOnce<'a> {
    lab.build_once()
        .input("repository", &format!("{registry}/ci"))
        .input("mode", "pull")
        .input("digest", Digest::of(MANIFEST.as_bytes()).as_str())
        .input("load", "false")
        .env("HTTPS_PROXY", &format!("http://{proxy}"))
        .env("BUILD_ONCE_TEST_CERTIFICATES", lab.path("certs.d").to_str().unwrap())
}

fn copy(lab: &Lab, name: &str, to: &str) {
    lab.write(&format!("certs.d/{REGISTRY}/{to}"), std::fs::read(fixture(name)).unwrap());
}

#[test]
fn d90_a_certificate_that_is_trusted_itself() {
    let (lab, proxy) = (Lab::new(), registry(false));
    let trusted = fixture("registry.crt");
    let run = asks(&lab, &proxy, REGISTRY).env("SSL_CERT_FILE", trusted.to_str().unwrap());
    let _ = run.run().succeeds("reused-digest");
    // It is trusted for its own name alone.
    let run = asks(&lab, &proxy, "other.test:5000").env("SSL_CERT_FILE", trusted.to_str().unwrap());
    let error = run.run().fails(60, "unsupported").error().to_owned();
    assert!(error.contains("by a name that its certificate is for"), "{error}");
}

#[test]
fn d90_dockers_own_certificates() {
    let (lab, proxy) = (Lab::new(), registry(false));
    let error = asks(&lab, &proxy, REGISTRY).run().fails(60, "unsupported").error().to_owned();
    assert!(error.contains("certs.d") && error.contains("UnknownIssuer"), "{error}");
    copy(&lab, "registry.crt", "ca.crt");
    lab.write(&format!("certs.d/{REGISTRY}/notes.crt"), "no certificate");
    let _ = asks(&lab, &proxy, REGISTRY).run().succeeds("reused-digest");
    // Another registry's are not used.
    let _ = asks(&lab, &proxy, "registry.test:5001").run().fails(60, "unsupported");
}

#[test]
fn d90_a_client_certificate() {
    let (lab, proxy) = (Lab::new(), registry(true));
    copy(&lab, "registry.crt", "ca.crt");
    assert_ne!(asks(&lab, &proxy, REGISTRY).run().code, 0);
    copy(&lab, "client.cert", "client.cert");
    // Without its key it is nothing.
    assert_ne!(asks(&lab, &proxy, REGISTRY).run().code, 0);
    copy(&lab, "client.key", "client.key");
    let _ = asks(&lab, &proxy, REGISTRY).run().succeeds("reused-digest");
}
