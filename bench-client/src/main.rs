//! `authbench`.

use std::process::ExitCode;

fn main() -> ExitCode {
    bench_client::cli::main()
}
