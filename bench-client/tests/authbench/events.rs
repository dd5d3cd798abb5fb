//! Rollovers and outages, from the scenario to the report: real servers, a private Redis behind something that cuts it off, and
//! callers whose every call is judged.

#![cfg(target_os = "linux")] // private stores are Unix programs
#![allow(clippy::unwrap_used)] // a step that fails is a test that fails

use std::fs;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use bench_client::record::{Measured, Record, TimelineBin, TimelineResult};
use bench_client::run::{LoadedRun, RunFolder};

use crate::schema;

const SCENARIO: &str = r#"
analysis = "Who is served, and who gets in?"
starts = 1
rounds = 1

[server]
transport = "plaintext"
replicas = 2

[[variant]]
name = "none"
method = "none"

[[variant]]
name = "closed"
method = "api-key"
store = { kind = "redis", timeout = "10s" }

[[variant]]
name = "bridged"
method = "api-key"
store = { kind = "redis" }
cache = { ttl = "100ms", stale_if_error = "1m" }

[[variant]]
name = "asks-nobody"
method = "jwt"
algorithm = "EdDSA"

[[variant]]
name = "asks-the-issuer"
method = "oauth2"
token = "opaque"

[[variant]]
name = "fetches-keys"
method = "oauth2"
token = "jwt"
algorithm = "EdDSA"
leeway = "0s"

[[measurement]]
name = "down"
kind = "outage"
variants = ["closed", "bridged", "asks-nobody", "asks-the-issuer"]
fault = "down"
callers = 10
interval = "100ms"
before = "500ms"
lasts = "2s"
after = "2s"
revoked = 3

[[measurement]]
name = "slow"
kind = "outage"
variants = ["closed"]
fault = { slow = "30ms" }
callers = 4
interval = "200ms"
before = "500ms"
lasts = "1s"
after = "500ms"

[[measurement]]
name = "keys"
kind = "rollover"
variants = ["fetches-keys", "closed"]
of = "key"
callers = 10
interval = "100ms"
before = "500ms"
adoption = "1s"
overlap = "0s"
after = "1s"

[[measurement]]
name = "credentials"
kind = "rollover"
variants = ["closed"]
of = "credential"
callers = 10
interval = "100ms"
before = "500ms"
adoption = "500ms"
overlap = "1s"
after = "1s"
"#;

/// The CA that signs certificates is published to all replicas before it signs, or replaces the last one at once.
const CAS: &str = r#"
analysis = "Who notices that certificates are signed by another CA?"
starts = 1
rounds = 1

[server]
transport = "tls1.3"
replicas = 3

[[variant]]
name = "none"
method = "none"

[[variant]]
name = "follows"
method = "mtls"
crl_reload = "300ms"

[[variant]]
name = "from-the-root"
method = "mtls"
crl_reload = "300ms"
chain_length = 1

[[measurement]]
name = "overlap"
kind = "rollover"
variants = ["follows", "from-the-root"]
of = "key"
callers = 12
interval = "100ms"
before = "500ms"
lead = "1s"
adoption = "1s"
overlap = "2s"
after = "1500ms"

[[measurement]]
name = "at-once"
kind = "rollover"
variants = ["follows"]
of = "key"
callers = 12
interval = "100ms"
before = "500ms"
adoption = "2s"
overlap = "0s"
after = "1s"
"#;

/// Times are judged, which a second run beside the first would stretch.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Runs a scenario; what it comes to, and its report.
fn run(folder: &std::path::Path, scenario: &str) -> (LoadedRun, String) {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    fs::write(folder.join("events.toml"), scenario).unwrap();
    let ran = Command::new(env!("CARGO_BIN_EXE_authbench"))
        .args(["run", "events.toml", "--out", "reports"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    let path = fs::read_dir(folder.join("reports")).unwrap().next().unwrap_or_else(|| panic!("{said}")).unwrap().path();
    let summary: serde_json::Value =
        serde_json::from_slice(&fs::read(path.join("summary.json")).unwrap()).unwrap_or_else(|error| panic!("{error}"));
    let published: serde_json::Value =
        serde_json::from_str(include_str!("../../../docs/summary.schema.json")).expect("the schema is JSON");
    assert_eq!(schema::problems(&published, &summary), Vec::<String>::new());
    let report = fs::read_to_string(path.join("report.md")).unwrap();
    let run = RunFolder::load(&path).unwrap();
    // What the client was late for is not drawn.
    let counts = |record: &&Record| match &record.measured {
        Measured::Outage(result) | Measured::Rollover(result) => record.invalid.is_empty() && !result.bins.is_empty(),
        _ => false,
    };
    let is_timeline = |plot: fs::DirEntry| plot.file_name().to_string_lossy().starts_with("timeline-");
    let drawn = fs::read_dir(path.join("plots")).is_ok_and(|mut plots| plots.any(|plot| is_timeline(plot.unwrap())));
    assert_eq!(drawn, run.records.iter().any(|record| counts(&record)));
    (run, report)
}

fn of<'r>(run: &'r LoadedRun, case: &str) -> &'r TimelineResult {
    let record =
        run.records.iter().find(|record| record.case == case).unwrap_or_else(|| panic!("{case} has no record"));
    // Whether the client kept its times is the machine's.
    let invalid = |reason: &&String| !reason.starts_with("the client was late");
    assert_eq!(record.invalid.iter().find(invalid), None, "{case}");
    match &record.measured {
        Measured::Outage(result) | Measured::Rollover(result) => result,
        other => panic!("{case}: {other:?}"),
    }
}

