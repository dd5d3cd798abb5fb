//! What a refusal costs, from the scenario to the report: real servers that refuse each credential for the reason that it is bad.

#![allow(clippy::unwrap_used)] // a step that fails is a test that fails

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};

use bench_client::outcome::{RejectReason, Wanted};
use bench_client::run::RunFolder;

use crate::machine;
use crate::schema;

/// Each variant with the reason that the server's counters have for its refusals.
const VARIANTS: &[(&str, &str, &str)] = &[
    ("key-malformed", "method = \"api-key\"\nstore = { kind = \"memory\" }\npresents = \"malformed\"", "malformed"),
    ("key-unknown", "method = \"api-key\"\nstore = { kind = \"memory\" }\npresents = \"unknown\"", "unknown"),
    ("key-expired", "method = \"api-key\"\nstore = { kind = \"memory\" }\npresents = \"expired\"", "expired"),
    ("key-revoked", "method = \"api-key\"\nstore = { kind = \"memory\" }\npresents = \"revoked\"", "revoked"),
    (
        "basic-malformed",
        "method = \"basic\"\nhash = { algorithm = \"argon2id\", memory_kib = 64, iterations = 1 }\npresents = \"malformed\"",
        "malformed",
    ),
    (
        "basic-unknown",
        "method = \"basic\"\nhash = { algorithm = \"argon2id\", memory_kib = 64, iterations = 1 }\npresents = \"unknown\"",
        "unknown",
    ),
    (
        "basic-wrong",
        "method = \"basic\"\nhash = { algorithm = \"argon2id\", memory_kib = 64, iterations = 1 }\npresents = \"wrong-secret\"",
        "wrong_secret",
    ),
    (
        "session-malformed",
        "method = \"basic\"\nhash = { algorithm = \"argon2id\", memory_kib = 64, iterations = 1 }\nsession = \"15m\"\n\
         presents = \"malformed\"",
        "malformed",
    ),
    (
        "session-unknown",
        "method = \"basic\"\nhash = { algorithm = \"argon2id\", memory_kib = 64, iterations = 1 }\nsession = \"15m\"\n\
         presents = \"unknown\"",
        "unknown",
    ),
    ("jwt-malformed", "method = \"jwt\"\nalgorithm = \"EdDSA\"\npresents = \"malformed\"", "malformed"),
    ("jwt-bad", "method = \"jwt\"\nalgorithm = \"EdDSA\"\npresents = \"bad-signature\"", "bad_signature"),
    ("jwt-expired", "method = \"jwt\"\nalgorithm = \"EdDSA\"\nleeway = \"0s\"\npresents = \"expired\"", "expired"),
    (
        "jwt-revoked",
        "method = \"jwt\"\nalgorithm = \"EdDSA\"\ndenylist = { poll = \"50ms\" }\npresents = \"revoked\"",
        "revoked",
    ),
    (
        "jwt-asked",
        "method = \"jwt\"\nalgorithm = \"EdDSA\"\nintrospection = true\nleeway = \"0s\"\npresents = \"expired\"",
        "unknown",
    ),
    ("opaque-unknown", "method = \"oauth2\"\ntoken = \"opaque\"\npresents = \"unknown\"", "unknown"),
    ("opaque-revoked", "method = \"oauth2\"\ntoken = \"opaque\"\npresents = \"revoked\"", "unknown"),
];

/// Its tokens end while the servers that are prepared after it wait for theirs to do so.
const LATE: &str = "[[variant]]\nname = \"jwt-late\"\nmethod = \"jwt\"\nalgorithm = \"EdDSA\"\nleeway = \"0s\"\nlifetime = \"1s\"\n\
                    denylist = { poll = \"50ms\" }\npresents = \"revoked\"\n";

