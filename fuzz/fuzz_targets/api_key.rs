#![no_main]
//! API keys, as a bearer token.

use std::cell::LazyCell;

use authbench_fuzz::Subject;
use bench_server::contract::{ApiKeyConfig, MethodConfig, StoreConfig};
use libfuzzer_sys::fuzz_target;

thread_local! {
    static SUBJECT: LazyCell<Subject> =
        LazyCell::new(|| Subject::new(MethodConfig::ApiKey(ApiKeyConfig::new(StoreConfig::Memory))));
}

fuzz_target!(|credential: &[u8]| SUBJECT.with(|subject| subject.refuses("Bearer", credential)));
