//! Where a process that is ready is reached, by what it says of itself.

use bench_server::contract::{KeyExchange, Ready, ReadyListener, Transport};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::load::Endpoint;
use crate::plan::ServerPlan;

pub(super) fn endpoint(
    ready: &Ready,
    (name, path): (&str, &str),
    server: ServerPlan,
    key_exchange: Option<KeyExchange>,
) -> Result<Endpoint, String> {
    let listener = listener_named(ready, name)?;
    Ok(Endpoint {
        address: listener.address,
        host: host(&listener.url)?,
        transport: server.transport,
        http: server.http,
        key_exchange,
        roots: roots(ready, server.transport)?,
        path: path.to_owned(),
        convention: None,
    })
}

/// The host of a listener's URL.
pub(super) fn host(url: &str) -> Result<String, String> {
    let parsed = reqwest::Url::parse(url).ok();
    let host = parsed.as_ref().and_then(reqwest::Url::host_str);
    host.map(str::to_owned).ok_or_else(|| format!("the server says that it listens on {url:?}, which is no URL"))
}

pub(super) fn listener_named<'r>(ready: &'r Ready, name: &str) -> Result<&'r ReadyListener, String> {
    ready
        .listeners
        .iter()
        .find(|listener| listener.name == name)
        .ok_or_else(|| format!("the server reports no listener named {name:?}"))
}

/// The roots that the process's certificate must chain to.
pub(super) fn roots(ready: &Ready, transport: Transport) -> Result<Vec<CertificateDer<'static>>, String> {
    if transport == Transport::Plaintext {
        return Ok(Vec::new());
    }
    let path = &ready.ca_file;
    let roots = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| format!("{}: {error}", path.display()))?;
    if roots.is_empty() {
        return Err(format!("{}: no certificate in it", path.display()));
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_come_from_the_pem_file_and_an_empty_one_is_an_error() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let ca_file = folder.path().join("ca.pem");
        std::fs::write(&ca_file, "nothing\n").expect("writable");
        let ready = Ready { pid: 1, control: "/c".into(), listeners: Vec::new(), ca_file };
        assert_eq!(roots(&ready, Transport::Plaintext), Ok(Vec::new()));
        let error = roots(&ready, Transport::Tls13).expect_err("there is no certificate in it");
        assert!(error.contains("ca.pem"), "{error}");
        std::fs::write(&ready.ca_file, "-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----\n")
            .expect("writable");
        assert_eq!(roots(&ready, Transport::Tls13), Ok(vec![CertificateDer::from(vec![1, 2, 3])]));
    }
}
