//! Servers that are wrong in one way each are attacked, and what is wrong is found; their twin that is right has no finding.

#![cfg(target_os = "linux")] // `touch` revokes
#![allow(clippy::unwrap_used)] // a step that fails is a test that fails

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::PublicKeyData as _;
use serde_json::Value;

mod pki;
use crate::schema;
mod server;

use pki::Pki;
use server::{AUDIENCE, Asks, Config, ISSUER, Mutant, start};

/// What an attack came to.
struct Found {
    exit: Option<i32>,
    said: String,
    findings: BTreeSet<String>,
    held: BTreeSet<String>,
    not_run: BTreeSet<String>,
    /// All that was written, to look for secrets in.
    written: String,
}

/// A folder with credentials, and what they are signed with.
struct Stage {
    folder: tempfile::TempDir,
}

impl Stage {
    fn set() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("revoked")).unwrap();
        Self { folder }
    }

    fn revoked(&self) -> PathBuf {
        self.folder.path().join("revoked")
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.folder.path().join(name), text).unwrap();
    }

    /// Attacks the server at `url` with the cases that are named, or with all.
    fn attack(&self, url: &str, variant: &str, only: &[&str]) -> Found {
        let only = if only.is_empty() { String::new() } else { format!("only = {only:?}\n") };
        let roots = if url.starts_with("https") { "roots = \"ca.pem\"\n" } else { "" };
        let scenario = format!(
            "keep_awake = false\nrounds = 1\n[target]\nurl = \"{url}\"\npin = false\n{roots}\
             [[variant]]\nname = \"none\"\nmethod = \"none\"\n\
             [[variant]]\nname = \"it\"\n{variant}\nrevoke = {{ command = [\"touch\", \"{}/{{id}}\"] }}\n\
             [[measurement]]\nkind = \"attack\"\ntimeout = \"2s\"\nwithin = \"200ms\"\n{only}",
            self.revoked().display()
        );
        self.write("s.toml", scenario);
        let output = Command::new(env!("CARGO_BIN_EXE_authbench"))
            .args(["run", "s.toml", "--out", "out"])
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let runs = fs::read_dir(self.folder.path().join("out")).into_iter().flatten().flatten();
        let run = runs.map(|entry| entry.path()).next().unwrap_or_else(|| panic!("no run: {said}"));
        let summary = fs::read_to_string(run.join("summary.json")).unwrap_or_else(|_| panic!("no summary: {said}"));
        let read: Value = serde_json::from_str(&summary).unwrap();
        let described: Value = serde_json::from_str(include_str!("../../../docs/summary.schema.json")).unwrap();
        assert_eq!(schema::problems(&described, &read), Vec::<String>::new());
        let cases = read["attacks"][0]["found"]["cases"].as_array().unwrap().clone();
        let of = |wanted: &dyn Fn(&str) -> bool| {
            let is = |case: &&Value| wanted(case["verdict"].as_str().unwrap());
            cases.iter().filter(is).map(|case| case["id"].as_str().unwrap().to_owned()).collect()
        };
        let mut written = said.clone() + &String::from_utf8_lossy(&output.stdout);
        for name in ["summary.json", "report.md", "report.html", "records.jsonl", "run.json", "tables/attack-cases.csv"]
        {
            written += &fs::read_to_string(run.join(name)).unwrap_or_default();
        }
        Found {
            exit: output.status.code(),
            said,
            findings: of(&|verdict| !matches!(verdict, "held" | "not_run")),
            held: of(&|verdict| verdict == "held"),
            not_run: of(&|verdict| verdict == "not_run"),
            written,
        }
    }
}

/// Keys of three callers.
fn keys() -> Vec<String> {
    (0..6).map(|number| format!("tk_live_q7Wk2ZrT9pLx4VbN8cYd1HsG6fJm3Q00aB{number}x")).collect()
}

