//! authbench beside its peers on one machine: load clients against one server, truth that is known beforehand, and the
//! reference server beside gateways. `benches/peers/run` installs what is missing and writes `reports/peers/`.
//!
//! The client sleeps while it waits, as its peers do, so that all of its processor time is counted; beside gateways it
//! polls, so that no server pays for waking it.
//!
//! Rounds are interleaved, the server has one processor and the client another, and ratios are taken within a round.

#![allow(clippy::print_stdout, clippy::print_stderr)] // its results and its progress

mod child;
mod clients;
mod floor;
mod gateways;
mod server;
mod summary;
mod truth;
mod workspace;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Parser, Subcommand};

use self::clients::{Client, Load, Work};
use self::server::Behaviour;
use self::summary::{ratios, spread, table};
use self::workspace::{Carrier, Workspace, credential};

#[derive(Parser)]
#[command(about, version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Compares load clients: processor time per request and requests per second.
    Clients {
        /// Rounds of every comparison.
        #[arg(long, default_value_t = 15)]
        rounds: usize,
        /// Length of one client's turn.
        #[arg(long, default_value_t = 2)]
        seconds: u64,
    },
    /// Compares latencies with servers whose latencies are known.
    Truth {
        /// The program wrk2 (which calls itself wrk), if it is not on the path under that name.
        #[arg(long)]
        wrk2: Option<PathBuf>,
    },
    /// Compares the reference server with HAProxy and nginx.
    Gateways {
        /// Rounds of the comparison.
        #[arg(long, default_value_t = 7)]
        rounds: usize,
        /// The folder `scenarios`.
        #[arg(long)]
        scenarios: Option<PathBuf>,
    },
    /// The server that clients meet; it ends with its standard input.
    #[command(hide = true)]
    Serve {
        #[arg(long, requires = "key")]
        certificate: Option<PathBuf>,
        #[arg(long)]
        key: Option<PathBuf>,
        #[command(subcommand)]
        behaviour: Behaviour,
    },
    /// The floor: a client that does nothing but send and receive.
    #[command(hide = true)]
    Floor {
        #[arg(long)]
        port: u16,
        #[arg(long)]
        roots: Option<PathBuf>,
        #[arg(long)]
        connections: usize,
        #[arg(long)]
        seconds: u64,
    },
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Clients { rounds, seconds } => print!("{}", compare_clients(rounds, seconds)?),
        Command::Truth { wrk2 } => print!("{}", truth::compare(&Workspace::new()?, truth::find_wrk2(wrk2).as_deref())?),
        Command::Gateways { rounds, scenarios } => {
            let scenarios = gateways::scenarios(scenarios)?;
            print!("{}", gateways::compare(&Workspace::new()?, &scenarios, rounds)?);
        }
        Command::Serve { certificate, key, behaviour } => {
            server::serve(certificate.as_deref().zip(key.as_deref()), behaviour)?;
        }
        Command::Floor { port, roots, connections, seconds } => {
            let request = format!(
                "GET /whoami HTTP/1.1\r\nHost: localhost:{port}\r\nAuthorization: Bearer {}\r\n\r\n",
                credential(0)
            );
            let length = Duration::from_secs(seconds);
            let answers =
                floor::run(port, roots.as_deref(), request.as_bytes(), server::ANSWER_LENGTH, connections, length)?;
            println!("{answers}");
        }
    }
    Ok(())
}

const CLIENTS: [Client; 5] = [Client::Authbench, Client::Wrk, Client::Oha, Client::H2load, Client::Floor];

fn compare_clients(rounds: usize, seconds: u64) -> anyhow::Result<String> {
    let workspace = Workspace::new()?;
    let mut text = String::new();
    let mut present = Vec::new();
    for client in CLIENTS {
        match client.version(&workspace) {
            Some(version) => {
                if !version.is_empty() {
                    text += &format!("- {}: {version}\n", client.name());
                }
                present.push(client);
            }
            None => text += &format!("- {}: not installed, left out\n", client.name()),
        }
    }
    let kept = |carrier| Load { carrier, connections: 64, seconds, fresh: false };
    let fresh = Load { carrier: Carrier::Tls13, connections: 16, seconds, fresh: true };
    for load in [kept(Carrier::Plaintext), kept(Carrier::Tls13), fresh] {
        let kind = if load.fresh { "a new connection for each request" } else { "kept" };
        text += &format!("\n## {}, {} connections, {kind}\n\n", load.carrier.name(), load.connections);
        text += &compare_load(&workspace, &present, rounds, &load)?;
    }
    Ok(text)
}

fn compare_load(workspace: &Workspace, present: &[Client], rounds: usize, load: &Load) -> anyhow::Result<String> {
    let clients: Vec<Client> = present.iter().copied().filter(|client| client.can(load)).collect();
    let server = workspace.serve(load.carrier, &Behaviour::Prompt)?;
    let mut works: Vec<Vec<Work>> = vec![Vec::new(); clients.len()];
    for round in 0..rounds {
        for turn in 0..clients.len() {
            let index = (round + turn) % clients.len();
            let work = clients[index].run(workspace, server.port, server.pid(), load);
            works[index].push(work.with_context(|| format!("{} in round {round}", clients[index].name()))?);
        }
        eprintln!("{}: round {} of {rounds}", load.carrier.name(), round + 1);
    }
    let column = |index: usize, of: fn(&Work) -> f64| -> Vec<f64> { works[index].iter().map(of).collect() };
    let cpu = |index: usize| column(index, |work| work.cpu_us_per_request);
    let rate = |index: usize| column(index, |work| work.per_second);
    let own = clients.iter().position(|client| *client == Client::Authbench).context("authbench takes part")?;
    let rows: Vec<Vec<String>> = clients
        .iter()
        .enumerate()
        .map(|(index, client)| {
            vec![
                client.name().to_owned(),
                spread(&rate(index), 0),
                spread(&cpu(index), 2),
                spread(&ratios(&cpu(own), &cpu(index)), 2),
                spread(&ratios(&rate(own), &rate(index)), 2),
            ]
        })
        .collect();
    let head =
        ["client", "requests/s", "client CPU, µs/request", "authbench's CPU to this", "authbench's requests/s to this"];
    Ok(table(&head, &rows))
}
