#![no_main]
//! Certificate revocation lists (RFC 5280 §5): one that nobody signed makes no certificate acceptable.

use std::cell::LazyCell;

use authbench_fuzz::Authority;
use bench_server::verify::Chains;
use libfuzzer_sys::fuzz_target;

thread_local! {
    static AUTHORITY: LazyCell<Authority> = LazyCell::new(Authority::new);
}

fuzz_target!(|crl: &[u8]| AUTHORITY.with(|authority| {
    let chains = Chains::new(vec![authority.ca.root_certificate().clone()], vec![crl.to_vec()]);
    let (leaf, sent) = authority.chain.split_first().expect("a leaf");
    assert!(chains.check(leaf, sent, authority.clock.now().0).0.is_err());
}));
