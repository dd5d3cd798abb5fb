//! `[[sweep]]`: keys of which every value makes variants or measurements of its own.
//!
//! A swept value goes where `--set` would put it: each variant and each measurement is read from the scenario as it
//! would be at one point, so every value is judged by the key's own rules, at its place in the sweep's list.

use std::collections::{BTreeMap, BTreeSet};

use super::document::{self, At, Item, Table, Value};
use super::measurement::{self, WrittenMeasurement};
use super::reader::{Problems, Section};
use super::suggest;
use super::target::Target;
use super::value::{duration, words};
use super::variant::{self, WrittenVariant};
use super::{DEFAULT_POOL, read_server};
use crate::plan::{BASELINE, Coordinate, Metric, Point, ServerPlan, SweptPath, SweptValue};

/// More variants than this are surely a slip: the server processes of a start run at the same time.
const VARIANTS_MAX: usize = 256;

/// More cases than this would take hours for a single round.
pub(super) const CASES_MAX: usize = 1_000;

/// What most questions are about: what a caller waits for and what a request costs the server.
const DEFAULT_PLOT: [Metric; 2] = [Metric::LatencyAddedP50, Metric::ServerCpu];

/// For each sweep that matters to something, the step it stands at.
pub(super) type Steps = BTreeMap<usize, usize>;

/// Whether two things can meet in a case: where one sweep matters to both, they stand at the same step.
pub(super) fn meet(one: &Steps, other: &Steps) -> bool {
    one.iter().all(|(sweep, step)| other.get(sweep).is_none_or(|it| it == step))
}

/// All sweeps of a scenario.
pub(super) struct Sweeps(Vec<Sweep>);

struct Sweep {
    at: At,
    paths: Vec<Path>,
    steps: usize,
    plot: Vec<Metric>,
}

struct Path {
    at: At,
    path: String,
    of: Of,
    /// Path without what `of` says.
    key: String,
    values: Vec<Item>,
}

/// What a swept key belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Of {
    Server,
    Pool,
    Variant(String),
    Measurement(String),
}

impl Sweeps {
    /// Reads the sweeps of `document`. What cannot be read is reported and left out.
    pub(super) fn read(tables: Vec<(At, Table)>, document: &Table, problems: &Problems) -> Self {
        let mut sweeps = Vec::new();
        let mut taken = BTreeSet::new();
        for (index, (at, table)) in tables.into_iter().enumerate() {
            let place = format!("sweep {}", index + 1);
            sweeps.extend(read(&place, at, table, document, problems));
        }
        for path in sweeps.iter().flat_map(|sweep: &Sweep| &sweep.paths) {
            if !taken.insert(path.path.as_str()) {
                problems.error(path.at, format!("\"{}\" is swept twice; remove one", path.path));
            }
        }
        Self(sweeps)
    }

    /// The sweeps of a plan, with the steps that `--quick` keeps where it is asked for.
    pub(super) fn plan(&self, quick: bool) -> Vec<crate::plan::Sweep> {
        let path = |path: &Path| SweptPath {
            path: path.path.clone(),
            key: path.key.clone(),
            values: path.values.iter().map(|item| swept(&item.value)).collect(),
        };
        let plan = |sweep: &Sweep| crate::plan::Sweep {
            paths: sweep.paths.iter().map(path).collect(),
            steps: if quick { super::quick::steps(sweep.steps) } else { (0..sweep.steps).collect() },
            plot: sweep.plot.clone(),
        };
        self.0.iter().map(plan).collect()
    }

