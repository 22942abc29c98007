//! Who we are to clients (TLS 1.2 and 1.3), and which of them we let in by certificate.
//!
//! Invariant: one configuration serves all cores, so a session begun on one is resumed on any; a new certificate is shown to
//! every connection that begins after it was read, and a set of client authorities that has changed resumes no session that
//! was begun under another. Whom providers have to be is `provider::tls`.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ProducesTickets, ServerConfig, WebPkiClientVerifier};
use rustls::{RootCertStore, crypto};

/// What a server shows, as PEM texts.
#[derive(Clone, Copy)]
pub struct Papers<'p> {
    /// Its certificate, and those between it and the authority.
    pub certificates: &'p [u8],
    /// The private key of the first.
    pub key: &'p [u8],
    /// Authorities of clients' certificates; with any, a client must have one.
    pub client_authorities: Option<&'p [u8]>,
}

impl fmt::Debug for Papers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Papers(…)")
    }
}

/// Which paper is wrong, and why, in words for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wrong {
    /// The certificates.
    Certificates(String),
    /// The key, or it is not the certificate's.
    Key(String),
    /// The clients' authorities.
    ClientAuthorities(String),
}

/// A server's configuration: HTTP/2 and HTTP/1.1 (RFC 7301), sessions resumed by tickets.
///
/// # Errors
/// A paper is not what it should be.
pub fn server_config(papers: Papers<'_>) -> Result<Arc<ServerConfig>, Wrong> {
    let provider = Arc::new(crypto::ring::default_provider());
    let chain = certificates(papers.certificates).map_err(Wrong::Certificates)?;
    let key = PrivateKeyDer::from_pem_slice(papers.key)
        .map_err(|_| Wrong::Key("holds no private key (-----BEGIN PRIVATE KEY-----)".to_owned()))?;
    let verifier = match papers.client_authorities {
        Some(pem) => Some(verifier(pem, &provider).map_err(Wrong::ClientAuthorities)?),
        None => None,
    };
    let resumes_for_all = verifier.is_none();
    let builder = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| Wrong::Certificates(e.to_string()))?;
    let builder = match verifier {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(chain, key).map_err(|e| match e {
        rustls::Error::InconsistentKeys(_) => Wrong::Key("it is not the certificate's key".to_owned()),
        other => Wrong::Certificates(other.to_string()),
    })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    if let Some(tickets) = tickets(resumes_for_all) {
        config.ticketer = tickets;
    }
    Ok(Arc::new(config))
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|e| format!("not PEM: {e}"))?;
    if chain.is_empty() {
        return Err("holds no certificate (-----BEGIN CERTIFICATE-----)".to_owned());
    }
    Ok(chain)
}

fn verifier(pem: &[u8], provider: &Arc<crypto::CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem)? {
        roots.add(certificate).map_err(|e| format!("not a certificate: {e}"))?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|e| e.to_string())
}

/// The keys of tickets. One set for the life of the process, so that a reload forgets no session; but where clients show
/// certificates a resumed session is not verified again, so each set of authorities has its own.
fn tickets(for_all: bool) -> Option<Arc<dyn ProducesTickets>> {
    static SHARED: OnceLock<Option<Arc<dyn ProducesTickets>>> = OnceLock::new();
    let new = || crypto::ring::Ticketer::new().ok();
    if for_all { SHARED.get_or_init(new).clone() } else { new() }
}

/// The configuration in force. Read once per connection.
#[derive(Debug)]
pub struct Served(Mutex<Arc<ServerConfig>>);

impl Served {
    /// Begins with one.
    #[must_use]
    pub fn new(config: Arc<ServerConfig>) -> Arc<Self> {
        Arc::new(Self(Mutex::new(config)))
    }

    /// For a connection that begins now.
    #[must_use]
    pub fn now(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// For all that begin from here on.
    pub fn replace(&self, config: Arc<ServerConfig>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = config;
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn papers() -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(["gateway.test".to_owned()]).unwrap().self_signed(&key).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    #[track_caller]
    fn refused(certificates: &str, key: &str, authorities: Option<&str>) -> Wrong {
        let client_authorities = authorities.map(str::as_bytes);
        server_config(Papers { certificates: certificates.as_bytes(), key: key.as_bytes(), client_authorities })
            .unwrap_err()
    }

    #[test]
    fn each_wrong_paper_is_named() {
        let (certificate, key) = papers();
        let (_, other) = papers();
        assert!(matches!(refused("", &key, None), Wrong::Certificates(_)));
        assert!(matches!(refused("-----BEGIN CERTIFICATE-----\nAAAA\n", &key, None), Wrong::Certificates(_)));
        assert!(matches!(refused(&key, &key, None), Wrong::Certificates(_)));
        assert!(matches!(refused(&certificate, "", None), Wrong::Key(_)));
        assert!(matches!(refused(&certificate, &certificate, None), Wrong::Key(_)));
        assert_eq!(refused(&certificate, &other, None), Wrong::Key("it is not the certificate's key".to_owned()));
        assert!(matches!(refused(&certificate, &key, Some("")), Wrong::ClientAuthorities(_)));
    }

    #[test]
    fn tickets_outlive_a_reload_but_not_a_change_of_whom_we_let_in() {
        let (certificate, key) = papers();
        let with = |authorities: Option<&str>| {
            let client_authorities = authorities.map(str::as_bytes);
            server_config(Papers { certificates: certificate.as_bytes(), key: key.as_bytes(), client_authorities })
                .unwrap()
        };
        let ticket = with(None).ticketer.encrypt(b"session").unwrap();
        assert_eq!(with(None).ticketer.decrypt(&ticket).as_deref(), Some(&b"session"[..]));
        let first = with(Some(&certificate));
        assert_eq!(first.ticketer.decrypt(&ticket), None);
        let ticket = first.ticketer.encrypt(b"session").unwrap();
        assert_eq!(with(Some(&certificate)).ticketer.decrypt(&ticket), None);
    }

    #[test]
    fn papers_are_not_shown() {
        let (certificate, key) = papers();
        let papers = Papers { certificates: certificate.as_bytes(), key: key.as_bytes(), client_authorities: None };
        assert_eq!(format!("{papers:?}"), "Papers(…)");
    }
}
