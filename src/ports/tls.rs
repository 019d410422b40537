//! Decides which certificates are trusted: the machine's (`SSL_CERT_FILE`, `SSL_CERT_DIR`, the system's), and those that
//! docker keeps for one registry, with the certificate that this client shows to it
//! (<https://docs.docker.com/engine/security/certificates/>).

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme,
};

use crate::budget::{self, CERTIFICATE, CERTIFICATES};
use crate::error::Error;
use crate::failure::FailureKind;

/// The folder in which docker looks for the certificates of a registry, by its name as in references.
pub(crate) const FOLDER: &str = "/etc/docker/certs.d";

/// The certificates that docker keeps for one registry.
#[derive(Debug, Default)]
pub(crate) struct OfHost {
    /// Trusted for this registry, besides the machine's.
    authorities: Vec<CertificateDer<'static>>,
    /// The client's own certificate.
    client: Option<Identity>,
}

/// A certificate with those that have signed it, and its key.
type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// The registry's folder, if there is one.
#[must_use]
pub(crate) fn folder_of(certificates: &Path, registry: &str) -> Option<PathBuf> {
    Some(certificates.join(registry)).filter(|folder| !registry.starts_with('.') && folder.is_dir())
}

impl OfHost {
    /// Reads `*.crt` as authorities, and `NAME.cert` with `NAME.key` as the client's own. Files that this user may not read are
    /// left out: the engine, which runs as another user, may use them all the same.
    #[must_use]
    pub(crate) fn read(folder: &Path) -> Self {
        let mut files: Vec<PathBuf> = fs_err::read_dir(folder)
            .into_iter()
            .flatten()
            .take(CERTIFICATES)
            .flatten()
            .map(|file| file.path())
            .collect();
        files.sort();
        let ending_in = |end: &'static str| {
            files.iter().filter(move |file| file.extension().is_some_and(|own| own == end))
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
            authorities: ending_in("crt").flat_map(|file| chain(file)).collect(),
            client: ending_in("cert").find_map(pair),
        }
    }
}

/// The TLS configuration for a registry. The certificates are read before it returns.
///
/// # Errors
/// If the client's own certificate cannot be used.
pub(crate) fn config(host: OfHost) -> Result<ClientConfig, Error> {
    let verifier = if host.authorities.is_empty() {
        Arc::clone(&MACHINE)
    } else {
        Arc::new(Anchored::new(bundle, everything, host.authorities))
    };
    verifier.first();
    using(verifier, host.client)
}

/// The TLS configuration with the machine's certificates, which are read when the first host shows its own.
///
/// # Errors
/// If TLS cannot be set up.
pub(crate) fn of_machine() -> Result<ClientConfig, Error> {
    using(Arc::clone(&MACHINE), None)
}

/// Trusts the machine's certificates alone.
static MACHINE: LazyLock<Arc<Anchored>> =
    LazyLock::new(|| Arc::new(Anchored::new(bundle, everything, Vec::new())));

fn using(verifier: Arc<Anchored>, client: Option<Identity>) -> Result<ClientConfig, Error> {
    let failed = |error: TlsError| Error::of(FailureKind::Machine, "failed to set up TLS").because(&error);
    let config = ClientConfig::builder_with_provider(Arc::clone(&verifier.provider))
        .with_safe_default_protocol_versions()
        .map_err(failed)?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    match client {
        Some((chain, key)) => config.with_client_auth_cert(chain, key).map_err(failed),
        None => Ok(config.with_no_client_auth()),
    }
}

/// The certificates of the one file that has them all (`SSL_CERT_FILE`, or the system's), if the machine has one; read once.
/// That takes a tenth of the time that the folders take.
fn bundle() -> &'static [CertificateDer<'static>] {
    static BUNDLE: LazyLock<Vec<CertificateDer<'static>>> = LazyLock::new(|| {
        let file = openssl_probe::probe().cert_file.filter(|_| cfg!(target_os = "linux"));
        rustls_native_certs::load_certs_from_paths(file.as_deref(), None).certs
    });
    &BUNDLE
}

/// All certificates that the machine trusts, of its folders and keychain too; read once, if the file does not suffice.
fn everything() -> &'static [CertificateDer<'static>] {
    static ALL: LazyLock<Vec<CertificateDer<'static>>> =
        LazyLock::new(|| rustls_native_certs::load_native_certs().certs);
    &ALL
}

/// A source of the machine's certificates.
type Source = fn() -> &'static [CertificateDer<'static>];

