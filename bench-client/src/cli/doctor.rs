//! `authbench doctor`: what this machine is, as far as it matters for measuring.

use super::{Exit, print};
use crate::machine::{Machine, raise_open_files_limit};

/// Show what of this machine matters for measuring
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

/// Sockets of the client and of the server's processes for the scenarios that ship, with room.
const OPEN_FILES_WANTED: u64 = 4_096;

pub(super) fn doctor(_args: &Args) -> Exit {
    let machine = Machine::detect(true);
    let gib = machine.memory_bytes as f64 / f64::from(1 << 30);
    print(format_args!("processor     {} × {} ({})", machine.cpus, machine.cpu_model, machine.arch));
    print(format_args!("memory        {gib:.1} GiB"));
    print(format_args!("system        {}", machine.os));
    print(format_args!("hypervisor    {}", machine.hypervisor.as_deref().unwrap_or("none seen")));
    match machine.client_cpu {
        Some(client) => {
            let servers: Vec<String> = machine.server_cpus.iter().map(ToString::to_string).collect();
            print(format_args!("binding       servers on processor {}, client on {client}", servers.join(", ")));
        }
        None => print("binding       none: with fewer than two processors server and client share one, and costs blur"),
    }
    match raise_open_files_limit() {
        Ok(limit) if limit >= OPEN_FILES_WANTED => print(format_args!("open files    {limit}")),
        Ok(limit) => {
            print(format_args!("open files    {limit}: fewer than {OPEN_FILES_WANTED}; raise it with `ulimit -n`"));
        }
        Err(error) => print(format_args!("open files    unknown: {error}")),
    }
    Exit::Fine
}
