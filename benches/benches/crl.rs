//! What the length of the CRL adds to the verification of a client certificate in a handshake: the same chain against an
//! empty list and a long one, in turn, many times over. Then what it takes to read the long one, which no handshake waits for.
//!
//! ```text
//! cargo bench --bench crl
//! ```
//!
//! The acceptance tables allow 1.05 times at 100 000 entries; with more the program fails. `cargo test --benches` does a few
//! rounds of a short list.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bench_server::contract::{Material, MethodConfig, MtlsConfig};
use benches::issued;
use benches::table::{Contender, in_turn, verdict};
use rustls::server::danger::ClientCertVerifier;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, UnixTime};
use tokio::runtime::Runtime;

/// Rounds; odd, so that there is a middle one.
const ROUNDS: usize = 1_001;

/// How many times as long one may take.
const ALLOWED: f64 = 1.05;

/// A client's chain and who verifies it.
struct Handshake {
    verifier: Arc<dyn ClientCertVerifier>,
    chain: Vec<CertificateDer<'static>>,
    /// How long the list took to be made, signed and read.
    started_in: Duration,
}

impl Handshake {
    fn new(runtime: &Runtime, dir: &Path, crl_population: usize) -> anyhow::Result<Self> {
        let begun = Instant::now();
        let method = MtlsConfig { crl_population, ..MtlsConfig::new(Duration::from_secs(3600)) };
        let (method, one) = runtime.block_on(issued(dir, MethodConfig::Mtls(method)))?;
        let started_in = begun.elapsed();
        let Material::Certificate { chain_pem, .. } = &one.material else { anyhow::bail!("not a certificate") };
        let chain = CertificateDer::pem_slice_iter(chain_pem.as_bytes()).collect::<Result<_, _>>()?;
        let verifier = method.client_certificates().expect("the method asks for certificates").verifier;
        Ok(Self { verifier, chain, started_in })
    }

    fn verify(&self) -> bool {
        let (leaf, sent) = self.chain.split_first().expect("a leaf");
        self.verifier.verify_client_cert(leaf, sent, UnixTime::now()).is_ok()
    }
}

#[allow(clippy::print_stdout)] // this is the result
fn main() -> anyhow::Result<ExitCode> {
    let measures = std::env::args().any(|argument| argument == "--bench");
    let (rounds, entries) = if measures { (ROUNDS, 100_000) } else { (3, 1_000) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let folder = tempfile::tempdir()?;
    let empty = Handshake::new(&runtime, &folder.path().join("empty"), 0)?;
    let long = Handshake::new(&runtime, &folder.path().join("long"), entries)?;
    let mut both = [Contender::new("empty", || empty.verify()), Contender::new("long", || long.verify())];
    in_turn(&mut both, rounds);
    println!("verification of a client's chain, medians of {rounds} interleaved rounds\n");
    println!("{:>10} {:>12} {:>22}", "entries", "handshake", "made, signed and read");
    for (entries, handshake, contender) in [(0, &empty, &both[0]), (entries, &long, &both[1])] {
        println!("{entries:>10} {:>9.1} µs {:>19.1?}", contender.ns() / 1e3, handshake.started_in);
    }
    if !measures {
        return Ok(ExitCode::SUCCESS);
    }
    let ratio = both[1].times(&both[0]);
    let (verdict, exit) = verdict(ratio <= ALLOWED);
    println!("\nratio {ratio:.3}: {verdict} the {ALLOWED} that is allowed");
    Ok(exit)
}
