//! `authbench verify chain`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bench_server::verify::Chains;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer};

use super::{Exit, Trouble, read, tell};
use crate::cli::remark;

/// Judge a client's certificate chain by the code of the TLS verifier (RFC 5280 §6)
#[derive(clap::Args)]
pub(super) struct Args {
    /// Root certificates
    #[arg(long, value_name = "PEM")]
    roots: PathBuf,
    /// What the client sends: its certificate, then those of CAs
    #[arg(long, value_name = "PEM")]
    chain: PathBuf,
    /// CRLs, DER or PEM; with one, every certificate of the path needs one of its issuer
    #[arg(long, value_name = "FILE")]
    crl: Vec<PathBuf>,
    /// When the chain is judged, in seconds since 1970
    #[arg(long, value_name = "UNIX")]
    now: u64,
    /// Ask for one SPIFFE ID too, as the server's own listeners do
    #[arg(long)]
    identity: bool,
}

pub(super) fn verify(args: &Args) -> Result<Exit, Trouble> {
    let (roots, chain) = (certificates(&args.roots)?, certificates(&args.chain)?);
    let crls = args.crl.iter().map(|file| read(file).map(der)).collect::<Result<Vec<_>, _>>()?;
    let (verdict, remarks) = Chains::new(roots, crls).check(&chain[0], &chain[1..], Duration::from_secs(args.now));
    remarks.iter().for_each(remark);
    Ok(tell(match verdict {
        Ok(accepted) if args.identity && accepted.identity.is_none() => Err("identity"),
        verdict => verdict.map(drop),
    }))
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, Trouble> {
    let place = |why: &dyn std::fmt::Display| format!("{}: {why}; give certificates in PEM", file.display());
    let found = CertificateDer::pem_slice_iter(&read(file)?).collect::<Result<Vec<_>, _>>();
    let found = found.map_err(|error| place(&error))?;
    if found.is_empty() { Err(place(&"there is none in it")) } else { Ok(found) }
}

/// A CRL in DER, whichever form the file has.
fn der(content: Vec<u8>) -> Vec<u8> {
    match CertificateRevocationListDer::from_pem_slice(&content) {
        Ok(crl) => crl.to_vec(),
        Err(_) => content,
    }
}
