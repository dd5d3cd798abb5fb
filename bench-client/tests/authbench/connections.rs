//! Handshakes and setups through real servers: what each connection was, counted exactly on both sides, over both
//! versions of TLS and of HTTP.

#![allow(clippy::unwrap_used)] // a step that fails is a test that fails

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use bench_client::plan::{MeasurementKind, SessionKind};
use bench_client::record::{Channel, Measured, Record, SetupResult};
use bench_client::run::{LoadedRun, RunFolder};

/// `TRANSPORT` and `HTTP` are filled in.
const SCENARIO: &str = r#"
starts = 1
rounds = 1

[server]
transport = "TRANSPORT"
http = "HTTP"
key_exchange = "P-256"
pin = false

[pool]
count = 6

[[variant]]
name = "none"
method = "none"

[[variant]]
name = "api-key"
method = "api-key"
store = { kind = "memory" }

[[variant]]
name = "basic"
method = "basic"
hash = { algorithm = "pbkdf2-sha256", iterations = 1 }

[[variant]]
name = "jwt"
method = "jwt"
algorithm = "ES256"

[[variant]]
name = "oauth2"
method = "oauth2"
token = "opaque"

[[variant]]
name = "mtls"
method = "mtls"
crl_reload = "1s"

[[measurement]]
kind = "handshake"
variants = ["api-key", "mtls"]
connections = 3
sessions = ["full"]
requests_per_connection = [1, 5]
warmup = "5ms"
measure = "60ms"
slice = "20ms"

[[measurement]]
name = "again"
kind = "handshake"
variants = ["api-key"]
connections = 3
sessions = ["resumed"]
requests_per_connection = [1, 5]
warmup = "5ms"
measure = "60ms"
slice = "20ms"

[[measurement]]
kind = "setup"
trials = 2
"#;

/// Carries out the scenario in a folder of its own.
fn run(folder: &Path, transport: &str, http: &str) -> LoadedRun {
    let text = SCENARIO.replace("TRANSPORT", transport).replace("HTTP", http);
    fs::write(folder.join("connections.toml"), text).unwrap();
    fs::create_dir(folder.join("tmp")).unwrap();
    let output: Output = Command::new(env!("CARGO_BIN_EXE_authbench"))
        .args(["run", "connections.toml", "--out", "out"])
        .current_dir(folder)
        .env("TMPDIR", folder.join("tmp"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    // Not 0 if any of the report's checks failed, those that compare both sides' counts among them.
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}{}", String::from_utf8_lossy(&output.stdout));
    let out = fs::read_dir(folder.join("out")).unwrap().next().unwrap().unwrap();
    RunFolder::load(&out.path()).unwrap()
}

fn each_run(check: impl Fn(&LoadedRun, &str, &str)) {
    for transport in ["tls1.2", "tls1.3"] {
        for http in ["1.1", "2"] {
            let folder = tempfile::tempdir().unwrap();
            check(&run(folder.path(), transport, http), transport, http);
        }
    }
}

#[test]
fn connections_are_what_was_asked_for_and_both_sides_count_them() {
    each_run(|run, transport, http| {
        let mut cases = BTreeSet::new();
        for record in &run.records {
            assert_eq!(record.invalid, Vec::<String>::new(), "{}", record.case);
            match &record.measured {
                Measured::Handshake(_) => {
                    handshake(run, record, transport);
                    cases.insert(record.case.as_str());
                }
                Measured::Setup(result) => setup(result, &record.variant, transport, http),
                other => panic!("{other:?}"),
            }
        }
        // The baseline is in both measurements; two numbers of requests each.
        assert_eq!(cases.len(), 2 * (3 + 2), "{cases:?}");
    });
}

fn handshake(run: &LoadedRun, record: &Record, transport: &str) {
    let plan = &run.header.plan;
    let Some(MeasurementKind::Handshake(settings)) = plan.measurement(&record.measurement).map(|it| &it.kind) else {
        panic!("{record:?}")
    };
    let Measured::Handshake(result) = &record.measured else { panic!("{record:?}") };
    let load = &result.load;
    let server = load.server.as_ref().expect("the reference server counts");
    let made = result.connections;
    let place = format!("{transport} {}", record.case);
    assert!(made > 0, "{place}");
    let kinds = match settings.session {
        SessionKind::Full => (made, 0),
        SessionKind::Resumed => (0, made),
    };
    assert_eq!((load.handshakes_full, load.handshakes_resumed), kinds, "{place}: on the client");
    assert_eq!((server.handshakes_full, server.handshakes_resumed), kinds, "{place}: on the server");
    let certificates = if record.variant == "mtls" { made } else { 0 };
    assert_eq!((result.certificates, server.handshakes_with_certificate), (certificates, certificates), "{place}");
    assert_eq!(load.answered, made * u64::from(settings.requests_per_connection), "{place}: whole connections");
    assert_eq!((server.requests, server.accepted, server.handshakes_failed), (load.answered, load.answered, 0));
    for times in [&result.ready, &result.tcp, &result.tls, &result.first_answer] {
        assert_eq!(times.decode().unwrap().len(), made, "{place}");
    }
    // RFC 5246 §7.3: an abbreviated handshake has no key exchange; RFC 8446 §2.2: a resumption with (EC)DHE has.
    let exchanged = if transport == "tls1.2" { load.handshakes_full } else { made };
    assert_eq!(result.key_exchange.values().sum::<u64>(), exchanged, "{place}");
    assert!(result.key_exchange.keys().all(|group| group == "P-256"), "{place}: {:?}", result.key_exchange);
}

fn setup(result: &SetupResult, variant: &str, transport: &str, http: &str) {
    let place = format!("{transport} {http} {variant}");
    assert_eq!(result.trials.len(), 2, "{place}");
    let full = if transport == "tls1.2" { 3 } else { 2 };
    for trial in &result.trials {
        let over: Vec<(Channel, u32)> = trial.steps.iter().map(|step| (step.over, step.round_trips)).collect();
        let to_the_api = [(Channel::Connection, full), (Channel::Request, 1)];
        let expected = match variant {
            "none" => to_the_api.to_vec(),
            "oauth2" => {
                // The authorization server has a group of its own choice, which the client prefers too.
                let errand = [(Channel::Connection, full), (Channel::Request, 1), (Channel::Request, 1)];
                [&[(Channel::OutOfBand, 0)], &errand[..], &to_the_api].concat()
            }
            _ => [&[(Channel::OutOfBand, 0)], &to_the_api[..]].concat(),
        };
        assert_eq!(over, expected, "{place}");
        for step in &trial.steps {
            let on_the_wire = step.over != Channel::OutOfBand;
            assert_eq!((step.bytes_sent > 0, step.bytes_received > 0), (on_the_wire, on_the_wire), "{place} {step:?}");
            assert!(step.elapsed_ns > 0);
        }
    }
    let secrets: Vec<&str> = result.secrets.iter().map(|secret| secret.what.as_str()).collect();
    let expected: &[&str] = match variant {
        "none" => &[],
        "api-key" => &["API key"],
        "basic" => &["password"],
        "jwt" => &["token"],
        "oauth2" => &["client secret", "token"],
        "mtls" => &["private key"],
        other => panic!("{other}"),
    };
    assert_eq!(secrets, expected, "{place}");
    assert!(result.secrets.iter().all(|secret| secret.bytes >= 16), "{place}: {:?}", result.secrets);
    assert!(result.moving_parts.contains(&"server certificate".to_owned()), "{place}");
}