fn attack_keys(mutant: Mutant, only: &[&str]) -> Found {
    let stage = Stage::set();
    let lines: Vec<String> = keys().iter().enumerate().map(|(i, key)| format!("{key}\tapp-{i}\tkey-{i}")).collect();
    stage.write("keys.txt", lines.join("\n"));
    let address = start(Config { mutant, asks: Asks::Keys(keys()), revoked: stage.revoked() });
    let variant =
        "method = \"api-key\"\nheader = \"Authorization: Bearer {credential}\"\ncredentials = { file = \"keys.txt\" }";
    stage.attack(&format!("http://{address}/whoami"), variant, only)
}

const USERS: [(&str, &str); 3] =
    [("alice", "correct-Horse-battery"), ("bob", "staple-Of-the-trade"), ("carol", "another-Long-secret")];

fn attack_users(mutant: Mutant, only: &[&str]) -> Found {
    let stage = Stage::set();
    stage.write("users.txt", USERS.map(|(name, password)| format!("{name}:{password}")).join("\n"));
    let users = USERS.map(|(name, password)| (name.to_owned(), password.to_owned())).to_vec();
    let address = start(Config { mutant, asks: Asks::Users(users), revoked: stage.revoked() });
    let variant = "method = \"basic\"\ncredentials = { file = \"users.txt\" }";
    stage.attack(&format!("http://{address}/whoami"), variant, only)
}

fn attack_tokens(mutant: Mutant, only: &[&str]) -> Found {
    let stage = Stage::set();
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pair.serialized_der()).unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let tokens: Vec<String> = (0..6)
        .map(|number| {
            let header = r#"{"typ":"at+jwt","alg":"ES256","kid":"k1"}"#;
            let claims = format!(
                r#"{{"iss":"{ISSUER}","aud":"{AUDIENCE}","sub":"app-{number}","client_id":"app-{number}","jti":"jti-{number}","iat":{now},"exp":{}}}"#,
                now + 600
            );
            let input = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
            let signature = key.sign(&SystemRandom::new(), input.as_bytes()).unwrap();
            format!("{input}.{}\tapp-{number}\tjti-{number}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
        })
        .collect();
    stage.write("tokens.txt", tokens.join("\n"));
    stage.write("key.pem", pair.serialize_pem());
    let body = STANDARD.encode(pair.subject_public_key_info());
    let lines: Vec<&str> = (0..body.len()).step_by(64).map(|at| &body[at..body.len().min(at + 64)]).collect();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"));
    let asks = Asks::Tokens { point: key.public_key().as_ref().to_vec(), pem };
    let address = start(Config { mutant, asks, revoked: stage.revoked() });
    let variant = "method = \"jwt\"\ncredentials = { file = \"tokens.txt\" }\n\
                   forge = { key = \"key.pem\", algorithm = \"ES256\" }";
    stage.attack(&format!("http://{address}/whoami"), variant, only)
}

fn attack_certificates(mutant: Mutant, only: &[&str]) -> Found {
    let stage = Stage::set();
    let pki = Pki::new();
    stage.write("ca.pem", pki.ca_pem());
    stage.write("ca.key", pki.ca_key_pem());
    fs::create_dir(stage.folder.path().join("clients")).unwrap();
    let clients: Vec<(String, Vec<u8>)> = (0..6)
        .map(|number| {
            let name = format!("client-{number}");
            let (pem, der, key) = pki.client(&name);
            // The CA behind it, as a server would send what stands between.
            stage.write(&format!("clients/{name}.pem"), format!("{pem}{}", pki.ca_pem()));
            stage.write(&format!("clients/{name}.key"), key);
            (name, der)
        })
        .collect();
    let acceptor = pki.acceptor(mutant, stage.revoked(), clients.clone());
    let address = start(Config { mutant, asks: Asks::Certificates { acceptor, clients }, revoked: stage.revoked() });
    let variant = "method = \"mtls\"\ncredentials = { folder = \"clients\" }\n\
                   forge = { ca = \"ca.pem\", key = \"ca.key\" }";
    stage.attack(&format!("https://localhost:{}/whoami", address.port()), variant, only)
}

