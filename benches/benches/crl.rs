//! What the length of the CRL adds to the verification of a client certificate in a handshake: the same chain against an
//! empty list and a long one, in turn, many times over. Then what it takes to make and sign each, and what a server that knows the
//! file alone takes to read and verify it: time, which no handshake waits for, and memory.
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

use bench_server::contract::{ForeignCa, ForeignPki, Material, MethodConfig, MtlsConfig};
use benches::table::{Contender, in_turn, verdict};
use benches::{built, issued};
use rustls::server::danger::ClientCertVerifier;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, UnixTime};
use tokio::runtime::Runtime;

const HOUR: Duration = Duration::from_secs(3600);

/// Rounds; odd, so that there is a middle one.
const ROUNDS: usize = 1_001;

/// How many times as long one may take.
const ALLOWED: f64 = 1.05;

/// Readers of a list, each with a copy of its own: what one takes is told by all of them together, for memory that was freed
/// before is used again. Odd, as [`ROUNDS`].
const READERS: usize = 5;

/// A client's chain and who verifies it.
struct Handshake {
    verifier: Arc<dyn ClientCertVerifier>,
    chain: Vec<CertificateDer<'static>>,
    /// What it took to make and sign the list, and to read it.
    made: Duration,
    /// What it takes another server to read it.
    read: Duration,
    /// Bytes that it then takes; absent where the system does not tell.
    memory: Option<u64>,
}

impl Handshake {
    fn new(runtime: &Runtime, dir: &Path, crl_population: usize) -> anyhow::Result<Self> {
        let method = MtlsConfig { crl_population, ..MtlsConfig::new(HOUR) };
        let begun = Instant::now();
        let (method, one) = runtime.block_on(issued(dir, MethodConfig::Mtls(method)))?;
        let made = begun.elapsed();
        let Material::Certificate { chain_pem, .. } = &one.material else { anyhow::bail!("not a certificate") };
        let chain = CertificateDer::pem_slice_iter(chain_pem.as_bytes()).collect::<Result<_, _>>()?;
        let verifier = method.client_certificates().expect("the method asks for certificates").verifier;
        let (read, memory) = reading(runtime, dir)?;
        Ok(Self { verifier, chain, made, read, memory })
    }

    fn verify(&self) -> bool {
        let (leaf, sent) = self.chain.split_first().expect("a leaf");
        self.verifier.verify_client_cert(leaf, sent, UnixTime::now()).is_ok()
    }
}

/// What servers take to read the lists of the CA in a folder that are given nothing else: the median time, and bytes that they
/// keep.
fn reading(runtime: &Runtime, dir: &Path) -> anyhow::Result<(Duration, Option<u64>)> {
    let file = |name: &str| dir.join("bench/ca").join(name);
    let ca =
        |name: &str| ForeignCa { certificate: file(&format!("{name}.pem")), crl: Some(file(&format!("{name}.crl"))) };
    let pki = Some(ForeignPki { cas: vec![ca("root"), ca("issuing")] });
    let config = MtlsConfig { pki, ..MtlsConfig::new(HOUR) };
    let before = resident();
    let (mut times, mut readers) = (Vec::new(), Vec::new());
    for _ in 0..READERS {
        let begun = Instant::now();
        readers.push(runtime.block_on(built(&dir.join("readers"), MethodConfig::Mtls(config.clone())))?);
        times.push(begun.elapsed());
    }
    times.sort();
    let grown = resident().zip(before).map(|(after, before)| after.saturating_sub(before) / READERS as u64);
    Ok((times[READERS / 2], grown))
}

/// Bytes of memory that the process takes; `None` where the system does not tell.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().strip_suffix("kB")?;
    kib.trim().parse::<u64>().ok().map(|kib| 1024 * kib)
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
    println!("{:>10} {:>12} {:>15} {:>12} {:>12}", "entries", "handshake", "made and signed", "read", "memory");
    for (entries, Handshake { made, read, memory, .. }, contender) in
        [(0, &empty, &both[0]), (entries, &long, &both[1])]
    {
        let memory = memory.map_or_else(|| "unknown".to_owned(), |bytes| format!("{:.1} MB", bytes as f64 / 1e6));
        println!("{entries:>10} {:>9.1} µs {made:>15.1?} {read:>12.1?} {memory:>12}", contender.ns() / 1e3);
    }
    if !measures {
        return Ok(ExitCode::SUCCESS);
    }
    let ratio = both[1].times(&both[0]);
    let (verdict, exit) = verdict(ratio <= ALLOWED);
    println!("\nratio {ratio:.3}: {verdict} the {ALLOWED} that is allowed");
    Ok(exit)
}
