//! Certificates that a proxy passes on in fields of the request (RFC 9440).
//!
//! Whoever can reach the server can write such a field. It is believed from configured proxies alone, which authenticate by
//! certificates of their own; from everybody else it is ignored and counted. What a proxy passes on is verified like what
//! comes in a handshake: the proxy says which certificate its client proved to hold, not what it is worth.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use rustls_pki_types::CertificateDer;

use super::Mtls;
use crate::auth::{Cause, Rejection};
use crate::clock::UnixTime;
use crate::credential::x509::ClientIdentity;

/// The leaf, and what it is to be verified with (RFC 9440 §2.2, §2.3).
const LEAF: &str = "client-cert";
const CHAIN: &str = "client-cert-chain";

/// Most certificates that are passed on above a leaf: more than any path that is verified.
const MOST_ABOVE: usize = 8;

/// Fields by which proxies of all makes pass on what they know of a client's certificate.
const FIELDS: [&str; 10] = [
    LEAF,
    CHAIN,
    "x-forwarded-client-cert",
    "x-forwarded-tls-client-cert",
    "x-ssl-client-cert",
    "x-ssl-cert",
    "x-client-cert",
    "x-client-verify",
    "x-ssl-client-verify",
    "ssl-client-subject-dn",
];

impl Mtls {
    /// The identity that a proxy passes on; `None` where it is the connection's whose request it is.
    ///
    /// # Errors
    /// [`Rejection::Missing`] when a proxy passes nobody on, and those of a certificate that is malformed or not good.
    pub(super) fn on_behalf(
        &self,
        connection: &ClientIdentity,
        fields: &HeaderMap,
        now: UnixTime,
    ) -> Result<Option<ClientIdentity>, Rejection> {
        if !self.config.proxies.iter().any(|proxy| **proxy == *connection.spiffe_id) {
            self.count_fields(fields);
            return Ok(None);
        }
        let Some(leaf) = one(fields, LEAF)? else {
            if fields.contains_key(CHAIN) {
                return Err(malformed()); // of nobody
            }
            // Its client has no certificate, and must not pass for the proxy. Only a request of one that is a client as well,
            // by name, can be its own.
            let is_client = self.config.identities.iter().any(|one| **one == *connection.spiffe_id);
            return if is_client { Ok(None) } else { Err(Rejection::Missing) };
        };
        let leaf = CertificateDer::from(item(leaf).ok_or_else(malformed)?);
        let above = match one(fields, CHAIN)? {
            Some(list) => {
                let items = list.split(',').map(|text| item(text.trim_matches([' ', '\t'])).map(CertificateDer::from));
                items.collect::<Option<Vec<_>>>().filter(|all| all.len() <= MOST_ABOVE).ok_or_else(malformed)?
            }
            None => Vec::new(),
        };
        webpki::EndEntityCert::try_from(&leaf).map_err(|_| malformed())?;
        self.meter.verify_calls.add();
        let refused = |error| match error {
            webpki::Error::CertExpired { .. } => Rejection::Invalid(Cause::Expired),
            webpki::Error::CertNotValidYet { .. } => Rejection::Invalid(Cause::NotYetValid),
            webpki::Error::CertRevoked => Rejection::Invalid(Cause::Revoked),
            _ => Rejection::Invalid(Cause::Unknown),
        };
        self.verifier.verify_path_at(&leaf, &above, now).map_err(refused)?;
        ClientIdentity::from_der(&leaf).map(Some).map_err(|_| Rejection::Forbidden("client-identity-invalid"))
    }

    /// Counts a request that claims what its sender may not say.
    pub(super) fn count_fields(&self, fields: &HeaderMap) {
        if fields.keys().any(|name| FIELDS.contains(&name.as_str())) {
            self.meter.certificate_fields_ignored.add();
        }
    }
}

/// A certificate that was passed on is bad: that is no reason to end the connection, which is the proxy's.
pub(super) fn of_another(rejection: Rejection) -> Rejection {
    match rejection {
        Rejection::Invalid(_) => Rejection::Forbidden("client-certificate-invalid"),
        other => other,
    }
}

/// The value of a field that is there once, if at all.
fn one<'f>(fields: &'f HeaderMap, name: &str) -> Result<Option<&'f str>, Rejection> {
    let mut all = fields.get_all(name).iter();
    match (all.next(), all.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| malformed()),
        (Some(_), Some(_)) => Err(Rejection::Ambiguous("a certificate field is repeated")),
    }
}

/// A byte sequence (RFC 9651 §3.3.5), without parameters.
fn item(text: &str) -> Option<Vec<u8>> {
    let encoded = text.strip_prefix(':')?.strip_suffix(':')?;
    STANDARD.decode(encoded).ok().filter(|bytes| !bytes.is_empty())
}

fn malformed() -> Rejection {
    Rejection::Ambiguous("a certificate field is malformed")
}