/// The mutant is found by these cases, and a run that finds something ends with status 1.
fn found(attack: fn(Mutant, &[&str]) -> Found, mutant: Mutant, by: &[&str]) {
    let found = attack(mutant, by);
    let expected: BTreeSet<String> = by.iter().map(|id| (*id).to_owned()).collect();
    assert_eq!(found.findings, expected, "{mutant:?}: {}", found.said);
    assert_eq!(found.exit, Some(1), "{mutant:?}: {}", found.said);
    for id in by {
        assert!(found.said.contains(id), "{mutant:?}: {id} is not said: {}", found.said);
    }
}

/// The twin: all that can be sent is held, and the run ends well.
fn right(attack: fn(Mutant, &[&str]) -> Found, at_least: usize) -> Found {
    let found = attack(Mutant::None, &[]);
    assert_eq!(found.findings, BTreeSet::new(), "{}", found.said);
    assert_eq!(found.exit, Some(0), "{}", found.said);
    assert!(found.held.len() >= at_least, "only {} were run; not run: {:?}", found.held.len(), found.not_run);
    assert!(found.held.contains("PC-01"));
    found
}

#[test]
fn the_right_servers_have_no_finding() {
    let of_keys = right(attack_keys, 25);
    for key in keys() {
        assert!(!of_keys.written.contains(&key[8..]), "a key is in what was written");
    }
    let of_users = right(attack_users, 25);
    for (_, password) in USERS {
        assert!(!of_users.written.contains(password), "a password is in what was written");
    }
    let of_tokens = right(attack_tokens, 45);
    assert!(of_tokens.held.contains("PC-05"), "forged tokens are as good as issued ones");
    let of_certificates = right(attack_certificates, 12);
    assert!(of_certificates.held.contains("PC-13"), "forged certificates are as good as issued ones");
}

/// The scenario that ships, against the reference server: held to the letter. It has most rows of the table, and these in any
/// case:
///
/// Rows: BC-001, BC-026, BC-076, BC-098, BC-114, BC-117, BC-145, BC-146, BC-147.
#[test]
fn the_reference_server_has_no_finding() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_authbench"))
        .args(["run", "attack", "--out", "out", "--set", "server.pin=false"])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let run = fs::read_dir(folder.path().join("out")).unwrap().next().unwrap().unwrap().path();
    let summary: Value = serde_json::from_str(&fs::read_to_string(run.join("summary.json")).unwrap()).unwrap();
    let mut held = BTreeSet::new();
    for attack in summary["attacks"].as_array().unwrap() {
        assert_eq!(attack["found"]["strict"], true);
        assert_eq!(attack["found"]["findings"], 0, "{}: {said}", attack["variant"]);
        let cases = attack["found"]["cases"].as_array().unwrap().iter();
        held.extend(cases.filter(|case| case["verdict"] == "held").map(|case| case["id"].as_str().unwrap().to_owned()));
    }
    // What has no words in the table yet, and what the server does not offer, is not among them.
    assert!(held.len() >= 125, "{} cases and controls were held: {held:?}", held.len());
    for id in
        ["BC-001", "BC-026", "BC-076", "BC-098", "BC-114", "BC-117", "BC-145", "BC-146", "BC-147", "PC-01", "PC-09"]
    {
        assert!(held.contains(id), "{id}: {said}");
    }
}

#[test]
fn attack_finds_a_server_that_refuses_everybody() {
    found(attack_keys, Mutant::RefusesEverything, &["PC-01", "PC-02"]);
}

#[test]
fn attack_finds_a_server_that_accepts_everything() {
    found(attack_keys, Mutant::AcceptsEverything, &["BC-001", "BC-003", "BC-016", "BC-018"]);
}

#[test]
fn attack_finds_a_server_that_fails_or_falls_silent() {
    found(attack_keys, Mutant::FailsOnTheUnexpected, &["BC-025"]);
    found(attack_keys, Mutant::NeverAnswersTheUnexpected, &["BC-025"]);
}

#[test]
fn attack_finds_a_server_that_trusts_forwarded_fields() {
    found(attack_keys, Mutant::TrustsForwardedUsers, &["BC-015"]);
    found(attack_keys, Mutant::TrustsOriginalUrl, &["BC-013"]);
    found(attack_certificates, Mutant::TrustsForwardedCertificates, &["BC-152"]);
}

