//! The signature base (RFC 9421 §2.5): the text that is signed, built anew from the request that was received.

use http::request::Parts;
use http::{HeaderMap, HeaderName, header};

use super::Refused;
use super::fields::Bare;
use super::presented::Input;

/// What of a request can be covered.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// Case counts (RFC 9421 §2.2.1).
    pub method: &'a str,
    /// Host and port as they were sent.
    pub authority: &'a str,
    /// Nothing in it is decoded (§2.2.6).
    pub path: &'a str,
    /// Without the `?`; absent is not the same request as empty, and the same component (§2.2.7).
    pub query: Option<&'a str>,
    /// Header fields.
    pub fields: &'a HeaderMap,
    /// The content, as it was received.
    pub content: &'a [u8],
}

impl<'a> Message<'a> {
    /// The message of a request head and its content.
    ///
    /// # Errors
    /// [`Refused::Malformed`] when it does not say once and clearly which host is meant: request target and `Host` might be
    /// believed by different readers.
    pub fn new(head: &'a Parts, content: &'a [u8]) -> Result<Self, Refused> {
        let mut hosts = head.headers.get_all(header::HOST).iter();
        let host = hosts.next().map(|host| host.to_str().map_err(|_| Refused::Malformed)).transpose()?;
        let target = head.uri.authority().map(http::uri::Authority::as_str);
        let authority = match (target, host, hosts.next()) {
            (Some(target), Some(host), None) if target.eq_ignore_ascii_case(host) => target,
            (Some(one), None, None) | (None, Some(one), None) => one,
            _ => return Err(Refused::Malformed),
        };
        Ok(Self {
            method: head.method.as_str(),
            authority,
            path: head.uri.path(),
            query: head.uri.query(),
            fields: &head.headers,
            content,
        })
    }

    /// Appends the lines of the components (§2.5), each with its line feed.
    pub(super) fn put_components<'c>(
        &self,
        components: impl IntoIterator<Item = &'c str>,
        base: &mut Vec<u8>,
    ) -> Result<(), Refused> {
        for name in components {
            base.push(b'"');
            base.extend_from_slice(name.as_bytes());
            base.extend_from_slice(b"\": ");
            match name {
                "@method" => base.extend_from_slice(self.method.as_bytes()),
                "@authority" => put_authority(self.authority, base),
                "@path" => base.extend_from_slice(self.path.as_bytes()),
                "@query" => {
                    base.push(b'?');
                    base.extend_from_slice(self.query.unwrap_or_default().as_bytes());
                }
                // Others are derived from what is not known here, or belong to responses.
                _ if name.starts_with('@') => return Err(Refused::Components),
                _ => self.put_field(name, base)?,
            }
            base.push(b'\n');
        }
        Ok(())
    }

    /// All lines of a field with commas between them, without the space around each (§2.1).
    fn put_field(&self, name: &str, base: &mut Vec<u8>) -> Result<(), Refused> {
        // Names are written in lower case (§2.1), and `http` would take others too.
        let written_small = !name.bytes().any(|byte| byte.is_ascii_uppercase());
        let parsed = HeaderName::from_bytes(name.as_bytes()).ok().filter(|_| written_small);
        let mut lines = self.fields.get_all(parsed.ok_or(Refused::Components)?).iter();
        let first = lines.next().ok_or(Refused::Components)?;
        base.extend_from_slice(first.as_bytes().trim_ascii());
        for line in lines {
            base.extend_from_slice(b", ");
            base.extend_from_slice(line.as_bytes().trim_ascii());
        }
        Ok(())
    }
}

/// In lower case and without the port that is the scheme's own (RFC 9421 §2.2.3). Which scheme it is, only the connection
/// knows; a port 80 under TLS, or 443 without, is nobody's.
fn put_authority(authority: &str, base: &mut Vec<u8>) {
    let host = authority.strip_suffix(":443").or_else(|| authority.strip_suffix(":80")).unwrap_or(authority);
    base.extend(host.bytes().map(|byte| byte.to_ascii_lowercase()));
}

/// Appends the last line: the components' names and the parameters in the one form that RFC 9421 §2.3 gives them, whatever
/// spaces they were sent with.
pub(super) fn put_signature_params(input: &Input<'_>, base: &mut Vec<u8>) {
    base.extend_from_slice(b"\"@signature-params\": (");
    for (number, name) in input.components().iter().enumerate() {
        if number > 0 {
            base.push(b' ');
        }
        base.push(b'"');
        base.extend_from_slice(name.as_bytes());
        base.push(b'"');
    }
    base.push(b')');
    for (name, value) in input.parameters() {
        base.push(b';');
        base.extend_from_slice(name.as_bytes());
        let mut put = |parts: [&str; 3]| parts.iter().for_each(|part| base.extend_from_slice(part.as_bytes()));
        match value {
            Bare::Boolean(true) => {}
            Bare::Boolean(false) => put(["=", "?0", ""]),
            Bare::Integer(number) => {
                base.push(b'=');
                put_integer(*number, base);
            }
            Bare::String(text) => put(["=\"", text, "\""]),
            Bare::Bytes(text) => put(["=:", text, ":"]),
            Bare::Other(text) => put(["=", text, ""]),
        }
    }
}

/// Without an allocation, which `to_string` would make.
fn put_integer(number: i64, base: &mut Vec<u8>) {
    use std::io::Write as _;
    write!(base, "{number}").expect("a Vec takes what is written");
}
