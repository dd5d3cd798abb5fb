//! Two builds side by side: load alternates between their servers in short slices, so that whatever the machine does, it
//! does to both.
//!
//! Two lives of one program differ, by memory layout and by luck; so there are several starts, in each of which both
//! sides' processes and ports are new, and the order in which they are started and loaded is drawn anew. A third side, the
//! control, is the baseline's program once more: how far the two seem to be apart is what this measurement sees in nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::load::{self, Seat};
use super::pace::Pace;
use super::random::{Purpose, derived_seed, shuffled};
use super::remaining::Start;
use super::start::{self, STARTED_TOGETHER, Server};
use super::{MeasureError, files_needed, prepare_machine_for};
use crate::machine::Machine;
use crate::plan::{Case, Plan, Stint, Variant};
use crate::progress::Progress;
use crate::run::RunFolder;
use crate::target::{Launcher, Stores, Target};

/// One side of a duet: a program, what it serves, and where its records go.
pub struct DuetSide<'a> {
    /// The side's plan; its variants and measurements have the names of the other sides'.
    pub plan: &'a Plan,
    /// How its servers are executed.
    pub launcher: &'a Launcher,
    /// Where its records go.
    pub folder: &'a mut RunFolder,
}

/// Measures a stint. Runs on the calling thread, which stays bound to the client's processor afterwards; `interrupted` is
/// looked at between slices. However it ends, no server process is left.
///
/// # Errors
/// [`MeasureError`]. Whatever happens, records already appended stay.
pub fn execute(
    sides: &mut [DuetSide<'_>],
    machine: &Machine,
    stint: &Stint,
    progress: &mut dyn Progress,
    interrupted: &AtomicBool,
) -> Result<(), MeasureError> {
    let Some(first) = sides.first() else { return Ok(()) };
    let files = sides.iter().map(|side| files_needed(side.plan)).sum();
    let _awake = prepare_machine_for(files, machine)?; // until this returns
    let runtime = super::runtime()?;
    let stores = Arc::new(Stores::default()); // until this returns
    let expected = stint.expected(sides.iter().map(|side| side.plan));
    let seed = first.plan.seed;
    let mut pace = Pace::begin(progress, interrupted, expected);
    let result = runtime.block_on(async {
        for number in stint.starts.clone() {
            carry_out(sides, (machine, &stores), (stint, number), seed, &mut pace).await?;
        }
        Ok(())
    });
    pace.end();
    result
}

/// One start of all sides. Whatever happens, its processes have ended when this returns.
async fn carry_out(
    sides: &mut [DuetSide<'_>],
    (machine, stores): (&Machine, &Arc<Stores>),
    (stint, number): (&Stint, u32),
    seed: u64,
    pace: &mut Pace<'_>,
) -> Result<(), MeasureError> {
    let plans: Vec<&Plan> = sides.iter().map(|side| side.plan).collect();
    let starts: Vec<Start<'_>> =
        plans.iter().map(|plan| Start::under_load(plan, number, |case| stint.holds(case))).collect();
    let label = format!("start {} of {}", number + 1, stint.starts.end);
    pace.check()?;
    // Side by side, and who comes first in memory and in the list of processes is luck.
    let variants: Vec<(usize, &Variant)> = starts
        .iter()
        .enumerate()
        .flat_map(|(side, start)| start.variants(plans[side]).into_iter().map(move |variant| (side, variant)))
        .collect();
    let order = shuffled(variants.len(), derived_seed(seed, Purpose::Order, &[u64::from(number)]));
    pace.stage(&format!("{label}: starting {} servers", order.len()));
    let launchers: Vec<&Launcher> = sides.iter().map(|side| side.launcher).collect();
    let launch = stream::iter(order)
        .map(|index| {
            let (side, variant) = variants[index];
            let (launcher, plan) = (launchers[side], plans[side]);
            async move {
                let target = Target::start_with(launcher, plan, variant, machine, stores).await?;
                Ok::<_, crate::target::TargetError>((side, Server { variant, target, session: None, beside: None }))
            }
        })
        .buffered(STARTED_TOGETHER)
        .try_collect::<Vec<_>>();
    let (of_sides, mut servers): (Vec<usize>, Vec<Server<'_>>) =
        pace.during(Duration::ZERO, launch).await?.into_iter().unzip();
    let measured = measure(sides, &starts, &label, (&of_sides, &mut servers), pace).await;
    start::end(measured, servers, pace).await
}

async fn measure(
    sides: &mut [DuetSide<'_>],
    starts: &[Start<'_>],
    label: &str,
    (of_sides, servers): (&[usize], &mut [Server<'_>]),
    pace: &mut Pace<'_>,
) -> Result<(), MeasureError> {
    if starts[0].number == 0 {
        for (number, side) in sides.iter_mut().enumerate() {
            let own = of_sides.iter().zip(&*servers).filter(|(of, _)| **of == number).map(|(_, server)| server);
            side.folder.set_servers(start::configurations(own).await?)?;
        }
    }
    for (of, server) in of_sides.iter().zip(servers.iter_mut()) {
        start::prepare(sides[*of].plan, &starts[*of], label, server, pace).await?;
    }
    let plan = sides[0].plan;
    let mut capacities = BTreeMap::new();
    for round in &starts[0].rounds {
        let place = load::Place { round: round.number, start: starts[0].number, seed: plan.seed, first: false };
        if round.number > starts[0].rounds[0].number {
            start::renew_connections(servers).await?;
        }
        for group in &round.groups {
            let name = &group.measurement.name;
            pace.stage(&format!("{label}: {name}, round {} of {}", round.number + 1, plan.rounds));
            // The control and a candidate that lacks the case have no seat.
            let seat = |case: &Case, side: usize| {
                let known = sides[side].plan.cases.iter().any(|other| other.id == case.id);
                let mut of_side = of_sides.iter().zip(&*servers);
                let server = of_side.position(|(of, server)| *of == side && server.variant.name == case.variant);
                server.filter(|_| known)
            };
            let sets: Vec<Vec<Seat<'_>>> = group
                .cases
                .iter()
                .map(|case| {
                    let servers = (0..sides.len()).filter_map(|side| seat(case, side));
                    servers.map(|server| Seat { case, server }).collect()
                })
                .collect();
            let records = load::trials(group, &sets, &place, &mut capacities, servers, pace).await?;
            for (seat, record) in sets.iter().flatten().zip(&records) {
                sides[of_sides[seat.server]].folder.append(record)?;
            }
        }
    }
    Ok(())
}
