//! Short-lived tokens over real servers: a user grants access through the pages, a refresh token renews it, and its
//! revocation ends with the last access token that was got before.

#![allow(clippy::unwrap_used)] // a step that fails is a test that fails

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use bench_client::load::Caller;
use bench_client::machine::Machine;
use bench_client::outcome::{Outcome, RejectReason};
use bench_client::plan::{ConnectionKind, Plan};
use bench_client::record::Measured;
use bench_client::run::RunFolder;
use bench_client::scenario::{Overrides, resolve};
use bench_client::target::{Grant, Launcher, Refreshed, Stores, Target};

/// `TRANSPORT` and `CONNECTION` are filled in.
const SCENARIO: &str = r#"
analysis = "Does a revoked refresh token leave the last access token, and nothing else?"
starts = 1
rounds = 1

[server]
transport = "TRANSPORT"
replicas = 2

[[variant]]
name = "none"
method = "none"

[[variant]]
name = "renewed"
method = "oauth2"
token = "jwt"
algorithm = "EdDSA"
lifetime = "3s"
leeway = "0s"
revoke_by = "refresh"

[[measurement]]
kind = "revocation"
trials = 4
probe_interval = "20ms"
phase = "1500ms"
watch = "5s"
connection = CONNECTION
"#;

fn scenario(transport: &str) -> String {
    // Nothing negotiates a second version of HTTP without TLS.
    let connection = if transport == "plaintext" { r#""reused""# } else { r#"["reused", "h2"]"# };
    SCENARIO.replace("TRANSPORT", transport).replace("CONNECTION", connection)
}

fn plan(transport: &str) -> Plan {
    resolve(Path::new("refresh.toml"), &scenario(transport), &Overrides::default()).unwrap().plan
}

async fn start(plan: &Plan) -> Target {
    let arguments = ["serve", "--supervised", "--temporary-state"].map(str::to_owned).to_vec();
    let launcher = Launcher { program: env!("CARGO_BIN_EXE_authbench").into(), arguments };
    let variant = plan.variant("renewed").unwrap();
    Target::start_with(&launcher, plan, variant, &Machine::detect(false), &Arc::new(Stores::default())).await.unwrap()
}

async fn renewed(target: &Target, grant: &Grant) -> Grant {
    match target.refresh(grant).await.unwrap() {
        Refreshed::Renewed(next) => next,
        Refreshed::Refused => panic!("the refresh token is good"),
    }
}

/// What every replica says to one caller over one connection, for the first access token and for the second.
async fn outcomes(target: &Target, first: &Grant, second: &Grant) -> BTreeSet<Outcome> {
    let mut seen = BTreeSet::new();
    for endpoint in target.endpoints() {
        let mut caller = Caller::new(endpoint.clone(), &first.access, ConnectionKind::Reused).unwrap();
        seen.insert(caller.call().await.outcome);
        caller.present(&second.access).unwrap();
        seen.insert(caller.call().await.outcome);
    }
    seen
}

#[tokio::test]
async fn a_refresh_token_is_good_once_and_takes_its_whole_grant_along() {
    for transport in ["plaintext", "tls1.3"] {
        let plan = plan(transport);
        let target = start(&plan).await;
        let (grant, other) = (target.grant().await.unwrap(), target.grant().await.unwrap());
        assert_eq!(grant.expires_in.as_secs(), 3);
        assert_eq!(grant.access.principal, other.access.principal, "one user grants again and again");
        let next = renewed(&target, &grant).await;
        assert!(next.access != grant.access && next.refresh != grant.refresh);
        assert_eq!(outcomes(&target, &grant, &next).await, BTreeSet::from([Outcome::Accepted]));

        target.revoke_grant(&next).await.unwrap();
        assert_eq!(target.refresh(&next).await.unwrap(), Refreshed::Refused);
        // Nobody asks about what is checked locally.
        assert_eq!(outcomes(&target, &grant, &next).await, BTreeSet::from([Outcome::Accepted]));
        let other = renewed(&target, &other).await;
        let kept = renewed(&target, &other).await;
        assert_eq!(target.refresh(&other).await.unwrap(), Refreshed::Refused, "it is spent, and was stolen");
        assert_eq!(target.refresh(&kept).await.unwrap(), Refreshed::Refused, "so the thief's is of no use either");

        let mut caller = Caller::new(target.endpoint().clone(), &grant.access, ConnectionKind::Reused).unwrap();
        let refused = loop {
            match caller.call().await.outcome {
                Outcome::Accepted => assert!(grant.asked.elapsed() < 2 * grant.expires_in, "it never ends"),
                other => break other,
            }
        };
        assert_eq!(refused, Outcome::Rejected(RejectReason::InvalidCredential));
        target.stop().await.unwrap();
    }
}

#[test]
fn windows_end_with_the_last_access_token_at_every_replica() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("refresh.toml"), scenario("tls1.3")).unwrap();
    let ran = Command::new(env!("CARGO_BIN_EXE_authbench"))
        .args(["run", "refresh.toml", "--out", "reports"])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stderr).into_owned() + &String::from_utf8_lossy(&ran.stdout);
    let path =
        fs::read_dir(folder.path().join("reports")).unwrap().next().unwrap_or_else(|| panic!("{said}")).unwrap().path();
    let run = RunFolder::load(&path).unwrap();
    let record = run.records.iter().find(|record| record.variant == "renewed").unwrap_or_else(|| panic!("{said}"));
    assert_eq!(record.invalid, Vec::<String>::new());
    let Measured::Revocation(result) = &record.measured else { panic!("it was not revoked") };
    assert_eq!(result.lifetime_ns, Some(3_000_000_000));
    assert_eq!(result.windows.len(), 16);
    for window in &result.windows {
        let ends = window.expires_after_ns.unwrap();
        assert!((1..=3_000_000_000).contains(&ends), "{window:?}");
        assert!(window.first_rejected_ns.is_some() && window.last_accepted_ns.is_some(), "{window:?}");
        assert_eq!(window.blast_radius, 0, "{window:?}");
    }
    // All that present one credential hold the same last token.
    let ends: BTreeSet<_> = result.windows.iter().map(|window| (window.trial, window.expires_after_ns)).collect();
    assert_eq!(ends.len(), 4);
    for (file, text) in [
        ("summary.json", "renewed by refresh token"),
        ("report.md", "16 of 16 revoked tokens lived exactly until their end"),
    ] {
        let written = fs::read_to_string(path.join(file)).unwrap();
        assert!(written.contains(text), "{written}");
    }
    assert_eq!(ran.status.code(), Some(0), "{said}");
}
