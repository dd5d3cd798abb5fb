#![no_main]
//! Client certificates (RFC 5280): a leaf below a CA that did not sign it.

use std::cell::LazyCell;

use authbench_fuzz::Authority;
use bench_server::verify::Chains;
use libfuzzer_sys::fuzz_target;

thread_local! {
    static AUTHORITY: LazyCell<(Authority, Chains)> = LazyCell::new(|| {
        let authority = Authority::new();
        let chains = Chains::new(vec![authority.ca.root_certificate().clone()], Vec::new());
        (authority, chains)
    });
}

fuzz_target!(|leaf: &[u8]| AUTHORITY.with(|made| {
    let (authority, chains) = &**made;
    let (verdict, _) = chains.check(&leaf.into(), &authority.chain[1..], authority.clock.now().0);
    assert!(verdict.is_err());
}));
