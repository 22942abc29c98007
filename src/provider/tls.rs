//! How a provider is known to be itself (TLS 1.2 and 1.3, certificates always verified).
//!
//! The roots are those of the Mozilla programme, compiled in, so that a static binary in an empty image can call a provider;
//! an operator's own authorities come on top, per provider. One configuration is shared by all cores, and with it the
//! sessions that it may resume.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// A client configuration that trusts the public roots and the certificates of `extra_ca` (PEM).
///
/// # Errors
/// In words for the operator: no certificate in the PEM text, one that does not parse, or no usable protocol version.
pub fn client_config(extra_ca: Option<&[u8]>) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(pem) = extra_ca {
        let mut added = 0;
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|e| format!("not PEM: {e}"))?;
            roots.add(certificate).map_err(|e| format!("not a certificate: {e}"))?;
            added += 1;
        }
        if added == 0 {
            return Err("holds no certificate (-----BEGIN CERTIFICATE-----)".to_owned());
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    // The provider chooses (RFC 7301); most choose HTTP/2.
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
