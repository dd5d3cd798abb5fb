//! What the length of the CRL adds to the verification of a client certificate in a handshake: the same chain against an
//! empty list and a long one, in turn, many times over. Then what it takes to make and sign each, and what a server that knows the
//! file alone takes to read and verify it: time, which no handshake waits for, and memory.
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

use bench_server::contract::{ForeignCa, ForeignPki, Material, MethodConfig, MtlsConfig};
use benches::{built, issued};
use rustls::server::danger::ClientCertVerifier;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, UnixTime};
use tokio::runtime::Runtime;

const HOUR: Duration = Duration::from_secs(3600);

/// Rounds; odd, so that there is a middle one.
const ROUNDS: usize = 1_001;

/// Verifications in a round.
const BATCH: u32 = 10;

/// How much longer one may take.
const ALLOWED: f64 = 1.05;

/// Readers of a list, each with a copy of its own: what one takes is told by all of them together, for memory that was freed
/// before is used again. Odd, as [`ROUNDS`].
const READERS: usize = 5;

struct Contender {
    verifier: Arc<dyn ClientCertVerifier>,
    chain: Vec<CertificateDer<'static>>,
    /// What it took to make and sign the list, and to read it.
    made: Duration,
    /// What it takes another server to read it, in nanoseconds.
    read: f64,
    /// Bytes that it then takes; absent where the system does not tell.
    memory: Option<u64>,
    /// Of one verification, a round each, in nanoseconds.
    times: Vec<f64>,
}

impl Contender {
    fn new(runtime: &Runtime, dir: &Path, crl_population: usize) -> anyhow::Result<Self> {
        let method = MtlsConfig { crl_population, ..MtlsConfig::new(HOUR) };
        let begun = Instant::now();
        let (method, one) = runtime.block_on(issued(dir, MethodConfig::Mtls(method)))?;
        let made = begun.elapsed();
        let Material::Certificate { chain_pem, .. } = &one.material else { anyhow::bail!("not a certificate") };
        let chain = CertificateDer::pem_slice_iter(chain_pem.as_bytes()).collect::<Result<_, _>>()?;
        let verifier = method.client_certificates().expect("the method asks for certificates").verifier;
        let (read, memory) = reading(runtime, dir)?;
        Ok(Self { verifier, chain, made, read, memory, times: Vec::new() })
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

/// What servers take to read the lists of the CA in a folder that are given nothing else: nanoseconds, and bytes that they keep.
fn reading(runtime: &Runtime, dir: &Path) -> anyhow::Result<(f64, Option<u64>)> {
    let file = |name: &str| dir.join("bench/ca").join(name);
    let ca = |name: &str| ForeignCa {
        certificate: file(&format!("{name}.pem")),
        crl: Some(file(&format!("{name}.crl"))),
    };
    let pki = Some(ForeignPki { cas: vec![ca("root"), ca("issuing")] });
    let config = MtlsConfig { pki, ..MtlsConfig::new(HOUR) };
    let before = resident();
    let (mut times, mut readers) = (Vec::new(), Vec::new());
    for _ in 0..READERS {
        let begun = Instant::now();
        readers.push(runtime.block_on(built(&dir.join("readers"), MethodConfig::Mtls(config.clone())))?);
        times.push(begun.elapsed().as_nanos() as f64);
    }
    let grown = resident().zip(before).map(|(after, before)| after.saturating_sub(before) / READERS as u64);
    Ok((median(times), grown))
}

/// Bytes of memory that the process takes; `None` where the system does not tell.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().strip_suffix("kB")?;
    kib.trim().parse::<u64>().ok().map(|kib| 1024 * kib)
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
    let mut empty = Contender::new(&runtime, &folder.path().join("empty"), 0)?;
    let mut long = Contender::new(&runtime, &folder.path().join("long"), entries)?;
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
    println!("{:>10} {:>12} {:>15} {:>12} {:>12}", "entries", "handshake", "made and signed", "read", "memory");
    for (entries, Contender { times, made, read, memory, .. }) in [(0, empty), (entries, long)] {
        let (handshake, made, read) = (median(times) / 1e3, made.as_secs_f64() * 1e3, read / 1e6);
        let memory = memory.map_or_else(|| "unknown".to_owned(), |bytes| format!("{:.1} MB", bytes as f64 / 1e6));
        println!("{entries:>10} {handshake:>9.1} µs {made:>12.1} ms {read:>9.1} ms {memory:>12}");
    }
    let verdict = if ratio <= ALLOWED { "within" } else { "over" };
    println!("\nratio {ratio:.3}: {verdict} the {ALLOWED} that is allowed");
    Ok(())
}
