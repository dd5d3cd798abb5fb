#![no_main]
//! OCSP requests (RFC 6960): whatever comes is answered, and never with an error of the responder's own.

use std::cell::LazyCell;
use std::time::Duration;

use authbench_fuzz::Authority;
use bench_server::issuer::ca::OcspResponder;
use libfuzzer_sys::fuzz_target;

/// OCSPResponse with responseStatus internalError (2).
const INTERNAL_ERROR: [u8; 5] = [0x30, 3, 10, 1, 2];

thread_local! {
    static RESPONDER: LazyCell<(Authority, OcspResponder)> = LazyCell::new(|| {
        let authority = Authority::new();
        let responder = OcspResponder::new(authority.ca.clone(), Duration::from_secs(60)).expect("a responder");
        (authority, responder)
    });
}

fuzz_target!(|request: &[u8]| RESPONDER.with(|made| {
    assert_ne!(made.1.answer(request).der, INTERNAL_ERROR);
}));
