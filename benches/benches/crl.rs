//! What the length of the CRL adds to the verification of a client certificate in a handshake: the same chain against an
//! empty list and a long one, in turn, many times over. Then what it takes to read the long one, which no handshake waits for.
//!
//! ```text
//! cargo bench --bench crl
//! ```
//!
//! The acceptance tables allow 1.05 times at 100 000 entries. `cargo test --benches` does a few rounds of a short list.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bench_server::contract::{Material, MethodConfig, MtlsConfig};
use benches::issued;
use rustls::server::danger::ClientCertVerifier;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, UnixTime};
use tokio::runtime::Runtime;

/// Rounds; odd, so that there is a middle one.
const ROUNDS: usize = 1_001;

/// Verifications in a round.
const BATCH: u32 = 10;

/// How much longer one may take.
const ALLOWED: f64 = 1.05;

struct Contender {
    verifier: Arc<dyn ClientCertVerifier>,
    chain: Vec<CertificateDer<'static>>,
    /// Of one verification, a round each, in nanoseconds.
    times: Vec<f64>,
}

impl Contender {
    fn new(runtime: &Runtime, dir: &Path, crl_population: usize) -> anyhow::Result<Self> {
        let method = MtlsConfig { crl_population, ..MtlsConfig::new(Duration::from_secs(3600)) };
        let (method, one) = runtime.block_on(issued(dir, MethodConfig::Mtls(method)))?;
        let Material::Certificate { chain_pem, .. } = &one.material else { anyhow::bail!("not a certificate") };
        let chain = CertificateDer::pem_slice_iter(chain_pem.as_bytes()).collect::<Result<_, _>>()?;
        let verifier = method.client_certificates().expect("the method asks for certificates").verifier;
        Ok(Self { verifier, chain, times: Vec::new() })
    }

    fn round(&mut self) {
        let (leaf, sent) = self.chain.split_first().expect("a leaf");
        let (now, begun) = (UnixTime::now(), Instant::now());
        for _ in 0..BATCH {
            let verdict = black_box(self.verifier.verify_client_cert(leaf, sent, now));
            assert!(verdict.is_ok(), "this would time a refusal: {verdict:?}");
        }
        self.times.push(begun.elapsed().as_nanos() as f64 / f64::from(BATCH));
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[allow(clippy::print_stdout)] // this is the result
fn main() -> anyhow::Result<()> {
    let measures = std::env::args().any(|argument| argument == "--bench");
    let (rounds, entries) = if measures { (ROUNDS, 100_000) } else { (3, 1_000) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let folder = tempfile::tempdir()?;
    let begun = Instant::now();
    let mut empty = Contender::new(&runtime, &folder.path().join("empty"), 0)?;
    let start_empty = begun.elapsed();
    let begun = Instant::now();
    let mut long = Contender::new(&runtime, &folder.path().join("long"), entries)?;
    let start_long = begun.elapsed();
    for round in 0..rounds {
        // Whoever comes first finds other caches than whoever follows it.
        if round % 2 == 0 {
            empty.round();
            long.round();
        } else {
            long.round();
            empty.round();
        }
    }
    let ratios = long.times.iter().zip(&empty.times).map(|(long, empty)| long / empty).collect();
    let ratio = median(ratios);
    println!("verification of a client's chain, medians of {rounds} interleaved rounds of {BATCH}\n");
    println!("{:>10} {:>12} {:>22}", "entries", "handshake", "made, signed and read");
    println!("{:>10} {:>9.1} µs {:>19.1?}", 0, median(empty.times) / 1e3, start_empty);
    println!("{entries:>10} {:>9.1} µs {start_long:>19.1?}", median(long.times) / 1e3);
    let verdict = if ratio <= ALLOWED { "within" } else { "over" };
    println!("\nratio {ratio:.3}: {verdict} the {ALLOWED} that is allowed");
    Ok(())
}
