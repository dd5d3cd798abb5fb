//! `forge = { … }`: what a server of the user's signs credentials with, so that an attack can sign what its issuer never would.

use super::super::reader::Section;
use super::super::value::one_of;
use super::super::variant::ALGORITHMS;
use super::field::content;
use crate::plan::ForgeKey;

/// `forge = { key = "signing.pem", algorithm = "ES256" }`.
pub(super) fn read_token_key(section: &mut Section<'_>) -> Option<ForgeKey> {
    let mut table = section.table("forge")?;
    let key = table.required("key", "\"signing-key.pem\"", content);
    let algorithm = table.required("algorithm", "\"ES256\"", one_of(ALGORITHMS));
    table.finish();
    Some(ForgeKey::Token { algorithm: algorithm?, key: key?.into() })
}

/// `forge = { ca = "ca.pem", key = "ca.key" }`.
pub(super) fn read_ca(section: &mut Section<'_>) -> Option<ForgeKey> {
    let mut table = section.table("forge")?;
    let ca = table.required("ca", "\"ca.pem\"", content);
    let key = table.required("key", "\"ca.key\"", content);
    table.finish();
    Some(ForgeKey::Certificate { ca: ca?.into(), key: key?.into() })
}
