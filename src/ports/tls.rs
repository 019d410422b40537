//! By which certificates a host is believed: the machine's (`SSL_CERT_FILE`, `SSL_CERT_DIR`, the system's), and
//! docker's own for one registry, with the certificate that this client shows it.
//! <https://docs.docker.com/engine/security/certificates/>

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme,
};

use crate::budget::{self, CERTIFICATE, CERTIFICATES};
use crate::error::Error;
use crate::ports::failure::FailureKind;

/// Where docker looks for the certificates of a registry, by its name as in references.
pub const FOLDER: &str = "/etc/docker/certs.d";

/// What docker keeps for one registry.
#[derive(Debug, Default)]
pub struct OfHost {
    authorities: Vec<CertificateDer<'static>>,
    client: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
}

/// The registry's folder, if there is one.
#[must_use]
pub fn folder_of(certificates: &Path, registry: &str) -> Option<PathBuf> {
    Some(certificates.join(registry)).filter(|folder| !registry.starts_with('.') && folder.is_dir())
}

impl OfHost {
    /// Reads `*.crt` as authorities, and `NAME.cert` with `NAME.key` as the client's own. What this user may not read
    /// is left out: the engine, which may, is another program.
    #[must_use]
    pub fn read(folder: &Path) -> Self {
        let mut files: Vec<PathBuf> = fs_err::read_dir(folder)
            .into_iter()
            .flatten()
            .take(CERTIFICATES)
            .flatten()
            .map(|file| file.path())
            .collect();
        files.sort();
        let of = |end: &'static str| {
            files.iter().filter(move |file| file.extension().is_some_and(|have| have == end))
        };
        let text = |file: &Path| budget::read_file(file, CERTIFICATE).ok();
        let chain = |file: &Path| -> Vec<CertificateDer<'static>> {
            let bytes = text(file).unwrap_or_default();
            CertificateDer::pem_slice_iter(&bytes).flatten().collect()
        };
        let pair = |file: &PathBuf| {
            let key = text(&file.with_extension("key"))?;
            let chain = chain(file);
            Some((chain, PrivateKeyDer::from_pem_slice(&key).ok()?)).filter(|(chain, _)| !chain.is_empty())
        };
        Self {
            authorities: of("crt").flat_map(|file| chain(file)).collect(),
            client: of("cert").find_map(pair),
        }
    }
}

/// TLS as a registry is spoken to; any other host with the machine's certificates alone.
///
/// # Errors
/// If this machine has no certificates, or the client's own cannot be used.
pub fn config(host: OfHost) -> Result<ClientConfig, Error> {
    let failed = |error: &TlsError| Error::of(FailureKind::Machine, "failed to set up TLS").because(error);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut certificates = rustls_native_certs::load_native_certs().certs;
    certificates.extend(host.authorities);
    let verifier = Anchored::new(certificates, &provider).map_err(|error| failed(&error))?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(&error))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    match host.client {
        Some((chain, key)) => config.with_client_auth_cert(chain, key).map_err(|error| failed(&error)),
        None => Ok(config.with_no_client_auth()),
    }
}

/// As webpki verifies, and a server's certificate that is trusted itself is enough, though it is an authority's: docker's
/// documentation has registries sign their own, which `openssl req -x509` marks so. Go, OpenSSL and curl accept them.
#[derive(Debug)]
struct Anchored {
    inner: Arc<WebPkiServerVerifier>,
    trusted: Vec<CertificateDer<'static>>,
}

impl Anchored {
    fn new(trusted: Vec<CertificateDer<'static>>, provider: &Arc<CryptoProvider>) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(trusted.iter().cloned());
        let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
        let inner = inner.build().map_err(|error| TlsError::General(error.to_string()))?;
        Ok(Self { inner, trusted })
    }
}

/// Whether all that webpki says against a certificate is that it is an authority's. It looks at its time before.
fn is_authoritys(error: &TlsError) -> bool {
    matches!(error, TlsError::InvalidCertificate(CertificateError::Other(why)) if why.to_string() == "CaUsedAsEndEntity")
}

impl ServerCertVerifier for Anchored {
    fn verify_server_cert(
        &self,
        server: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        match self.inner.verify_server_cert(server, intermediates, name, ocsp, now) {
            Err(error) if is_authoritys(&error) => {
                if !self.trusted.iter().any(|trusted| trusted == server) {
                    return Err(CertificateError::UnknownIssuer.into());
                }
                verify_server_name(&ParsedCertificate::try_from(server)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// The text of a certificate of `tests/fixtures/tls`.
    fn certificate(pem: &str) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
    }

    // D90
    #[test]
    fn d90_what_is_trusted_itself_is_trusted_for_its_name_and_time() {
        let own = certificate(include_str!("../../tests/fixtures/tls/registry.crt"));
        let other = certificate(include_str!("../../tests/fixtures/tls/client.cert"));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let year = 365 * 24 * 60 * 60;
        for (trusted, name, years, expected) in [
            (&own, "registry.test", 60, Ok(())),
            (&own, "other.test", 60, Err("not valid for name")),
            (&own, "registry.test", 200, Err("certificate expired")),
            (&own, "registry.test", 1, Err("certificate not valid yet")),
            (&other, "registry.test", 60, Err("UnknownIssuer")),
        ] {
            let verifier = Anchored::new(vec![trusted.clone()], &provider).unwrap();
            let name = ServerName::try_from(name).unwrap();
            let now = UnixTime::since_unix_epoch(Duration::from_secs(years * year));
            let got = verifier.verify_server_cert(&own, &[], &name, &[], now).map(|_| ());
            match (got, expected) {
                (Ok(()), Ok(())) => {}
                (Err(error), Err(word)) => assert!(error.to_string().contains(word), "{error}"),
                (got, _) => panic!("{name:?} {years}: {got:?}"),
            }
        }
    }
}
