//! A server of the user's: found, tried, and measured as it is. The run starts, configures and stops nothing of it.
//!
//! Before anything is measured each variant is tried ([`probe`]): a timed rejection is no validation, and a route that
//! lets everyone in is not authenticated.

mod environment;
mod forge;
mod http;
mod probe;
mod revoke;
mod supply;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bench_server::contract::{Issued, IssuerKey, Transport};
use reqwest::Url;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tokio::net::TcpStream;

use self::environment::Environment;
use self::http::Http;
use self::revoke::Revoker;
use self::supply::Supply;
use crate::attack::TokenKey;
use crate::load::Endpoint;
use crate::machine::Family;
use crate::plan::{ExternalMethod, Plan, TargetPlan, TargetProcesses};

/// Name of the role that the target's processes have in records.
const ROLE: &str = "target";

/// Longest wait for a TCP connection to one of the target's addresses.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A server of the user's, as one variant uses it.
pub(super) struct External {
    endpoint: Endpoint,
    supply: Supply,
    revoker: Option<Revoker>,
    family: Option<Family>,
    /// What its credentials are signed with.
    forge: Option<IssuerKey>,
    /// What its tokens are bound to.
    proofs: Option<TokenKey>,
}

impl External {
    /// Finds everything that the scenario names, and tries it unless told not to.
    ///
    /// # Errors
    /// What is missing, or what came back; no secret is in it.
    pub(super) async fn attach(
        plan: &Plan,
        target: &TargetPlan,
        external: &ExternalMethod,
        tried: bool,
    ) -> Result<Self, String> {
        let environment = Environment::read(&external.variables())?;
        let family = match &target.processes {
            None => None,
            Some(TargetProcesses::Pid(pid)) => Some(Family::of_pid(*pid)?),
            Some(TargetProcesses::Process(name)) => Some(Family::of_name(name)?),
        };
        let roots = match plan.transport {
            Transport::Plaintext => Vec::new(),
            Transport::Tls12 | Transport::Tls13 => roots(target)?,
        };
        let endpoint = find(plan, external, roots).await?;
        let http = Http::new(target, &environment)?;
        let supply = Supply::open(target, external, &environment, http.clone())?;
        let revoker = external.revoke.clone().map(|revoke| {
            let folder = target.folder.clone();
            Revoker { revoke, folder, environment, http: http.clone() }
        });
        let forge = external.forge.as_ref().map(|key| forge::read(&target.folder, key)).transpose()?;
        let proofs = external.dpop.as_ref().map(|key| forge::read_proof_key(&target.folder, key)).transpose()?;
        let external = Self { endpoint, supply, revoker, family, forge, proofs };
        if tried {
            probe::probe(&external.endpoint, &external.supply, &http).await?;
        }
        Ok(external)
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The next credentials; none is handed out twice.
    pub(super) async fn take(&self, count: usize) -> Result<Vec<Issued>, String> {
        self.supply.take(count).await
    }

    pub(super) async fn revoke(&self, credential: &Issued) -> Result<(), String> {
        match &self.revoker {
            Some(revoker) => revoker.revoke(credential).await,
            None => Err("the scenario does not say how a credential is revoked".to_owned()),
        }
    }

    /// What its credentials are signed with, where the scenario says so.
    pub(super) fn issuer_key(&self) -> Option<&IssuerKey> {
        self.forge.as_ref()
    }

    /// What its tokens are bound to, where the scenario says so.
    pub(super) fn proof_key(&self) -> Option<&TokenKey> {
        self.proofs.as_ref()
    }

    /// Whether it has more than one credential.
    pub(super) fn can_spare_one(&self) -> bool {
        self.supply.can_spare_one()
    }

    /// Whether the scenario says how one is revoked.
    pub(super) fn revokes(&self) -> bool {
        self.revoker.is_some()
    }

    pub(super) fn processes(&self) -> BTreeMap<String, Vec<u32>> {
        // One that has ended has no processes; `check_alive` says so.
        let members = self.family.iter().map(|family| family.members().unwrap_or_default());
        members.map(|members| (ROLE.to_owned(), members)).collect()
    }

    pub(super) fn check_alive(&self) -> Result<(), String> {
        self.family.as_ref().map_or(Ok(()), |family| family.members().map(drop))
    }
}

/// The endpoint of a variant: the first of its host's addresses that takes connections.
async fn find(plan: &Plan, external: &ExternalMethod, roots: Vec<CertificateDer<'static>>) -> Result<Endpoint, String> {
    let url = Url::parse(&external.url).map_err(|error| format!("{:?} is no URL: {error}", external.url))?;
    let (host, port) = url.host_str().zip(url.port_or_known_default()).ok_or("its URL has no host and port")?;
    // A URL writes an IPv6 address in brackets (RFC 3986 §3.2.2), the resolver does not.
    let name = host.trim_start_matches('[').trim_end_matches(']');
    let found = tokio::net::lookup_host((name, port)).await;
    let addresses: Vec<SocketAddr> = found.map_err(|error| format!("host {host} has no address: {error}"))?.collect();
    let address = first_open(&addresses).await?;
    let query = url.query().map_or_else(String::new, |query| format!("?{query}"));
    Ok(Endpoint {
        key_exchange: None,
        address,
        host: host.to_owned(),
        transport: plan.transport,
        http: plan.http,
        roots,
        path: format!("{}{query}", url.path()),
        convention: Some(Arc::new(external.convention.clone())),
    })
}

async fn first_open(addresses: &[SocketAddr]) -> Result<SocketAddr, String> {
    let mut refusals = Vec::new();
    for address in addresses {
        match tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
            Ok(Ok(_)) => return Ok(*address),
            Ok(Err(error)) => refusals.push(format!("{address}: {error}")),
            Err(_) => refusals.push(format!("{address}: no connection within {} s", CONNECT_TIMEOUT.as_secs())),
        }
    }
    Err(format!("nobody takes connections ({}); start it first", refusals.join("; ")))
}

/// What certificates must chain to: the scenario's roots, or the system's.
fn roots(target: &TargetPlan) -> Result<Vec<CertificateDer<'static>>, String> {
    let Some(path) = &target.roots else {
        // One certificate of the system's store that cannot be read is no reason to distrust the others.
        let found = rustls_native_certs::load_native_certs();
        let mut store = rustls::RootCertStore::empty();
        let usable: Vec<_> = found.certs.into_iter().filter(|root| store.add(root.clone()).is_ok()).collect();
        return match usable.is_empty() {
            true => Err("the system has no roots; write roots = \"ca.pem\"".to_owned()),
            false => Ok(usable),
        };
    };
    pem_roots(&target.folder.join(path))
}

fn pem_roots(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let roots = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| format!("roots {}: {error}", path.display()))?;
    if roots.is_empty() {
        return Err(format!("roots {}: no certificate in it", path.display()));
    }
    Ok(roots)
}
