//! OpenMetrics 1.0 text ("OpenMetrics, a cloud-native, highly scalable metrics protocol", §3): for a Prometheus text-file
//! collector or a push gateway.

use std::fmt::Write as _;

use crate::compare::{Comparison, Row};
use crate::plan::Quantity;
use crate::stats::Verdict;

/// A family of gauges.
struct Family {
    name: &'static str,
    unit: &'static str,
    help: &'static str,
    value: fn(&Row) -> Option<f64>,
}

const FAMILIES: [Family; 7] = [
    Family {
        name: "authbench_candidate_seconds",
        unit: "seconds",
        help: "The candidate's figure, of quantities that are times.",
        value: |row| (row.quantity != Quantity::Throughput).then_some(row.candidate / 1e9),
    },
    Family {
        name: "authbench_candidate_requests_per_second",
        unit: "requests_per_second",
        help: "The candidate's figure, of throughput.",
        value: |row| (row.quantity == Quantity::Throughput).then_some(row.candidate),
    },
    Family {
        name: "authbench_change_ratio",
        unit: "ratio",
        help: "Change against the baseline, 0.02 being two per cent more.",
        value: |row| Some(row.change),
    },
    Family {
        name: "authbench_change_low_ratio",
        unit: "ratio",
        help: "Lower end of the change's 95 % interval.",
        value: |row| Some(row.interval.low),
    },
    Family {
        name: "authbench_change_high_ratio",
        unit: "ratio",
        help: "Upper end of the change's 95 % interval.",
        value: |row| Some(row.interval.high),
    },
    Family {
        name: "authbench_detectable_ratio",
        unit: "ratio",
        help: "Smallest change for the worse that would have been found with 90 % power.",
        value: |row| Some(row.detectable),
    },
    Family {
        name: "authbench_regressed",
        unit: "",
        help: "1 where the figure regressed, otherwise 0.",
        value: |row| Some(f64::from(u8::from(row.verdict == Verdict::Regressed))),
    },
];

/// Gauges with the labels `scenario`, `case`, `quantity`, `gate` and `verdict`.
pub fn open_metrics(comparison: &Comparison) -> String {
    let mut text = String::new();
    for Family { name, unit, help, value } in FAMILIES {
        let _ = writeln!(text, "# TYPE {name} gauge");
        if !unit.is_empty() {
            let _ = writeln!(text, "# UNIT {name} {unit}");
        }
        let _ = writeln!(text, "# HELP {name} {help}");
        for row in &comparison.rows {
            let Some(value) = value(row) else { continue };
            let labels = [
                ("scenario", comparison.scenario.as_str()),
                ("case", &row.case),
                ("quantity", row.quantity.name()),
                ("gate", if row.gate { "true" } else { "false" }),
                ("verdict", row.verdict.name()),
            ];
            let labels = labels.map(|(label, value)| format!("{label}=\"{}\"", escape(value))).join(",");
            let _ = writeln!(text, "{name}{{{labels}}} {value}");
        }
    }
    text + "# EOF\n"
}

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