    /// Reads every variant at every point that matters to it.
    pub(super) fn variants(
        &self,
        document: &Table,
        target: Option<&Target>,
        problems: &Problems,
    ) -> Vec<WrittenVariant> {
        let mut variants = Vec::new();
        for (index, table) in document::tables(document, "variant").enumerate() {
            let name = document::text(table, "name").unwrap_or_default();
            let own_pool = |key: &str| document::table_of(table, "pool").is_some_and(|pool| pool.contains_key(key));
            let matters = |path: &Path| match &path.of {
                Of::Server => true,
                // The baseline has one caller and no credentials; what a variant's own table says wins.
                Of::Pool => name != BASELINE && !own_pool(path.key.trim_start_matches("pool.")),
                Of::Variant(of) => of == name,
                Of::Measurement(_) => false,
            };
            for steps in self.points(matters, VARIANTS_MAX, "variants", problems) {
                let mut section = Section::new("", At::File(0), self.document_at(document, &steps, matters), problems);
                let server = match target {
                    Some(target) => ServerPlan { transport: target.transport, http: target.http },
                    None => read_server(&mut section).0,
                };
                let pool = variant::read_pool(section.table("pool"), DEFAULT_POOL);
                let Some((at, table)) = section.tables("variant").into_iter().nth(index) else { continue };
                let mut written = variant::read(index + 1, at, table, target, pool, server, problems);
                if let (Some(variant), Some(point)) = (&mut written.variant, self.point(name, &steps, matters)) {
                    variant.name = point_name(&point);
                    variant.server = self.sweeps_server().then_some(server);
                    variant.point = Some(point);
                }
                variants.push(WrittenVariant { steps, ..written });
            }
        }
        let readable = variants.len();
        if readable > VARIANTS_MAX {
            self.too_many(readable, VARIANTS_MAX, "variants", problems);
        }
        variants
    }

    /// Reads every measurement at every point that matters to it.
    pub(super) fn measurements(
        &self,
        document: &Table,
        folder: &std::path::Path,
        problems: &Problems,
    ) -> Vec<WrittenMeasurement> {
        let mut measurements = Vec::new();
        for (index, table) in document::tables(document, "measurement").enumerate() {
            let name = document::name_of(table).unwrap_or_default();
            let matters = |path: &Path| matches!(&path.of, Of::Measurement(of) if of == name);
            for steps in self.points(matters, CASES_MAX, "measurements", problems) {
                let mut section = Section::new("", At::File(0), self.document_at(document, &steps, matters), problems);
                let Some((at, table)) = section.tables("measurement").into_iter().nth(index) else { continue };
                let mut written = measurement::read(index + 1, at, table, folder, problems);
                if let (Some(measurement), Some(point)) = (&mut written.measurement, self.point(name, &steps, matters))
                {
                    measurement.name = point_name(&point);
                    measurement.point = Some(point);
                }
                measurements.push(WrittenMeasurement { steps, ..written });
            }
        }
        measurements
    }

    /// Reports more of something than a run can do, at the first sweep. Without a sweep nothing multiplies.
    pub(super) fn too_many(&self, found: usize, most: usize, what: &str, problems: &Problems) {
        if let Some(sweep) = self.0.first() {
            let remedy = "sweep fewer values, or let keys vary together in one [[sweep]]";
            problems.error(sweep.at, format!("the sweeps make {found} {what}, and {most} is the most; {remedy}"));
        }
    }

    fn sweeps_server(&self) -> bool {
        self.0.iter().flat_map(|sweep| &sweep.paths).any(|path| path.of == Of::Server)
    }

    /// The points of whatever the paths matter to: every combination of the steps of their sweeps, the last sweep's
    /// fastest. Where there are more than `most`, the first, so that reading goes on.
    fn points(&self, matters: impl Fn(&Path) -> bool, most: usize, what: &str, problems: &Problems) -> Vec<Steps> {
        let sweeps = self.0.iter().enumerate().filter(|(_, sweep)| sweep.paths.iter().any(&matters));
        let sweeps: Vec<(usize, usize)> = sweeps.map(|(number, sweep)| (number, sweep.steps)).collect();
        let count = sweeps.iter().fold(1_usize, |product, (_, steps)| product.saturating_mul(*steps));
        if count > most {
            self.too_many(count, most, what, problems);
            return vec![sweeps.iter().map(|(number, _)| (*number, 0)).collect()];
        }
        let mut points = vec![Steps::new()];
        for (number, steps) in sweeps {
            let with = |point: Steps| {
                (0..steps).map(move |step| {
                    let mut point = point.clone();
                    point.insert(number, step);
                    point
                })
            };
            points = points.into_iter().flat_map(with).collect();
        }
        points
    }

