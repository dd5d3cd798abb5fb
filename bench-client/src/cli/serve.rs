//! `authbench serve`: the reference server, the same code as `bench-server`.

use std::process::ExitCode;

use super::{Exit, fail};

/// Serve the methods: the reference server alone
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    serve: bench_server::cli::ServeArgs,
}

pub(super) fn serve(args: Args) -> ExitCode {
    bench_server::cli::serve(args.serve)
        .unwrap_or_else(|error| fail(Exit::Measurement, format_args!("{error:#}")).into())
}
