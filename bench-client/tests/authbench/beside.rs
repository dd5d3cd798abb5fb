//! Traffic beside a variant, through real servers: it comes in, is told apart, and is in none of the variant's figures.

#![allow(clippy::unwrap_used)] // a step that fails is a test that fails

use std::fs;
use std::process::{Command, Stdio};

use bench_client::outcome::RejectReason;
use bench_client::record::Measured;
use bench_client::report::{Cell, Estimate, Report};
use bench_client::run::RunFolder;

use crate::machine;
use crate::schema;

const SCENARIO: &str = r#"
starts = 1
rounds = 1

[server]
pin = false

[pool]
count = 8

[[variant]]
name = "none"
method = "none"

[[variant]]
name = "api-key"
method = "api-key"
store = { kind = "memory" }
beside = { method = "basic", hash = { algorithm = "pbkdf2-sha256", iterations = 10 }, rate_per_s = 0, connections = 4, pool = { count = 3 } }

[[variant]]
name = "flooded"
method = "api-key"
store = { kind = "memory" }
beside = { method = "basic", hash = { algorithm = "pbkdf2-sha256", iterations = 10 }, rate_per_s = 200, wrong = true }

[[sweep]]
"variant.api-key.beside.rate_per_s" = [0, 200]
plot = ["latency_p99"]

[[measurement]]
kind = "latency"
load = { rate_per_s = 200, connections = 4, warmup = "10ms", measure = "400ms" }
slice = "200ms"

[[measurement]]
kind = "throughput"
connections = 2
warmup = "10ms"
measure = "200ms"
slice = "100ms"
"#;

#[test]
fn it_comes_in_and_is_in_none_of_the_variants_figures() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("beside.toml"), SCENARIO).unwrap();
    fs::create_dir(folder.path().join("tmp")).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_authbench"))
        .args(["run", "beside.toml", "--out", "out"])
        .current_dir(folder.path())
        .env("TMPDIR", folder.path().join("tmp"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    // 3 where the machine was too busy for its checks of times; who was accepted holds all the same.
    let done = matches!(output.status.code(), Some(0 | 3));
    assert!(done, "{said}{}", String::from_utf8_lossy(&output.stdout));
    let out = fs::read_dir(folder.path().join("out")).unwrap().next().unwrap().unwrap();
    let run = RunFolder::load(&out.path()).unwrap();
    let (mut seen, mut alone) = (0, 0);
    for record in &run.records {
        assert_eq!(machine::fault(record), None, "{}", record.case);
        let (Measured::Latency(result) | Measured::Throughput(result)) = &record.measured else { panic!("{record:?}") };
        assert_eq!(result.outcomes.unexpected(result.wanted), 0, "{}", record.case);
        let Some(beside) = &result.beside else {
            alone += 1;
            assert!(result.server.is_some(), "{}", record.case);
            continue;
        };
        seen += 1;
        assert!(result.server.is_none() && result.validation.is_none(), "nobody knows whose work it was");
        let refused = beside.outcomes.rejected.get(&RejectReason::InvalidCredential).copied().unwrap_or_default();
        match (record.variant.as_str(), beside.requested_rate_per_s) {
            ("flooded", 200.0) => assert!(refused > 0 && beside.outcomes.accepted == 0, "{beside:?}"),
            (_, 200.0) => assert!(beside.outcomes.accepted > 0 && refused == 0, "{beside:?}"),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(
        (seen, alone),
        (2 * 2, 2 * 2),
        "two measurements, with the baseline and the point at 0 alone on their servers"
    );
    let report = Report::new(&run);
    let schema = include_str!("../../../docs/summary.schema.json");
    let json = serde_json::to_value(&report).unwrap();
    let problems = schema::problems(&serde_json::from_str(schema).unwrap(), &json);
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    let found: Vec<_> = report.summary.variants.iter().filter_map(|variant| variant.beside.as_ref()?.known()).collect();
    let [served, flooded] = found[..] else { panic!("{found:?}") };
    let per_s = |cell: &Cell<Estimate>| cell.known().unwrap().value;
    assert!(per_s(&served.accepted_per_s) > 50.0 && per_s(&served.refused_per_s) == 0.0, "{served:?}");
    assert!(per_s(&flooded.accepted_per_s) == 0.0 && per_s(&flooded.refused_per_s) > 50.0, "{flooded:?}");
    let latency = report.summary.variant("flooded").unwrap().latency.known().unwrap();
    let why = "not told apart from the traffic beside the variant";
    assert_eq!(latency.server_cpu_ns_per_request, Cell::blank(why));
    assert_eq!(latency.validation_ns.p50, Cell::blank(why));
    assert!(report.terminal().contains("Traffic beside variants"));
}
