//! What readers get: the page, plots, the terminal, and the summary's form.

use bench_client::compare::{PowerCurve, PowerPoint};
use bench_client::machine::KeptAwake;
use bench_client::plan::Quantity;
use bench_client::report::{Estimate, Format, Report};
use bench_client::run::LoadedRun;
use bench_client::stats::Interval;
use bench_server::contract::SlowDown;

use super::{ALL, fixture, page, schema_problems, well_formed};

#[test]
fn every_report_says_whether_cores_were_kept_awake() {
    let texts = |run: &LoadedRun| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Report::new(run).write(run, folder.path(), &[Format::Markdown, Format::Json]).expect("a report");
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).expect("written");
        [page(run), read("report.md"), Report::new(run).terminal(), read("summary.json")]
    };
    let mut run = fixture::run();
    for text in &texts(&run)[..3] {
        assert!(text.contains("cores kept awake") && !text.contains("not kept awake"), "{text}");
    }
    run.header.machine.keep_awake = KeptAwake::off("the scheduler refuses");
    for text in &texts(&run)[..3] {
        assert!(text.contains("cores not kept awake: the scheduler refuses"), "{text}");
    }
    assert!(texts(&run)[3].contains("the scheduler refuses"));
}

#[test]
fn what_a_reader_must_know_stands_beside_the_figures() {
    let mut run = fixture::run();
    for record in &mut run.records {
        record.elapsed_ns *= 17;
    }
    let text =
        Report::new(&run).terminal().split([' ', '\n']).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    for wanted in [
        "Connections were kept: handshakes are outside these figures.",
        "each case was under load for 1/17 of the time",
        "entries that live 1/17 as long.",
        "With so few (3 starts) they are narrower than 95",
        "longest with stateless JWTs, until exp",
    ] {
        assert!(text.contains(wanted), "{wanted} is missing in {text}");
    }
    let report = Report::new(&run);
    let variant = |name: &str| report.summary.variant(name).expect("in the fixture");
    assert_eq!((variant("mtls").credentials, variant("jwt-hs256").credentials), (64, 1000));
    let promise = &variant("jwt-hs256").revocation.known().expect("measured").promise;
    assert_eq!(promise.replace('\u{a0}', " "), "token expiry, 10 s here");
    let at_once = variant("api-key-memory").revocation.known().expect("measured").max;
    assert_eq!(at_once.high_ns, Some(20e6), "nothing is known below the distance of two probes");

    // Six starts are enough, and two cannot tell.
    let mut many = fixture::run();
    for record in &mut many.records {
        record.start = record.round;
    }
    let text = Report::new(&many).terminal();
    assert!(text.contains("95\u{a0}% bootstrap") && !text.contains("narrower"), "{text}");
    many.records.retain(|record| record.start < 2);
    assert!(Report::new(&many).terminal().contains("two starts cannot tell"));
}

#[test]
fn the_page_needs_no_network_and_every_figure_a_caption() {
    let html = page(&fixture::run());
    for attribute in ["src=", "href=", "url(", "@import", "action="] {
        for (at, _) in html.match_indices(attribute) {
            let value = html[at + attribute.len()..].trim_start_matches(['"', '\'']);
            assert!(
                value.starts_with('#') || value.starts_with("data:"),
                "{attribute}{}",
                &value[..40.min(value.len())]
            );
        }
    }
    assert!(html.contains("Content-Security-Policy") && html.contains("default-src 'none'"));
    let figures: Vec<&str> =
        html.split("<figure").skip(1).filter_map(|rest| rest.split_once("</figure>")).map(|it| it.0).collect();
    assert_eq!(figures.len(), 5);
    for figure in figures {
        let caption =
            figure.split_once("<figcaption>").and_then(|it| it.1.split_once("</figcaption>")).expect("a caption").0;
        assert!(caption.len() > 80, "{caption}");
        assert!(figure.contains("var(--plot-ink)") && !figure.contains("\"#1B1F24\""), "colours must follow the page");
    }
    // Prefixed identifiers and anchors all resolve.
    for link in html.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(html.contains(&format!("id=\"{link}\"")), "#{link} leads nowhere");
    }
}

