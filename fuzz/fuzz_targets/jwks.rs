#![no_main]
//! Key sets (RFC 7517), as an issuer publishes them.

use bench_server::credential::jws::KeySet;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| drop(KeySet::from_jwks(text)));