#[test]
fn each_is_refused_for_its_reason_and_stands_beside_what_is_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let mut scenario =
        "analysis = \"What does a refusal cost?\"\nstarts = 1\nrounds = 2\n[server]\ntransport = \"plaintext\"\n\
                        [pool]\ncount = 4\n[[variant]]\nname = \"none\"\nmethod = \"none\"\n\
                        [[variant]]\nname = \"key\"\nmethod = \"api-key\"\nstore = { kind = \"memory\" }\n\
                        [[variant]]\nname = \"basic\"\nmethod = \"basic\"\n\
                        hash = { algorithm = \"argon2id\", memory_kib = 64, iterations = 1 }\n"
            .to_owned();
    scenario += LATE;
    for (name, options, _) in VARIANTS {
        scenario += &format!("[[variant]]\nname = \"{name}\"\n{options}\n");
    }
    scenario += "[[measurement]]\nkind = \"throughput\"\nconnections = 4\nwarmup = \"100ms\"\nmeasure = \"100ms\"\n";
    fs::write(folder.path().join("refusals.toml"), scenario).unwrap();
    let ran = Command::new(env!("CARGO_BIN_EXE_authbench"))
        .args(["run", "refusals.toml", "--out", "reports"])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    let path = fs::read_dir(folder.path().join("reports")).unwrap_or_else(|_| panic!("{said}")).next().unwrap();
    let path = path.unwrap().path();
    let run = RunFolder::load(&path).unwrap();
    let reasons: BTreeMap<&str, &str> = VARIANTS.iter().map(|(name, _, reason)| (*name, *reason)).collect();
    let mut seen = BTreeMap::new();
    for record in &run.records {
        let result = record.measured.load().expect("all is load");
        if record.variant == "jwt-late" {
            let wrong = |reason: &String| reason.contains("refused as \"revoked\"") && reason.contains("\"expired\"");
            assert!(record.invalid.iter().any(wrong), "what was timed is another refusal: {:?}", record.invalid);
            continue;
        }
        assert_eq!(machine::fault(record), None, "{}", record.case);
        let server = result.server.as_ref().expect("the reference server counts");
        let Some(reason) = reasons.get(&*record.variant) else {
            assert_eq!((result.wanted, server.accepted), (Wanted::Accepted, result.answered), "{}", record.case);
            continue;
        };
        *seen.entry(&*record.variant).or_insert(0) += 1;
        assert_eq!((result.wanted, server.accepted), (Wanted::Refused, 0), "{}", record.case);
        assert_eq!(server.rejected, BTreeMap::from([((*reason).to_owned(), result.answered)]), "{}", record.case);
        assert_eq!(result.outcomes.expected(Wanted::Refused), result.outcomes.total(), "{}", record.case);
        assert!(result.outcomes.rejected.keys().eq([&RejectReason::InvalidCredential]), "{}", record.case);
        assert!(!result.latency.decode().unwrap().is_empty(), "the times of refusals are kept: {}", record.case);
    }
    assert_eq!(seen.len(), VARIANTS.len());
    assert!(said.contains("\"jwt-late\": its credentials live for 1s"), "{said}");

    let summary: serde_json::Value = serde_json::from_slice(&fs::read(path.join("summary.json")).unwrap()).unwrap();
    let published =
        serde_json::from_str(include_str!("../../../docs/summary.schema.json")).expect("the schema is JSON");
    assert_eq!(schema::problems(&published, &summary), Vec::<String>::new());
    let refusals = summary["refusals"].as_array().expect("the report has them");
    let beside: Vec<_> = refusals.iter().map(|it| (it["variant"].as_str(), it["beside"].as_str())).collect();
    let keys = ["key-malformed", "key-unknown", "key-expired", "key-revoked"].map(|name| (Some(name), Some("key")));
    let basics = ["basic-malformed", "basic-unknown", "basic-wrong"].map(|name| (Some(name), Some("basic")));
    let expected: Vec<_> = keys.into_iter().chain(basics).collect();
    assert_eq!(beside, expected, "those that stand there with good credentials, too");
    for refusal in refusals {
        let [cpu, validation] = &refusal["costs"].as_array().unwrap()[..] else { panic!("{refusal}") };
        let is_told = |cost: &serde_json::Value| cost["ratio"]["value"].as_f64().is_some_and(|ratio| ratio > 0.0);
        assert!(is_told(cpu), "{refusal}");
        // At saturation passwords queue for their hash.
        assert_eq!(is_told(validation), refusal["beside"] == "key", "{refusal}");
    }
    let report = fs::read_to_string(path.join("report.md")).unwrap();
    assert!(report.contains("What a refusal costs"), "{report}");
    assert_eq!(fs::read_to_string(path.join("tables/refusals.csv")).unwrap().lines().count(), 1 + expected.len());
}