#[test]
fn hostile_names_and_texts_stay_text() {
    let mut run = fixture::run();
    let name = "<script>alert(1)</script>\"'&|`";
    let plan = &mut run.header.plan;
    plan.analysis = format!("{name}\n\n</main><img src=x onerror=alert(2)>");
    run.header.scenario_text = "</code></pre><script>alert(3)</script>".to_owned();
    run.warnings.push("<b onclick=alert(4)>".to_owned());
    plan.variants[1].name = name.to_owned();
    for case in plan.cases.iter_mut().filter(|case| case.variant == "api-key-memory") {
        case.variant = name.to_owned();
    }
    for record in run.records.iter_mut().filter(|record| record.variant == "api-key-memory") {
        record.variant = name.to_owned();
    }
    let html = page(&run);
    assert_eq!(html.matches("<script>").count(), 1, "only the page's own script");
    for forbidden in ["<img", "<b onclick", "alert(1)</script>", "</code></pre><script>"] {
        assert!(!html.contains(forbidden), "{forbidden} came through");
    }
    assert!(html.contains("&lt;script&gt;alert(1)"));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let files =
        Report::new(&run).write(&run, folder.path(), &[Format::Markdown, Format::Svg, Format::Csv]).expect("a report");
    assert!(!std::fs::read_to_string(folder.path().join("report.md")).expect("written").contains("<script>"));
    for path in files.iter().filter(|path| path.extension().is_some_and(|it| it == "svg")) {
        well_formed(&std::fs::read_to_string(path).expect("written"), path);
    }
}

#[test]
fn plots_are_well_formed_and_hold_every_name() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run = fixture::run();
    let files = Report::new(&run).write(&run, folder.path(), &[Format::Svg]).expect("plots");
    assert_eq!(files.len(), 5);
    for path in &files {
        let svg = std::fs::read_to_string(path).expect("written");
        well_formed(&svg, path);
        for variant in run.header.plan.variants.iter().filter(|variant| variant.name != "none") {
            assert!(svg.contains(&variant.name), "{} is not in {}", variant.name, path.display());
        }
    }
}

#[test]
fn the_terminal_keeps_to_120_columns_and_names_every_variant() {
    let run = fixture::run();
    let text = Report::new(&run).terminal();
    for line in text.lines() {
        assert!(line.chars().count() <= 120, "{} columns: {line}", line.chars().count());
    }
    for variant in &run.header.plan.variants {
        assert!(text.lines().any(|line| line.starts_with(&variant.name)), "{} has no row of its own", variant.name);
    }
    assert!(!text.contains('\u{1b}'), "no colour is needed");
}

#[test]
fn the_summary_is_what_its_schema_says_and_reads_back() {
    let mut run = fixture::run();
    run.records[3].invalid.push("stolen time".to_owned());
    run.records[4].warnings.push("a warning".to_owned());
    fixture::windows_mut(&mut run, "mtls/revocation")[0].first_rejected_ns = None;
    run.records.retain(|record| record.case != "jwt-hs256/revocation");
    let report = Report::new(&run);
    let json = serde_json::to_value(&report).expect("plain data");
    let problems = schema_problems(&json);
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert_eq!(serde_json::from_value::<Report>(json.clone()).expect("reads back"), report);

    let mut other = json;
    other["variants"][0]["surprise"] = true.into();
    let problems = schema_problems(&other);
    assert_eq!(problems.len(), 1, "the check would not notice a new key: {problems:?}");
}

#[test]
fn a_power_curve_becomes_every_format() {
    let run = fixture::run();
    let mut report = Report::new(&run);
    assert!(!report.terminal().contains("slow-down"), "nothing is slowed down");
    let point = |share: f64, regressed| PowerPoint {
        case: format!("jwt-es256-slowed@slow_down={share}/throughput"),
        slow_down: SlowDown::Share(share),
        change: Estimate { value: share, interval: Some(Interval { low: share - 0.002, high: share + 0.002 }) },
        regressed,
    };
    report.summary.power = vec![PowerCurve {
        variant: "jwt-es256".to_owned(),
        method: "jwt".to_owned(),
        measurement: "throughput".to_owned(),
        quantity: Quantity::ServerCpu,
        gate: true,
        starts: 8,
        starts_to_confirm: 16,
        figures: 17,
        detectable: 0.011,
        points: vec![point(0.0, 0.0), point(0.01, 0.87), point(0.02, 0.95)],
    }];
    let folder = tempfile::tempdir().expect("a temporary folder");
    report.write(&run, folder.path(), &ALL).expect("a report");
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).expect("was written");
    let sentence = "the validation of jwt-es256 slower by 2\u{a0}% (server CPU per request)";
    for text in [read("report.html"), read("report.md")] {
        assert!(text.contains(sentence), "{text}");
        assert!(text.contains("which has 17 figures, 8 starts, and a second look of up to 16 starts"), "{text}");
    }
    let svg = folder.path().join("plots/power.svg");
    well_formed(&read("plots/power.svg"), &svg);
    assert!(read("plots/power.svg").contains("jwt-es256: server CPU per request"));
    assert_eq!(read("tables/power.csv").lines().count(), 4);
    let terminal = report.terminal();
    assert!(terminal.lines().all(|line| line.chars().count() <= 120), "{terminal}");
    let row = terminal.lines().find(|line| line.contains("server CPU per request") && line.contains("1\u{a0}%"));
    assert!(row.is_some_and(|row| row.contains("87")), "{terminal}");
    let problems = schema_problems(&serde_json::to_value(&report).expect("plain data"));
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}
