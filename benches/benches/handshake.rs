//! What it costs to verify a client certificate in a handshake, against the length of the CRL: our verifier, which looks
//! serial numbers up in lists that it verified when they were loaded, beside webpki with the same CRLs, which verifies
//! their signatures each time.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use bench_server::contract::{Material, MethodConfig, MtlsConfig};
use benches::issued;
use criterion::{Criterion, criterion_group, criterion_main};
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};

fn verify(c: &mut Criterion, name: &str, verifier: &dyn ClientCertVerifier, chain: &[CertificateDer<'_>]) {
    let (leaf, sent) = chain.split_first().expect("a leaf");
    let now = UnixTime::now();
    let verdict = verifier.verify_client_cert(leaf, sent, now);
    assert!(verdict.is_ok(), "{name}: this would time a refusal: {verdict:?}");
    c.bench_function(name, |b| b.iter(|| black_box(verifier.verify_client_cert(leaf, sent, now))));
}

fn crl(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    for (name, crl_population) in [("0", 0), ("1e3", 1_000), ("1e5", 100_000)] {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let method = MethodConfig::Mtls(MtlsConfig { crl_population, ..MtlsConfig::new(Duration::from_secs(3600)) });
        let (method, one) = runtime.block_on(issued(dir.path(), method)).expect("a method and its credential");
        let Material::Certificate { chain_pem, .. } = &one.material else { panic!("not a certificate") };
        let chain: Vec<_> = CertificateDer::pem_slice_iter(chain_pem.as_bytes()).map(|der| der.expect("PEM")).collect();
        let ours = method.client_certificates().expect("the method asks for certificates").verifier;
        verify(c, &format!("mtls/verify/ours/{name}"), &*ours, &chain);

        let ca = dir.path().join("bench/ca");
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(ca.join("root.pem")).expect("PEM")).expect("a root");
        let crls = ["root.crl", "issuing.crl"].map(|file| {
            CertificateRevocationListDer::from(std::fs::read(ca.join(file)).expect("the authority publishes it"))
        });
        let provider = Arc::new(aws_lc_rs::default_provider());
        let webpki = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .with_crls(crls)
            .enforce_revocation_expiration()
            .build()
            .expect("a verifier");
        verify(c, &format!("mtls/verify/webpki/{name}"), &*webpki, &chain);
    }
}

criterion_group!(benches, crl);
criterion_main!(benches);
