//! Tables of revocations that only some scenarios have: the law that windows obey, and what survives on which connection.

use super::{Entry, MILLISECOND, Table, bracket, column, count, figure, row, text};
use crate::cell::Cell;
use crate::plan::ProbeKind;
use crate::record::{Bystander, HandshakeCounts};
use crate::report::format;
use crate::report::summary::{ByConnection, HandshakesOfBoth, Law, RevocationSummary, Summary, VariantSummary};
use crate::report::sweep::Extra;

/// The tables, where the run has anything for them.
pub(super) fn extras(summary: &Summary) -> impl Iterator<Item = Extra> {
    let tables = [
        ("Windows and their law", LAWS, laws(summary)),
        ("What survives a revocation", SURVIVORS, survivors(summary)),
        ("Whom a revocation cuts off", BLAST, blast(summary)),
    ];
    tables
        .into_iter()
        .filter_map(|(title, caption, table)| Some(Extra { title, caption: caption.to_owned(), table: table? }))
}

const LAWS: &str = "What the settings say how long a revoked credential lives on, as a distribution, and how far the windows \
    of this run are from it. The distance is Kolmogorov's, from 0 to 1; chance alone exceeds the figure beside it in one of \
    twenty runs, and has no part in when a token ends by itself. With several replicas whose caches are filled \
    independently, the last of k refuses after k/(k+1) of the lifetime in the mean.";

const SURVIVORS: &str = "The longest window of each method over each kind of connection: what was open before the revocation \
    and is kept, a stream on a kept HTTP/2 connection, a new connection that resumes a TLS session from before, and a new one \
    with a full handshake. \"Survives\" means that it was still accepted when the watch ended. Under the resumed ones stands what \
    became of the handshakes that offered a session: resumed, or full because the server would not; one that it refused for \
    the certificate was full as well. All handshakes are those of the probes over every kind of connection, of what they \
    resume, and of the credentials beside them, as client and server counted them.";

const BLAST: &str = "One more credential was revoked in the midst of callers who had been accepted until then: some with other \
    principals, some with another credential of the same principal, some with the very credential. So many of each were refused \
    from then on. A user has one password, so that there is no other credential of the same principal.";

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
        let of = |cell: fn(&Law) -> Option<f64>| match law.map(cell) {
            Some(Some(value)) => number(value),
            Some(None) => Entry::blank("the law leaves nothing to chance"),
            None => Entry::blank("there is no such law"),
        };
        let mean = |ns: Option<f64>, why: &str| match ns {
            Some(ns) => figure(&Cell::Known(ns), MILLISECOND),
            None => Entry::blank(why),
        };
        let cells = vec![
            Entry::text(law.map_or_else(|| found.promise.clone(), |law| law.name.clone())),
            count(&Cell::Known((found.revoked * found.replicas) as u64)),
            of(|law| Some(law.distance)),
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
        let cell =
            |kind: &ProbeKind| over(found, *kind).map_or_else(|| Entry::blank("not probed"), |it| seen(found, it));
        row(variant, kinds.iter().map(cell).chain([handshakes(found.handshakes.as_ref())]).collect())
    });
    let columns = columns.chain([text("handshakes", "All handshakes")]);
    Some(Table { name: "survivors", rows: rows.collect(), columns: columns.collect() })
}

/// The longest window over a kind of connection, and of one that resumes what became of that.
fn seen(found: &RevocationSummary, seen: &ByConnection) -> Entry {
    let open = (seen.still_accepted > 0).then(|| {
        let watched = format::duration(found.watched_ns as f64);
        format!("{} of {} open after {watched}", seen.still_accepted, seen.windows)
    });
    let entry = match open {
        Some(_) => Entry::text("survives"),
        None => bracket(&Cell::Known(seen.max)),
    };
    let resumed = seen.handshakes.filter(|_| seen.connection == ProbeKind::Resumed).map(resumptions);
    Entry { detail: open.into_iter().chain(resumed).collect::<Vec<_>>().join("; "), ..entry }
}

/// Handshakes that offered a session.
fn resumptions(made: HandshakeCounts) -> String {
    let full = format!("{} resumed, {} full", made.resumed, made.full + made.refused);
    if made.refused > 0 { format!("{full}, {} of them refused", made.refused) } else { full }
}

/// Both sides' counts in words.
fn handshakes(found: Option<&HandshakesOfBoth>) -> Entry {
    let Some(HandshakesOfBoth { client, server }) = found else { return Entry::blank("none were counted") };
    let words = |made: &HandshakeCounts| {
        let refused = if made.refused > 0 { format!(", {} refused", made.refused) } else { String::new() };
        format!("{} full, {} resumed{refused}", made.full, made.resumed)
    };
    let server = match server {
        Cell::Known(server) if server == client => "the server counted the same".to_owned(),
        Cell::Known(server) => format!("server: {}", words(server)),
        Cell::Blank { blank } => format!("server: {blank}"),
    };
    Entry { detail: server, ..Entry::text(words(client)) }
}

/// `None` where nobody was asked.
fn blast(summary: &Summary) -> Option<Table> {
    if revoked(summary).all(|(_, found)| found.blast.is_empty()) {
        return None;
    }
    const GROUPS: [(Bystander, &str, &str); 3] = [
        (Bystander::Stranger, "stranger", "Strangers"),
        (Bystander::SamePrincipal, "same_principal", "Same principal"),
        (Bystander::SameCredential, "same_credential", "Same credential"),
    ];
    let columns = GROUPS.map(|(_, key, title)| column(key, title, "cut off"));
    let rows = revoked(summary).map(|(variant, found)| {
        let cell = |(who, _, _): (Bystander, _, _)| match found.blast.iter().find(|group| group.who == who) {
            Some(group) => {
                let text = format!("{} of {}", group.cut_off, group.callers);
                Entry { value: Some(group.cut_off as f64), ..Entry::text(text) }
            }
            None => Entry::blank("there are none, or it was not asked"),
        };
        row(variant, GROUPS.map(cell).to_vec())
    });
    Some(Table { name: "blast", rows: rows.collect(), columns: columns.to_vec() })
}

fn over(found: &RevocationSummary, kind: ProbeKind) -> Option<&ByConnection> {
    found.by_connection.iter().find(|seen| seen.connection == kind)
}

fn number(value: f64) -> Entry {
    Entry { value: Some(value), ..Entry::text(format::number(value)) }
}