    /// The document with the values of a point put in.
    fn document_at(&self, document: &Table, steps: &Steps, matters: impl Fn(&Path) -> bool) -> Table {
        let mut document = document.clone();
        for (sweep, step) in steps {
            for path in self.0[*sweep].paths.iter().filter(|path| matters(path)) {
                let value = path.values[*step].clone();
                document::put(&mut document, &path.path, path.at, value).expect("tried when the sweep was read");
            }
        }
        document
    }

    /// The point of a plan; `None` where no sweep matters.
    fn point(&self, family: &str, steps: &Steps, matters: impl Fn(&Path) -> bool) -> Option<Point> {
        let of_sweep = |(&sweep, &step): (&usize, &usize)| -> Vec<Coordinate> {
            let paths = self.0[sweep].paths.iter().filter(|path| matters(path));
            let value = |path: &Path| swept(&path.values[step].value);
            paths.map(|path| Coordinate { sweep, step, key: path.key.clone(), value: value(path) }).collect()
        };
        let at: Vec<Coordinate> = steps.iter().flat_map(of_sweep).collect();
        (!at.is_empty()).then(|| Point { family: family.to_owned(), at })
    }
}

/// Reads one sweep; `place` names it in messages.
fn read(place: &str, at: At, mut table: Table, document: &Table, problems: &Problems) -> Option<Sweep> {
    let plot: Table = table.remove_entry("plot").into_iter().collect();
    let plot_at = plot.get("plot").map(|(at, _)| *at);
    let mut section = Section::new(place, at, plot, problems);
    let plot = section.or("plot", DEFAULT_PLOT.to_vec(), words(&Metric::ALL));
    section.finish();
    let mut written: Vec<(String, At, Item)> = table.into_iter().map(|(path, (at, item))| (path, at, item)).collect();
    written.sort_by_key(|(_, at, _)| *at);
    if written.is_empty() {
        let remedy = "write for instance \"variant.NAME.key\" = [1, 2]";
        problems.error(at, format!("{place}: it sweeps nothing; {remedy}"));
    }
    let given = written.len();
    let paths: Vec<Path> = written
        .into_iter()
        .filter_map(|(path, at, item)| match read_path(&path, at, &item, document) {
            Ok(path) => Some(path),
            Err(errors) => {
                errors.into_iter().for_each(|(at, message)| problems.error(at, format!("{place}: {message}")));
                None
            }
        })
        .collect();
    let first = paths.first()?;
    let steps = first.values.len();
    for other in paths.iter().filter(|path| path.values.len() != steps) {
        problems.error(
            other.at,
            format!(
                "{place}: \"{}\" has {} values and \"{}\" {steps}; keys of one [[sweep]] vary together: write as many, or \
                 another [[sweep]]",
                other.path,
                other.values.len(),
                first.path
            ),
        );
    }
    if paths.len() != given || paths.iter().any(|path| path.values.len() != steps) {
        return None;
    }
    let step = |step: usize| paths.iter().map(|path| swept(&path.values[step].value)).collect::<Vec<_>>();
    for late in (1..steps).filter(|late| (0..*late).any(|early| step(early) == step(*late))) {
        let Item { at, value } = &first.values[late];
        problems.error(*at, format!("{place}: {value} makes a point that is there already; remove it"));
    }
    let is_axis = |path: &Path| path.values.iter().all(|item| swept(&item.value).position().is_some());
    if let (Some(at), false) = (plot_at, paths.iter().any(is_axis)) {
        problems
            .error(at, format!("{place}: plot needs an axis, and no key here holds only numbers or times; remove it"));
    }
    Some(Sweep { at, paths, steps, plot })
}

