//! What all comparisons stand on: certificates, credentials, and where the programs are.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use tempfile::TempDir;

use super::child::{self, Server};
use super::server::{Behaviour, KEY, NAME};

/// Processor of the servers.
pub(crate) const SERVER_CPU: usize = 0;
/// Processor of the clients.
pub(crate) const CLIENT_CPU: usize = 1;

/// Credentials in use.
const CREDENTIALS: usize = 10_000;

/// A temporary folder with what clients and servers need.
pub(crate) struct Workspace {
    folder: TempDir,
    this: PathBuf,
    /// The program that is compared with its peers.
    pub(crate) authbench: PathBuf,
}

/// How a server is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carrier {
    Plaintext,
    Tls13,
}

impl Carrier {
    pub(crate) fn scheme(self) -> &'static str {
        match self {
            Self::Plaintext => "http",
            Self::Tls13 => "https",
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "plaintext",
            Self::Tls13 => "TLS 1.3",
        }
    }
}

impl Workspace {
    /// Makes certificates and credentials, and looks for `authbench` beside this program.
    ///
    /// # Errors
    /// When they cannot be made, or it is not there.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let this = std::env::current_exe()?;
        // target/release/examples/peers → target/release/authbench
        let authbench = this.ancestors().nth(2).context("this program has no place")?.join("authbench");
        anyhow::ensure!(
            authbench.exists(),
            "{} is missing: cargo build --release -p bench-client",
            authbench.display()
        );
        let workspace = Self { folder: TempDir::new()?, this, authbench };
        workspace.write_certificates()?;
        let mut credentials = String::new();
        for i in 0..CREDENTIALS {
            writeln!(credentials, "{}\t{}", credential(i), bearer(i))?;
        }
        std::fs::write(workspace.path("credentials.txt"), credentials)?;
        Ok(workspace)
    }

    /// A file of the workspace.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// This program again, bound to a processor.
    ///
    /// # Errors
    /// When its path is no text.
    pub(crate) fn this_on(&self, cpu: usize) -> anyhow::Result<Command> {
        Ok(child::bound(cpu, text(&self.this)?))
    }

    /// Starts the server that clients meet.
    ///
    /// # Errors
    /// When it does not start.
    pub(crate) fn serve(&self, carrier: Carrier, behaviour: &Behaviour) -> anyhow::Result<Server> {
        let mut command = self.this_on(SERVER_CPU)?;
        command.arg("serve");
        if carrier == Carrier::Tls13 {
            command.arg("--certificate").arg(self.path("server.pem")).arg("--key").arg(self.path("server.key"));
        }
        command.args(behaviour.arguments());
        Server::start(&mut command)
    }

    fn write_certificates(&self) -> anyhow::Result<()> {
        let ca_key = rcgen::KeyPair::generate()?;
        let mut ca = rcgen::CertificateParams::new(Vec::new())?;
        ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let root = ca.self_signed(&ca_key)?;
        let issuer = rcgen::Issuer::new(ca, ca_key);
        let key = rcgen::KeyPair::generate()?;
        let certificate = rcgen::CertificateParams::new(["localhost".to_owned()])?.signed_by(&key, &issuer)?;
        std::fs::write(self.path("ca.pem"), root.pem())?;
        std::fs::write(self.path("server.pem"), certificate.pem())?;
        std::fs::write(self.path("server.key"), key.serialize_pem())?;
        Ok(())
    }
}

/// The credential of a number, and whom it names.
pub(crate) fn credential(number: usize) -> String {
    format!("{KEY}{}", bearer(number))
}

fn bearer(number: usize) -> String {
    format!("{number:0NAME$}")
}

/// A path as text.
///
/// # Errors
/// When it is none.
pub(crate) fn text(path: &Path) -> anyhow::Result<&str> {
    path.to_str().with_context(|| format!("{} is no text", path.display()))
}
