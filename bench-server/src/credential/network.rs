//! A block of addresses (RFC 4632 §3.1, RFC 4291 §2.3): where a key may be used from.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The addresses that begin with the same bits: `192.0.2.0/24`, `2001:db8::/32`, or a single one, `192.0.2.7`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network {
    address: IpAddr,
    /// How many bits they begin with.
    length: u8,
}

/// The text is no block of addresses; it says what is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a network; write an address, or one whose other bits are 0 with the length of its prefix, like 192.0.2.0/24"
)]
pub struct NotANetwork(String);

impl Network {
    /// Whether an address is in it. IPv4 within IPv6 (`::ffff:192.0.2.7`) is IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4() && (bits(address) ^ bits(self.address)) & self.mask() == 0
    }

    /// Whether all addresses of another are in it.
    pub fn includes(&self, other: &Self) -> bool {
        self.length <= other.length && self.contains(other.address)
    }

    /// The leading bits, as those of [`bits`].
    fn mask(&self) -> u128 {
        let behind = width(self.address) - u32::from(self.length);
        u128::MAX.checked_shl(behind).unwrap_or(0)
    }
}

fn width(address: IpAddr) -> u32 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let parse = || {
            let (address, length) = match text.split_once('/') {
                None => (text, None),
                // `+24` is a number to Rust.
                Some((address, length)) if length.bytes().all(|byte| byte.is_ascii_digit()) => {
                    (address, Some(length.parse::<u8>().ok()?))
                }
                Some(_) => return None,
            };
            let address: IpAddr = address.parse().ok()?;
            let length = length.map_or(width(address), u32::from);
            let network = Self { address, length: u8::try_from(length).ok()? };
            let whole = length <= width(address) && bits(address) & !network.mask() & full(address) == 0;
            // IPv4 within IPv6 would never be met: it is IPv4 by then.
            (whole && address.to_canonical() == address).then_some(network)
        };
        parse().ok_or_else(|| NotANetwork(text.to_owned()))
    }
}

/// All bits of such an address.
fn full(address: IpAddr) -> u128 {
    if address.is_ipv4() { u32::MAX.into() } else { u128::MAX }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

impl TryFrom<String> for Network {
    type Error = NotANetwork;

    fn try_from(text: String) -> Result<Self, NotANetwork> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(network: &str, address: &str) -> bool {
        let network: Network = network.parse().expect("a network");
        network.contains(address.parse().expect("an address"))
    }

    #[test]
    fn ak_28_a_network_holds_the_addresses_that_begin_like_it() {
        for (network, inside, outside) in [
            (
                "192.0.2.0/24",
                ["192.0.2.0", "192.0.2.255", "::ffff:192.0.2.7"],
                ["192.0.3.0", "192.0.1.255", "2001:db8::1"],
            ),
            ("192.0.2.7", ["192.0.2.7", "192.0.2.7", "::ffff:192.0.2.7"], ["192.0.2.6", "192.0.2.8", "::c000:207"]),
            (
                "2001:db8::/33",
                ["2001:db8::", "2001:db8:7fff::1", "2001:db8::1"],
                ["2001:db8:8000::", "2001:db9::", "0.0.0.0"],
            ),
            ("::1", ["::1", "::1", "::1"], ["::2", "127.0.0.1", "::"]),
        ] {
            assert!(inside.iter().all(|address| contains(network, address)), "{network}");
            assert!(!outside.iter().any(|address| contains(network, address)), "{network}");
        }
        assert!(contains("0.0.0.0/0", "203.0.113.9") && !contains("0.0.0.0/0", "::1") && contains("::/0", "::1"));
    }

    #[test]
    fn ak_28_a_network_includes_those_that_are_a_part_of_it() {
        let network = |text: &str| text.parse::<Network>().expect("a network");
        for (one, other, expected) in [
            ("192.0.2.0/24", "192.0.2.0/24", true),
            ("192.0.2.0/24", "192.0.2.128/25", true),
            ("192.0.2.0/24", "192.0.2.7", true),
            ("192.0.2.0/24", "192.0.0.0/16", false),
            ("192.0.2.0/24", "192.0.3.0/25", false),
            // It begins within, and ends outside.
            ("192.0.2.0/24", "192.0.2.0/23", false),
            ("0.0.0.0/1", "0.0.0.0/0", false),
            ("2001:db8::/33", "2001:db8::/32", false),
            ("0.0.0.0/0", "192.0.2.0/24", true),
            ("0.0.0.0/0", "::/0", false),
            ("::/0", "192.0.2.0/24", false),
            ("2001:db8::/33", "2001:db8:8000::/34", false),
            ("::/0", "2001:db8::/32", true),
        ] {
            assert_eq!(network(one).includes(&network(other)), expected, "{one} and {other}");
        }
    }

    #[test]
    fn what_is_no_network_is_said_to_be_none() {
        for text in [
            "",
            "/",
            "192.0.2.1/24",
            "192.0.2.0/33",
            "192.0.2.0/+24",
            "192.0.2.0/",
            "::/129",
            "::1/64",
            "a/8",
            "::ffff:192.0.2.0/120",
        ] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
        let network: Network = "192.0.2.0/24".parse().expect("a network");
        let text = serde_json::to_string(&network).expect("JSON");
        assert_eq!(text, "\"192.0.2.0/24\"");
        assert_eq!(serde_json::from_str::<Network>(&text).expect("the same"), network);
    }
}
