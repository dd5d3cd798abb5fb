//! `authbench verify key`.

use bench_server::verify::is_key;

use super::{Exit, tell};

/// Judge the form and checksum of an API key, offline: not whether it was ever issued
#[derive(clap::Args)]
pub(super) struct Args {
    /// The key. Whoever lists processes sees it: not for keys that are in use
    #[arg(value_name = "STRING", allow_hyphen_values = true)]
    key: String,
}

pub(super) fn verify(args: &Args) -> Exit {
    tell(if is_key(&args.key) { Ok(()) } else { Err("malformed") })
}
