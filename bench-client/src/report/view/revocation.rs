//! Tables of revocations that only some scenarios have: the law that windows obey, and what survives on which connection.

use super::{Entry, MILLISECOND, Table, bracket, column, count, figure, row, text};
use crate::plan::ProbeKind;
use crate::report::cell::Cell;
use crate::report::format;
use crate::report::summary::{ByConnection, Law, RevocationSummary, Summary, VariantSummary};
use crate::report::sweep::Extra;

/// The tables, where the run has anything for them.
pub(super) fn extras(summary: &Summary) -> impl Iterator<Item = Extra> {
    let tables =
        [("Windows and their law", LAWS, laws(summary)), ("What survives a revocation", SURVIVORS, survivors(summary))];
    tables
        .into_iter()
        .filter_map(|(title, caption, table)| Some(Extra { title, caption: caption.to_owned(), table: table? }))
}

const LAWS: &str = "What the settings say how long a revoked credential lives on, as a distribution, and how far the windows \
    of this run are from it. The distance is Kolmogorov's, from 0 to 1; chance alone exceeds the figure beside it in one of \
    twenty runs. With several replicas whose caches are filled independently, the last of k refuses after k/(k+1) of the \
    lifetime in the mean.";

const SURVIVORS: &str = "The longest window of each method over each kind of connection: what was open before the revocation \
    and is kept, a stream on a kept HTTP/2 connection, a new connection that resumes a TLS session from before, and a new one \
    with a full handshake. \"Survives\" means that it was still accepted when the watch ended.";

/// Variants with revocations, in order.
fn revoked(summary: &Summary) -> impl Iterator<Item = (&VariantSummary, &RevocationSummary)> {
    summary.variants.iter().filter_map(|variant| Some((variant, variant.revocation.known()?)))
}

/// `None` where no replicas were probed: then the checks say as much.
fn laws(summary: &Summary) -> Option<Table> {
    if revoked(summary).all(|(_, found)| found.replicas < 2) {
        return None;
    }
    let columns = vec![
        text("law", "Law"),
        column("windows", "Windows", ""),
        column("distance", "Distance", "from the law"),
        column("chance", "Chance", "exceeds it once in 20"),
        column("last_replica", "Last replica", "ms, mean"),
        column("last_replica_law", "by the law", "ms"),
    ];
    let rows = revoked(summary).map(|(variant, found)| {
        let law = found.law.as_ref();
        let of =
            |cell: fn(&Law) -> f64| law.map_or_else(|| Entry::blank("there is no such law"), |law| number(cell(law)));
        let mean = |ns: Option<f64>, why: &str| match ns {
            Some(ns) => figure(&Cell::Known(ns), MILLISECOND),
            None => Entry::blank(why),
        };
        let cells = vec![
            Entry::text(law.map_or_else(|| found.promise.clone(), |law| law.name.clone())),
            count(&Cell::Known((found.revoked * found.replicas) as u64)),
            of(|law| law.distance),
            of(|law| law.chance),
            mean(found.last_replica_mean_ns, "a window was still open"),
            mean(law.and_then(|law| law.last_replica_mean_ns), "replicas do not fill their copies independently"),
        ];
        row(variant, cells)
    });
    Some(Table { name: "laws", rows: rows.collect(), columns })
}

/// `None` where probes went over one kind of connection alone.
fn survivors(summary: &Summary) -> Option<Table> {
    let kinds: Vec<ProbeKind> = ProbeKind::ALL
        .into_iter()
        .filter(|kind| revoked(summary).any(|(_, found)| over(found, *kind).is_some()))
        .collect();
    if kinds.len() < 2 {
        return None;
    }
    let title = |kind: ProbeKind| match kind {
        ProbeKind::Reused => ("reused", "Kept connection"),
        ProbeKind::Fresh => ("fresh", "New, full handshake"),
        ProbeKind::Resumed => ("resumed", "New, resumed"),
        ProbeKind::H2 => ("h2", "Kept HTTP/2"),
    };
    let columns = kinds.iter().map(|kind| {
        let (key, title) = title(*kind);
        column(key, title, "")
    });
    let rows = revoked(summary).map(|(variant, found)| {
        let cell = |kind: &ProbeKind| match over(found, *kind) {
            None => Entry::blank("not probed"),
            Some(seen) if seen.still_accepted > 0 => {
                let watched = format::duration(found.watched_ns as f64);
                let open = format!("{} of {} open after {watched}", seen.still_accepted, seen.windows);
                Entry { detail: open, ..Entry::text("survives") }
            }
            Some(seen) => bracket(&Cell::Known(seen.max)),
        };
        row(variant, kinds.iter().map(cell).collect())
    });
    Some(Table { name: "survivors", rows: rows.collect(), columns: columns.collect() })
}

fn over(found: &RevocationSummary, kind: ProbeKind) -> Option<&ByConnection> {
    found.by_connection.iter().find(|seen| seen.connection == kind)
}

fn number(value: f64) -> Entry {
    Entry { value: Some(value), ..Entry::text(format::number(value)) }
}