fn total(result: &TimelineResult) -> TimelineBin {
    result.bins.iter().fold(TimelineBin::default(), |sum, bin| sum.plus(bin))
}

#[test]
fn who_is_served_and_who_gets_in_is_what_the_settings_say() {
    let folder = tempfile::tempdir().unwrap();
    let (run, report) = run(folder.path(), SCENARIO);
    assert!(report.contains("What an outage does") && report.contains("What a rollover does"), "{report}");

    for (case, dependency) in
        [("closed/down", "store"), ("asks-the-issuer/down", "authorization server"), ("bridged/down", "store")]
    {
        let result = of(&run, case);
        assert_eq!(result.dependency.as_deref(), Some(dependency), "{case}");
        assert_eq!(result.ended, 3, "{case}");
        assert!(total(result).accepted > 0, "{case}");
    }
    for case in ["closed/down", "asks-the-issuer/down"] {
        let calls = total(of(&run, case));
        assert!(calls.unavailable > 0 && calls.rightly_refused > 0, "{case}: {calls:?}");
        assert_eq!((calls.wrongly_accepted, calls.wrongly_refused), (0, 0), "{case}: fails closed, and says so");
    }
    let bridged = total(of(&run, "bridged/down"));
    assert_eq!((bridged.unavailable, bridged.wrongly_refused), (0, 0), "{bridged:?}");
    assert!(bridged.wrongly_accepted > 0, "the other side of it: {bridged:?}");
    let nobody = of(&run, "asks-nobody/down");
    assert_eq!(nobody.dependency, None);
    assert_eq!((total(nobody).unavailable, total(nobody).wrongly_refused), (0, 0));
    assert!(total(nobody).wrongly_accepted > 0);

    let slow = of(&run, "closed/slow");
    assert_eq!(total(slow).unavailable, 0);
    let latency = slow.latency[1].decode().unwrap();
    let median = latency.value_at_quantile(0.5);
    assert!(median >= 29_000_000, "answers of the store were late: {median} ns");

    let keys = of(&run, "fetches-keys/keys");
    assert_eq!(keys.ended, 10);
    assert!(total(keys).wrongly_accepted + total(keys).rightly_refused > 0, "{:?}", total(keys));
    assert!(of(&run, "closed/keys").not_applicable.is_some());
    let credentials = total(of(&run, "closed/credentials"));
    assert_eq!((credentials.wrongly_refused, credentials.wrongly_accepted), (0, 0), "{credentials:?}");
    assert!(credentials.rightly_refused > 0, "the old ones have ended: {credentials:?}");
    assert!(of(&run, "none/down").not_applicable.is_some());
}

#[test]
fn a_new_ca_is_noticed_by_those_alone_who_were_not_given_the_time() {
    let folder = tempfile::tempdir().unwrap();
    let (run, report) = run(folder.path(), CAS);
    assert!(of(&run, "from-the-root/overlap").not_applicable.is_some());

    let overlap = of(&run, "follows/overlap");
    let calls = total(overlap);
    assert_eq!((overlap.ended, calls.wrongly_refused, calls.unavailable, calls.failed), (12, 0, 0, 0), "{calls:?}");
    assert!(calls.rightly_refused > 0, "the old CA has ended: {calls:?}");

    let at_once = of(&run, "follows/at-once");
    let calls = total(at_once);
    assert!(at_once.cut_off > 0 && calls.wrongly_refused > 0 && calls.rightly_refused > 0, "{calls:?}");
    assert!(calls.wrongly_accepted > 0, "until the replicas look: {calls:?}");
    let last = at_once.bins.last().unwrap();
    assert_eq!(last.wrongly_refused, 0, "all have changed over: {last:?}");
    for case in ["overlap", "at-once"] {
        let held = format!("follows/{case}: what has ended is let in for a bounded time");
        let line = report.lines().find(|line| line.contains(&held)).unwrap_or_else(|| panic!("{report}"));
        assert!(line.ends_with("| pass |"), "{line}");
    }
}