#[test]
fn attack_finds_a_server_that_protects_one_spelling_of_its_path() {
    found(attack_keys, Mutant::ProtectsOneSpelling, &["BC-014"]);
}

#[test]
fn attack_finds_a_server_that_takes_credentials_from_anywhere() {
    found(attack_keys, Mutant::TakesTheLastField, &["BC-007"]);
    found(attack_keys, Mutant::TakesTheUrl, &["BC-031"]);
    found(attack_tokens, Mutant::TakesTheUrl, &["BC-071"]);
}

#[test]
fn attack_finds_keys_that_are_compared_loosely() {
    found(attack_keys, Mutant::ComparesCaseBlind, &["BC-019"]);
    found(attack_keys, Mutant::ComparesABeginning, &["BC-023", "BC-024"]);
    found(attack_keys, Mutant::ComparesWhatKeysBeginWith, &["BC-020"]);
}

#[test]
fn attack_finds_passwords_and_users_that_are_compared_loosely() {
    found(attack_users, Mutant::PasswordsCaseBlind, &["BC-118"]);
    found(attack_users, Mutant::EmptyPasswords, &["BC-123"]);
    found(attack_users, Mutant::TrimsUsers, &["BC-126"]);
}

#[test]
fn attack_finds_revocations_that_are_ignored() {
    found(attack_keys, Mutant::IgnoresRevocation, &["BC-026"]);
    found(attack_tokens, Mutant::IgnoresRevocation, &["BC-114"]);
    found(attack_certificates, Mutant::IgnoresRevocation, &["BC-145", "BC-146", "BC-147"]);
}

#[test]
fn attack_finds_sessions_and_connections_that_outlive_a_revocation() {
    found(attack_certificates, Mutant::ResumesAfterRevocation, &["BC-146", "BC-147"]);
    found(attack_certificates, Mutant::JudgesInTheHandshakeAlone, &["BC-147"]);
}

#[test]
fn attack_finds_certificates_that_nobody_verifies() {
    found(attack_certificates, Mutant::AcceptsAnyCertificate, &["BC-136", "BC-137", "BC-138", "BC-139", "BC-140"]);
}

#[test]
fn attack_finds_signatures_that_prove_nothing() {
    found(attack_tokens, Mutant::AcceptsNone, &["BC-076", "BC-077", "BC-078"]);
    found(attack_tokens, Mutant::ConfusesAlgorithms, &["BC-080"]);
    found(attack_tokens, Mutant::WeakMac, &["BC-081"]);
    found(attack_tokens, Mutant::IgnoresSignatures, &["BC-079", "BC-082", "BC-083", "BC-105"]);
    found(attack_tokens, Mutant::AcceptsZeros, &["BC-092"]);
}

#[test]
fn attack_finds_keys_that_come_with_the_token() {
    found(attack_tokens, Mutant::TrustsEmbeddedKeys, &["BC-084"]);
    found(attack_tokens, Mutant::FollowsUrls, &["BC-085"]);
}

#[test]
fn attack_finds_claims_that_are_ignored() {
    found(attack_tokens, Mutant::IgnoresAud, &["BC-069", "BC-106"]);
    found(attack_tokens, Mutant::IgnoresIss, &["BC-104"]);
    found(attack_tokens, Mutant::SkipsExp, &["BC-098", "BC-099", "BC-100", "BC-103"]);
    found(attack_tokens, Mutant::IgnoresNbf, &["BC-101"]);
}

#[test]
fn attack_finds_headers_that_are_ignored() {
    found(attack_tokens, Mutant::IgnoresTyp, &["BC-094"]);
    found(attack_tokens, Mutant::IgnoresCrit, &["BC-095", "BC-096"]);
}

#[test]
fn attack_finds_json_that_is_read_loosely() {
    found(attack_tokens, Mutant::TakesTheLastMember, &["BC-097"]);
    found(attack_tokens, Mutant::TakesStringsForTimes, &["BC-100", "BC-103"]);
}
