#![no_main]
//! Forms of the authorization server's endpoints (RFC 6749, RFC 7009, RFC 7662). The first byte chooses the endpoint.

use std::cell::LazyCell;
use std::sync::Arc;

use bench_server::clock::Clock;
use bench_server::contract::{AuthorizationServerConfig, ClockMode};
use bench_server::issuer::authorization_server::AuthorizationServer;
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use tokio::runtime::Runtime;

const ENDPOINTS: [&str; 5] = ["/token", "/introspect", "/revoke", "/consent", "/grants"];

thread_local! {
    static SERVER: LazyCell<(Runtime, AuthorizationServer)> = LazyCell::new(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (config, clock) = (AuthorizationServerConfig::default(), Clock::new(ClockMode::System));
        let server = AuthorizationServer::build(&config, "https://as.test", clock, Arc::default());
        (runtime, server.expect("a sound configuration"))
    });
}

fuzz_target!(|data: &[u8]| {
    let Some((endpoint, form)) = data.split_first() else { return };
    let path = ENDPOINTS[usize::from(*endpoint) % ENDPOINTS.len()];
    let request = http::Request::post(path).header("content-type", "application/x-www-form-urlencoded");
    let request = request.body(Bytes::copy_from_slice(form)).expect("a request");
    SERVER.with(|server| {
        let answer = server.0.block_on(server.1.handle(&request)).expect("its path");
        assert!(!answer.status().is_success() && !answer.status().is_server_error(), "{path}: {}", answer.status());
    });
});
