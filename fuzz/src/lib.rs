//! What the targets share: a method as the server builds it, and a certificate authority.

use std::sync::Arc;
use std::time::Duration;

use bench_server::auth::{Connection, Environment, Method, Rejection, Request};
use bench_server::clock::Clock;
use bench_server::contract::{CertificateKey, ChainLength, ClockMode, IssueRequest, MethodConfig, Profile, READ_SCOPE};
use bench_server::issuer::ca::CertificateAuthority;
use http::HeaderValue;
use http::header::AUTHORIZATION;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// A method that has issued one credential, which nobody here knows.
pub struct Subject {
    method: Method,
    clock: Clock,
    runtime: Runtime,
    _folder: TempDir,
}

impl Subject {
    /// Builds it.
    pub fn new(method: MethodConfig) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let folder = tempfile::tempdir().expect("a folder");
        let clock = Clock::new(ClockMode::System);
        let environment = Environment {
            shared_dir: folder.path().to_owned(),
            clock: clock.clone(),
            meter: Arc::default(),
            authorization_server: None,
            ca_file: folder.path().join("unused.pem"),
        };
        let (name, path, scope) = ("fuzz".to_owned(), "/".to_owned(), READ_SCOPE.to_owned());
        let profile = Profile { name, path, scope, method, users_only: false, slow_down: None };
        let request = IssueRequest { count: 1, lifetime: None, scopes: vec![READ_SCOPE.to_owned()] };
        let method = runtime.block_on(async {
            let method = Method::build(&profile, &environment).await.expect("a sound configuration");
            method.issue(&request).await.expect("issued");
            method
        });
        Self { method, clock, runtime, _folder: folder }
    }

    /// Presents what follows the scheme. Nobody guesses a credential, so nobody is let in.
    pub fn refuses(&self, scheme: &str, credential: &[u8]) {
        let Ok(value) = HeaderValue::from_bytes(&[scheme.as_bytes(), b" ", credential].concat()) else { return };
        let mut head = http::Request::new(()).into_parts().0;
        head.headers.insert(AUTHORIZATION, value);
        let connection = Connection::new(([127, 0, 0, 1], 1).into(), None);
        let request = Request { head: &head, connection: &connection, now: self.clock.now() };
        match self.runtime.block_on(self.method.authenticate(&request)) {
            Ok(_) => panic!("accepted"),
            Err(Rejection::Unavailable { dependency, .. }) => panic!("{dependency}"),
            Err(_) => {}
        }
    }
}

/// An authority with one client certificate and its chain.
pub struct Authority {
    /// The authority.
    pub ca: Arc<CertificateAuthority>,
    /// Leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// The process's clock.
    pub clock: Clock,
    _folder: TempDir,
}

impl Authority {
    /// Makes it.
    pub fn new() -> Self {
        let (folder, clock) = (tempfile::tempdir().expect("a folder"), Clock::new(ClockMode::System));
        let day = Duration::from_secs(86_400);
        let ca = CertificateAuthority::open(folder.path(), clock.clone(), day, ChainLength::default()).expect("made");
        let issued = ca.client_certificate("spiffe://authbench.test/x", day, CertificateKey::P256).expect("issued");
        let chain = CertificateDer::pem_slice_iter(issued.chain_pem.as_bytes());
        Self { ca: Arc::new(ca), chain: chain.collect::<Result<_, _>>().expect("PEM"), clock, _folder: folder }
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}
