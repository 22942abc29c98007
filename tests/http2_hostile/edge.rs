//! A gateway behind TLS, and clients of it that behave.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, MutexGuard};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::frames::{BODY, request};
use crate::gateway::{Gateway, Holds};
use crate::peer::{Peer, Verdict};

/// How long a well-behaved client may wait beside one that is not; a debug build on a machine that others use.
const BESIDE: Duration = Duration::from_secs(5);

/// One test at a time: each measures what others wait for.
static TURN: Mutex<()> = Mutex::const_new(());

/// A gateway that speaks TLS alone.
pub struct Edge {
    pub gateway: Gateway,
    _turn: MutexGuard<'static, ()>,
    trust: Arc<ClientConfig>,
    _certificate: tempfile::TempDir,
}

impl Edge {
    /// `upstream` behind every model, and more lines for `[listen]`.
    pub async fn start(upstream: SocketAddr, listen: &str) -> Self {
        let turn = TURN.lock().await;
        let made = rcgen::generate_simple_self_signed(["gateway.test".to_owned()]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
        std::fs::write(&certificate, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let listen = format!("tls = {{ certificate = {certificate:?}, key = {key:?} }}\n{listen}");
        let gateway = Gateway::start(upstream, &listen, "").await;
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let mut trust = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        trust.alpn_protocols = vec![b"h2".to_vec()];
        Self { gateway, _turn: turn, trust: Arc::new(trust), _certificate: folder }
    }

    /// A connection that has agreed on HTTP/2, and on nothing else.
    pub async fn connect(&self) -> TlsStream<TcpStream> {
        let tcp = TcpStream::connect(self.gateway.address).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        let name = ServerName::try_from("gateway.test").unwrap();
        let tls = TlsConnector::from(Arc::clone(&self.trust)).connect(name, tcp).await.unwrap();
        assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        tls
    }

    /// Somebody else's request is served, on whichever core it lands.
    #[track_caller]
    pub fn serves_others(&self) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            // Two connections at a time: there are two cores.
            let (mut one, mut two) = (Peer::begin(self, &[]).await, Peer::begin(self, &[]).await);
            for peer in [&mut one, &mut two] {
                let began = Instant::now();
                peer.send(&request(1, BODY)).await;
                let verdict = tokio::time::timeout(BESIDE, peer.verdict(1)).await;
                assert_eq!(verdict, Ok(Verdict::Served), "{caller}: after {:?}", began.elapsed());
            }
        }
    }

    /// As [`Gateway::settles`]; and it has taken no harm.
    pub async fn recovers(&mut self, before: Holds) {
        // A debug build's own noise, and what the allocator keeps.
        self.gateway.settles(before, 24 * 1024).await;
        self.gateway.is_unharmed();
    }
}
