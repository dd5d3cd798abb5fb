//! Measurements of handshakes, and the key exchange.

use std::time::Duration;

use super::*;
use crate::plan::MeasurementKind;

/// `SMALL` with a measurement of handshakes.
fn handshakes(more: &str) -> String {
    format!(
        "{SMALL}[[measurement]]\nkind = \"handshake\"\nconnections = 4\nwarmup = \"10ms\"\nmeasure = \"200ms\"\n{more}\n"
    )
}

#[test]
fn handshakes_are_a_case_for_each_combination() {
    let plan = plan(&handshakes("sessions = [\"full\", \"resumed\"]\nrequests_per_connection = [1, 10]"));
    let names: Vec<&str> = plan.measurements.iter().map(|measurement| measurement.name.as_str()).collect();
    assert_eq!(
        names,
        ["latency", "handshake@full,k=1", "handshake@full,k=10", "handshake@resumed,k=1", "handshake@resumed,k=10"]
    );
    assert!(plan.cases.iter().any(|case| case.id == "jwt/handshake@resumed,k=10"));
    let MeasurementKind::Handshake(last) = &plan.measurements[4].kind else { panic!() };
    assert_eq!((last.session, last.requests_per_connection), (crate::plan::SessionKind::Resumed, 10));
    assert_eq!((last.connections, last.slices, last.slice), (4, 2, Duration::from_millis(100)));

    let plain = self::plan(&handshakes(""));
    assert_eq!(plain.measurements[1].name, "handshake@full,k=1", "the default is one full handshake per request");
}

#[test]
fn mistakes_in_handshakes_are_located() {
    for (more, line, says) in [
        ("sessions = [\"half\"]", 20, "sessions is a list; it holds \"half\": write one of "),
        ("sessions = []", 20, "write a list, like [\"full\", \"resumed\"]"),
        ("sessions = [\"full\", \"full\"]", 20, "it holds \"full\" twice: remove one"),
        ("requests_per_connection = [1, 0]", 20, "it holds 0: write a whole number from 1 to 1000000"),
        ("requests_per_connection = 5", 20, "requests_per_connection is 5; write a list, like [1, 10, 100]"),
        ("connection = \"fresh\"", 20, "connection is no key here"),
    ] {
        let found = problems(&handshakes(more));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with(&format!("dir/test.toml:{line}:")), "{found:?}");
        assert!(found[0].contains(says), "{says:?} is not in {found:?}");
    }
    let found = problems(&handshakes("").replace("connections = 4\n", ""));
    assert!(found.len() == 1 && found[0].contains("connections is missing"), "{found:?}");
}

#[test]
fn handshakes_need_tls_and_a_server_that_resumes() {
    let found = problems(&(handshakes("") + "[server]\ntransport = \"plaintext\"\n"));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("measurement \"handshake\": kind is \"handshake\", but"), "{found:?}");
    assert!(found[0].contains("write \"tls1.3\""), "{found:?}");

    let mtls = "[[variant]]\nname = \"mtls\"\nmethod = \"mtls\"\ncrl_reload = \"1s\"";
    let resumed = handshakes(&format!("sessions = [\"full\", \"resumed\"]\n{mtls}"));
    let found = problems(&resumed);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("sessions holds \"resumed\"") && found[0].contains("leave out mtls"), "{found:?}");
    assert!(try_resolve(&handshakes(mtls), &Overrides::default()).is_ok(), "full handshakes are fine");
}

#[test]
fn the_key_exchange_is_stated_and_fits_its_transport() {
    use bench_server::contract::KeyExchange;
    let with = |server: &str| format!("{SMALL}[server]\n{server}\n");
    assert_eq!(plan(SMALL).key_exchange, None);
    assert_eq!(plan(&with("key_exchange = \"P-256\"")).key_exchange, Some(KeyExchange::P256));
    for (server, says) in [
        ("key_exchange = \"X448\"", "key_exchange is \"X448\""),
        ("transport = \"plaintext\"\nkey_exchange = \"X25519\"", "key_exchange goes with TLS"),
        ("transport = \"tls1.2\"\nkey_exchange = \"X25519MLKEM768\"", "which TLS 1.2 does not have"),
    ] {
        let found = problems(&with(server));
        assert!(found.len() == 1 && found[0].contains(says), "{found:?}");
    }
    let swept = "key_exchange = \"X25519MLKEM768\"\n[[sweep]]\n\"server.transport\" = [\"tls1.3\", \"tls1.2\"]";
    let found = problems(&with(swept));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("test.toml:16:16: server.key_exchange") && found[0].contains("TLS 1.2"), "{found:?}");
}