/// Reads one path with its values.
fn read_path(path: &str, at: At, item: &Item, document: &Table) -> Result<Path, Vec<(At, String)>> {
    let Value::List(values) = &item.value else {
        let remedy = match item.value {
            Value::Table(_) => "write the whole path in quotes, like \"variant.NAME.key\" = [1, 2]",
            _ => "write a list of values, like [1, 2]",
        };
        return Err(vec![(item.at, format!("\"{path}\" is {}; {remedy}", item.value))]);
    };
    if values.is_empty() {
        return Err(vec![(item.at, format!("\"{path}\" has no value; write at least one, or remove it"))]);
    }
    let (of, key) = belongs(path).map_err(|message| vec![(at, message)])?;
    if of == Of::Server && document.contains_key("target") {
        return Err(vec![(
            at,
            format!("\"{path}\" is of the reference server, and [target] stands in its place; remove it"),
        )]);
    }
    let unfit: Vec<(At, String)> = values
        .iter()
        .filter(|item| matches!(item.value, Value::List(_) | Value::Table(_) | Value::Datetime(_)))
        .map(|item| {
            let remedy = "write text, numbers, true or false; keys of a table may vary together";
            (item.at, format!("\"{path}\" holds {}; {remedy}", item.value))
        })
        .collect();
    if !unfit.is_empty() {
        return Err(unfit);
    }
    // Tried once here, so that it cannot fail at any point.
    document::put(&mut document.clone(), path, at, values[0].clone()).map_err(|message| vec![(at, message)])?;
    Ok(Path { at, path: path.to_owned(), of, key, values: values.clone() })
}

/// What a path belongs to and the rest of it, or why it cannot be swept.
fn belongs(path: &str) -> Result<(Of, String), String> {
    const ROOTS: [&str; 4] = ["variant", "measurement", "server", "pool"];
    let parts: Vec<&str> = path.split('.').collect();
    let one_name = |what: &str| format!("\"{path}\" says what it is, not how; write one {what} for each");
    match parts.as_slice() {
        ["variant", BASELINE, ..] => Err(format!(
            "\"{path}\" is of the baseline, which is measured at every point of [server] by itself; sweep another variant"
        )),
        ["variant", _, "name" | "method"] => Err(one_name("[[variant]]")),
        ["measurement", _, "name" | "kind"] => Err(one_name("[[measurement]]")),
        ["variant", name, rest @ ..] if !rest.is_empty() => Ok((Of::Variant((*name).to_owned()), rest.join("."))),
        ["measurement", name, rest @ ..] if !rest.is_empty() => {
            Ok((Of::Measurement((*name).to_owned()), rest.join(".")))
        }
        [list @ ("variant" | "measurement"), ..] => {
            Err(format!("\"{path}\": name one {list} and a key of it, like \"{list}.NAME.key\""))
        }
        ["server", "http" | "transport"] => Ok((Of::Server, path.to_owned())),
        ["server", ..] => Err(format!("\"{path}\" is the whole run's; of [server] sweep \"http\" or \"transport\"")),
        ["pool", _, ..] => Ok((Of::Pool, path.to_owned())),
        [
            "seed" | "starts" | "rounds" | "analysis" | "keep_awake" | "client_wait" | "price_per_core_hour" | "target",
            ..,
        ] => Err(format!("\"{path}\" is the whole run's and cannot be swept; make runs of their own with --set")),
        [first, ..] => Err(format!("\"{path}\" leads nowhere; {}", suggest::remedy(first, ROOTS))),
        [] => unreachable!("splitting gives at least one part"),
    }
}

/// A written value as the plan holds it. Text that is a time counts as one.
fn swept(value: &Value) -> SweptValue {
    match value {
        Value::Integer(number) => SweptValue::Number(*number as f64),
        Value::Float(number) => SweptValue::Number(*number),
        Value::Text(text) => duration(value).map_or_else(|_| SweptValue::Word(text.clone()), SweptValue::Time),
        other => SweptValue::Word(other.to_string()),
    }
}

/// `api-key@delay=50us`: the family and the last part of each key, or whole keys where those are the same.
fn point_name(point: &Point) -> String {
    fn last(key: &str) -> &str {
        key.rsplit('.').next().unwrap_or(key)
    }
    let short: BTreeSet<&str> = point.at.iter().map(|at| last(&at.key)).collect();
    let key = |at: &'_ Coordinate| {
        if short.len() == point.at.len() { last(&at.key).to_owned() } else { at.key.clone() }
    };
    let at: Vec<String> = point.at.iter().map(|at| format!("{}={}", key(at), at.value)).collect();
    format!("{}@{}", point.family, at.join(","))
}
