//! Bad credentials as data: what is sent, what must come back, and how bad it is if it does not. The table that ships stands
//! in `scenarios/attack/`; docs/attack.md says how to read and how to extend it.
//!
//! ```text
//! table (cases) → mutation (of a credential) → template (into a request)
//!                 jws, key: what tokens are made of and signed with; signature: what requests are signed with
//! ```

mod jws;
mod key;
mod mutation;
mod proof;
mod signature;
mod table;
mod template;

pub(crate) use self::jws::Jws;
pub(crate) use self::key::TokenKey;
pub(crate) use self::mutation::{Attacker, Bound, Credential, Needed, Source, algorithm};
pub(crate) use self::proof::ProofFor;
pub(crate) use self::signature::{Sent, Signature};
pub use self::table::Severity;
pub(crate) use self::table::{
    Answer, Caller, Case, CertificateKind, Chosen, Connection, Counter, Expect, HashKind, Hello, MethodKind, Needs,
    Place, State, Table, Try,
};
pub(crate) use self::template::{Missing, fill};
