//! `bench-server`: the reference server alone. `authbench serve` is the same code.

use std::process::ExitCode;

use bench_server::cli::{ServeArgs, serve};
use clap::Parser;

/// The reference server of authbench: API keys, OAuth 2.0, JWT, HTTP Basic and mTLS, implemented for real.
#[derive(Parser)]
#[command(name = "bench-server", version)]
struct Arguments {
    #[command(flatten)]
    serve: ServeArgs,
}

fn main() -> anyhow::Result<ExitCode> {
    serve(Arguments::parse().serve)
}
