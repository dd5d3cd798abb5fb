//! Where scenarios come from: files, or the ones that ship, which the program carries within itself.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Exit, fail, remark};
use crate::plan::Plan;
use crate::scenario::{self, Overrides, Resolved};

/// A scenario that ships.
pub(super) struct Shipped {
    /// What `run` and the others call it.
    pub(super) name: &'static str,
    /// Where it stands in the repository.
    pub(super) file: &'static str,
    /// Its text.
    pub(super) text: &'static str,
}

/// All of them, by their name and their file in `scenarios`.
macro_rules! shipped {
    ($($name:literal: $file:literal,)*) => {
        &[$(Shipped {
            name: $name,
            file: concat!("scenarios/", $file),
            text: include_str!(concat!("../../../scenarios/", $file)),
        },)*]
    };
}

/// All scenarios that ship.
pub(super) const SHIPPED: &[Shipped] = shipped! {
    "compare": "compare.toml",
    "mtls-amortisation": "mtls-amortisation.toml",
    "revocation": "revocation.toml",
    "survivors": "survivors.toml",
    "rollover": "rollover.toml",
    "outage": "outage.toml",
    "verified-cache": "verified-cache.toml",
    "basic-hashing": "basic-hashing.toml",
    "setup": "setup.toml",
    "attack": "attack.toml",
    "break-even": "break-even.toml",
    "cost": "cost.toml",
    "wire-size": "wire-size.toml",
    "scale": "scale.toml",
    "refusals": "refusals.toml",
    "ci": "ci.toml",
    "power": "power.toml",
    "haproxy": "gateways/haproxy.toml",
    "nginx": "gateways/nginx.toml",
};

/// What the command line changes in a scenario.
#[derive(Debug, clap::Args)]
pub(super) struct Changes {
    /// Change a value: variant.NAME.KEY=VALUE, measurement.NAME.KEY=VALUE, or a path from the top (repeatable)
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_and_value)]
    set: Vec<(String, String)>,
    /// Passes over all cases, a multiple of the scenario's starts
    #[arg(long, value_name = "N")]
    rounds: Option<u32>,
    /// Seed of every random choice
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Every variant and measurement in under a minute, with fewer and shorter trials
    #[arg(long, conflicts_with = "rounds")]
    quick: bool,
}

impl Changes {
    fn overrides(&self) -> Overrides {
        Overrides { rounds: self.rounds, seed: self.seed, quick: self.quick, set: self.set.clone() }
    }
}

pub(super) fn key_and_value(argument: &str) -> Result<(String, String), String> {
    match argument.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE, like variant.jwt-es256.leeway=5s".to_owned()),
    }
}

/// A scenario that was read and resolved.
pub(super) struct Ready {
    /// Its text, byte for byte.
    pub(super) text: String,
    /// What will run.
    pub(super) plan: Plan,
}

/// Reads and resolves a scenario: a file, or the name of one that ships. Problems and warnings go to stderr.
pub(super) fn prepare(scenario: &Path, changes: &Changes) -> Result<Ready, Exit> {
    prepare_with(scenario, changes, &[])
}

/// The same with more values changed.
pub(super) fn prepare_with(scenario: &Path, changes: &Changes, more: &[(String, String)]) -> Result<Ready, Exit> {
    let (file, text) = read(scenario).map_err(|message| fail(Exit::Input, message))?;
    let mut overrides = changes.overrides();
    overrides.set.extend(more.iter().cloned());
    match scenario::resolve(&file, &text, &overrides) {
        Ok(Resolved { plan, warnings }) => {
            warnings.iter().for_each(|warning| remark(format_args!("warning: {warning}")));
            Ok(Ready { text, plan })
        }
        Err(problems) => {
            problems.iter().for_each(remark);
            Err(Exit::Input)
        }
    }
}

fn read(scenario: &Path) -> Result<(PathBuf, String), String> {
    let shown = scenario.display();
    // A file comes first: a name is a shorthand for when there is no checkout.
    if !scenario.exists()
        && let Some(shipped) = SHIPPED.iter().find(|shipped| Path::new(shipped.name) == scenario)
    {
        return Ok((PathBuf::from(shipped.file), shipped.text.to_owned()));
    }
    match fs::read_to_string(scenario) {
        Ok(text) => Ok((scenario.to_owned(), text)),
        Err(error) => Err(format!("{shown}: {error}; name a scenario file, or one that ships (see `authbench list`)")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shipped_scenarios_are_the_files_and_have_no_mistakes() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let folders = ["scenarios", "scenarios/gateways"].map(|folder| root.join(folder));
        let entries = folders.iter().flat_map(|folder| fs::read_dir(folder).expect("in the repository"));
        let paths = entries.map(|entry| entry.expect("readable").path());
        for path in paths.filter(|path| path.extension().is_some_and(|extension| extension == "toml")) {
            let file = path.strip_prefix(&root).expect("it is in it").to_owned();
            let shipped = SHIPPED.iter().find(|shipped| Path::new(shipped.file) == file);
            let shipped = shipped.unwrap_or_else(|| panic!("{} does not ship; add it", file.display()));
            let resolved = scenario::resolve(&file, shipped.text, &Overrides::default()).expect(shipped.file);
            assert_eq!(resolved.warnings, []);
            assert_eq!(resolved.plan.scenario, shipped.name);
            assert!(!resolved.plan.analysis.is_empty(), "{} gives no reason", shipped.file);
        }
    }

    #[test]
    fn shipped_scenarios_take_minutes_and_their_quick_forms_less_than_one() {
        for shipped in SHIPPED {
            let expected = |quick: bool| {
                let overrides = Overrides { quick, ..Overrides::default() };
                let resolved = scenario::resolve(shipped.file.as_ref(), shipped.text, &overrides);
                resolved.expect(shipped.file).plan.expected_duration().as_secs()
            };
            // A hundred windows for each way to hear of a revocation take their time.
            let limit = if shipped.name == "revocation" { 600 } else { 360 };
            assert!(expected(false) < limit, "{} takes {} s", shipped.name, expected(false));
            assert!(expected(true) < 60, "{} --quick takes {} s", shipped.name, expected(true));
        }
    }

    #[test]
    fn a_name_stands_for_a_scenario_that_ships() {
        let (file, text) = read(Path::new("compare")).expect("ships");
        assert_eq!(file, Path::new("scenarios/compare.toml"));
        assert_eq!(text, SHIPPED[0].text);
        let message = read(Path::new("no-such-thing")).expect_err("neither");
        assert!(message.starts_with("no-such-thing: ") && message.contains("authbench list"), "{message}");
    }

    #[test]
    fn set_splits_at_the_first_equals_sign() {
        let pair = |key: &str, value: &str| Ok((key.to_owned(), value.to_owned()));
        assert_eq!(key_and_value("a.b=c"), pair("a.b", "c"));
        assert_eq!(key_and_value("a.cache={ ttl = \"1s\" }"), pair("a.cache", "{ ttl = \"1s\" }"));
        assert_eq!(key_and_value("a="), pair("a", ""));
        assert!(key_and_value("a").is_err() && key_and_value("=a").is_err());
    }
}
