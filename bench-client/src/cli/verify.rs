//! `authbench verify`: the validators without a server, one file per kind of credential.

mod request;

use super::Exit;

/// Judge a credential without a server
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    Request(request::Args),
}

pub(super) fn verify(args: &Args) -> Exit {
    match &args.what {
        What::Request(args) => request::run(args),
    }
}
