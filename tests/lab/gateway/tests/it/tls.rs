//! TLS to the client, plain to the upstream, and addresses that lead back through TLS.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use http_body_util::BodyExt as _;
use lab_gateway::{Fault, Gateway, Rule, TlsFiles};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::support::{Client, Upstream, config, full, request};

fn certificate(folder: &Path) -> TlsFiles {
    let files = TlsFiles { cert: folder.join("cert.pem"), key: folder.join("key.pem") };
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-subj", "/CN=reg.example", "-addext", "subjectAltName=DNS:reg.example"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-days", "1"])
        .args(["-keyout".as_ref(), files.key.as_os_str(), "-out".as_ref(), files.cert.as_os_str()])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    files
}

#[tokio::test]
async fn locations_and_cuts_under_tls() {
    let folder = tempfile::tempdir().unwrap();
    let files = certificate(folder.path());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&files.cert).unwrap()).unwrap();
    let mut trust = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    // What Go's clients offer; the gateway must not take the first.
    trust.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];

    let upstream = Upstream::start().await;
    let mut config = config(&upstream);
    config.tls = Some(files);
    let gateway = Gateway::start(config).await.unwrap();
    let tcp = TcpStream::connect(gateway.addr()).await.unwrap();
    let name = ServerName::try_from("reg.example").unwrap();
    let stream = TlsConnector::from(Arc::new(trust)).connect(name, tcp).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    let mut client = Client::over(stream).await;

    let answer = client.ask("POST", "/v2/a/blobs/uploads/", "").await;
    assert_eq!(answer.headers["location"], "https://reg.example/v2/a/blobs/uploads/1?_state=x");
    assert_eq!(upstream.seen()[0].headers["x-forwarded-proto"], "https");
    assert_eq!(client.ask("GET", "/blob/300000", "").await.body.len(), 300_000);

    gateway.set_rules(vec![Rule::new(Fault::CutResponse { after_bytes: 50_000 })]).unwrap();
    let cut = client.send(request("GET", "/blob/300000", full(""))).await.unwrap();
    assert!(cut.collect().await.is_err());
}

#[tokio::test]
async fn bad_settings_are_errors() {
    let upstream = Upstream::start().await;
    for url in ["https://127.0.0.1:1", "127.0.0.1:1", "http://127.0.0.1:1/path"] {
        let mut config = config(&upstream);
        config.upstream = url.into();
        assert!(Gateway::start(config).await.is_err(), "{url}");
    }
    let mut config = config(&upstream);
    config.tls = Some(TlsFiles { cert: "/nowhere/cert".into(), key: "/nowhere/key".into() });
    let Err(error) = Gateway::start(config).await else { unreachable!("no certificate") };
    assert!(error.to_string().contains("/nowhere/cert"), "{error}");
}
