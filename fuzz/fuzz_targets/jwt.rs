#![no_main]
//! Access tokens that are JWTs (RFC 7515, RFC 7519): base64url and JSON of the header, and what follows a good one.

use std::cell::LazyCell;

use authbench_fuzz::Subject;
use bench_server::contract::{Algorithm, JwtConfig, MethodConfig};
use libfuzzer_sys::fuzz_target;

thread_local! {
    static SUBJECT: LazyCell<Subject> =
        LazyCell::new(|| Subject::new(MethodConfig::Jwt(JwtConfig::new(Algorithm::HS256))));
}

fuzz_target!(|credential: &[u8]| SUBJECT.with(|subject| subject.refuses("Bearer", credential)));
