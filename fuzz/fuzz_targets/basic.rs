#![no_main]
//! User names and passwords (RFC 7617), hashed as cheaply as it goes.

use std::cell::LazyCell;

use authbench_fuzz::Subject;
use bench_server::contract::{BasicConfig, MethodConfig, PasswordHash};
use libfuzzer_sys::fuzz_target;

thread_local! {
    static SUBJECT: LazyCell<Subject> = LazyCell::new(|| {
        Subject::new(MethodConfig::Basic(BasicConfig::new(PasswordHash::Pbkdf2Sha256 { iterations: 2 })))
    });
}

fuzz_target!(|credential: &[u8]| SUBJECT.with(|subject| subject.refuses("Basic", credential)));