/// Verifies as webpki does, with one difference: a server's certificate that is itself among the trusted ones suffices,
/// although it is marked as an authority's. Docker's documentation makes such certificates for registries (`openssl req
/// -x509` marks them so), and Go, OpenSSL and curl accept them.
#[derive(Debug)]
struct Anchored {
    /// The authorities of one host.
    own: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
    /// The certificates that are read first, which is fast.
    first: (Source, OnceLock<Trusted>),
    /// All certificates, for a host that the first do not prove.
    all: (Source, OnceLock<Trusted>),
}

/// Certificates that are trusted.
#[derive(Debug)]
struct Trusted {
    certificates: Vec<CertificateDer<'static>>,
    /// `None` if there are no certificates.
    verifier: Option<Arc<WebPkiServerVerifier>>,
}

impl Trusted {
    fn new(
        read: &[CertificateDer<'static>],
        own: &[CertificateDer<'static>],
        provider: &Arc<CryptoProvider>,
    ) -> Self {
        let certificates = [read, own].concat();
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(certificates.iter().cloned());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
        let verifier = verifier.build().ok();
        Self { certificates, verifier }
    }

    fn verify(
        &self,
        server: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let verifier = self.verifier.as_ref().ok_or(CertificateError::UnknownIssuer)?;
        match verifier.verify_server_cert(server, intermediates, name, ocsp, now) {
            Err(error) if only_marked_as_authority(&error) => {
                if !self.certificates.iter().any(|trusted| trusted == server) {
                    return Err(CertificateError::UnknownIssuer.into());
                }
                verify_server_name(&ParsedCertificate::try_from(server)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            answer => answer,
        }
    }
}

impl Anchored {
    fn new(first: Source, all: Source, own: Vec<CertificateDer<'static>>) -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        Self { own, provider, first: (first, OnceLock::new()), all: (all, OnceLock::new()) }
    }

    fn read<'a>(&self, (source, read): &'a (Source, OnceLock<Trusted>)) -> &'a Trusted {
        read.get_or_init(|| Trusted::new(source(), &self.own, &self.provider))
    }

    fn first(&self) -> &Trusted {
        self.read(&self.first)
    }
}

/// Tells whether webpki's only objection to a certificate is its mark as an authority's. It checks the times before that.
fn only_marked_as_authority(error: &TlsError) -> bool {
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
        let by = |trusted: &Trusted| trusted.verify(server, intermediates, name, ocsp, now);
        by(self.first()).or_else(|_| by(self.read(&self.all)))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
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

    #[test]
    fn d90_a_certificate_that_is_trusted_itself_is_trusted_for_its_name_and_time() {
        fn none() -> &'static [CertificateDer<'static>] {
            &[]
        }
        fn held() -> &'static [CertificateDer<'static>] {
            static HELD: LazyLock<Vec<CertificateDer<'static>>> =
                LazyLock::new(|| vec![certificate(include_str!("../../tests/fixtures/tls/registry.crt"))]);
            &HELD
        }
        let other = certificate(include_str!("../../tests/fixtures/tls/client.cert"));
        let year = 365 * 24 * 60 * 60;
        let sources: [[(Source, Source, &[_]); 3]; 2] = [
            [(held, none, &[]), (none, held, &[]), (none, none, held())],
            [(none, none, &[]), (none, none, &[other]), (none, none, &[])],
        ];
        for (is_trusted, name, years, expected) in [
            (true, "registry.test", 60, Ok(())),
            (true, "other.test", 60, Err("not valid for name")),
            (true, "registry.test", 200, Err("certificate expired")),
            (true, "registry.test", 1, Err("certificate not valid yet")),
            (false, "registry.test", 60, Err("UnknownIssuer")),
        ] {
            for (first, all, own) in &sources[usize::from(!is_trusted)] {
                let verifier = Anchored::new(*first, *all, own.to_vec());
                let name = ServerName::try_from(name).unwrap();
                let now = UnixTime::since_unix_epoch(Duration::from_secs(years * year));
                let got = verifier.verify_server_cert(&held()[0], &[], &name, &[], now).map(|_| ());
                match (got, expected) {
                    (Ok(()), Ok(())) => {}
                    // The error of `all`; without certificates that is the unknown issuer.
                    (Err(error), Err(word)) => {
                        let error = error.to_string();
                        assert!(error.contains(word) || error.contains("UnknownIssuer"), "{error}");
                    }
                    (got, _) => panic!("{name:?} {years}: {got:?}"),
                }
            }
        }
    }
}
