//! The answer in three sentences, and the sentences that go with tables and with the machine. Generated, never written by
//! hand.

mod events;

use super::format::{self, bracket, duration, fixed, number, percent, times};
use super::rank::{Group, Ranking};
use super::summary::{Amortisation, RevocationSummary, Summary, VariantSummary};
use super::view::{power_figure, slow_down_size};
use crate::cell::Cell;
use crate::plan::{ConnectionKind, SessionKind};
use crate::stats::{BreakEven, Grouping, POWER, median};

/// Where lines cross and what else only some scenarios ask; then cheapest validation, highest throughput, shortest and longest window.
pub(crate) fn sentences(summary: &Summary) -> Vec<String> {
    let mut sentences = super::sweep::sentences(summary);
    sentences.extend(found_out(summary));
    sentences.extend(amortised(summary).into_iter().chain(set_up(summary)).chain(events::sentences(summary)));
    sentences.extend([validation(summary), throughput(summary), revocation(summary)].into_iter().flatten());
    sentences
}

/// The comparisons in which both sides make full handshakes.
pub(crate) fn both_full(summary: &Summary) -> impl Iterator<Item = &Amortisation> {
    let full = |it: &&Amortisation| it.session == SessionKind::Full && it.against_session == SessionKind::Full;
    summary.amortisation.iter().filter(full)
}

/// From how many requests per connection on client certificates are cheaper: a sentence for each variant with some.
pub(crate) fn amortised(summary: &Summary) -> Vec<String> {
    let mut by_variant: Vec<(&str, Vec<String>)> = Vec::new();
    for found in both_full(summary) {
        let text = |crossing| format::crossing(crossing, found);
        let interval =
            found.interval.map_or_else(String::new, |(low, high)| format!(" ({} – {})", text(low), text(high)));
        let against = &found.against;
        let words = match found.break_even {
            BreakEven::Before => format!("than {against} at every number measured{interval}"),
            BreakEven::At(_) => {
                format!("than {against} from {} requests per connection on{interval}", text(found.break_even))
            }
            BreakEven::Beyond => format!("not than {against} up to {} requests per connection{interval}", found.to),
        };
        match by_variant.iter_mut().find(|(variant, _)| *variant == found.variant) {
            Some((_, all)) => all.push(words),
            None => by_variant.push((&found.variant, vec![words])),
        }
    }
    let sentence = |(variant, all): (&str, Vec<String>)| {
        format!("Per request, {variant} costs the server less processor time {}.", all.join("; "))
    };
    by_variant.into_iter().map(sentence).collect()
}

/// The smallest slow-down of each variant that a comparison nearly always finds, by whichever figure of its gate.
fn found_out(summary: &Summary) -> Option<String> {
    let mut variants: Vec<&str> = summary.power.iter().map(|curve| curve.variant.as_str()).collect();
    variants.dedup();
    let of = |variant: &str| {
        let curves = summary.power.iter().filter(|curve| curve.variant == variant && curve.gate);
        let points = curves.flat_map(|curve| curve.points.iter().map(move |point| (curve, point)));
        let found = points.filter(|(_, point)| point.regressed >= POWER);
        match found.min_by(|(_, a), (_, b)| slow_down_size(a.slow_down).total_cmp(&slow_down_size(b.slow_down))) {
            Some((curve, point)) => {
                format!("{variant} slower by {} ({})", format::slow_down(point.slow_down), power_figure(summary, curve))
            }
            None => format!("{variant} slower by none of the sizes tried"),
        }
    };
    let all: Vec<String> = variants.into_iter().map(of).collect();
    (!all.is_empty()).then(|| {
        format!(
            "With {} power, a comparison of this scenario finds the validation of {}.",
            percent(POWER),
            all.join(", and of ")
        )
    })
}

/// Fewest and most round trips to begin; `None` where that was not measured.
fn set_up(summary: &Summary) -> Option<String> {
    let found: Vec<(&str, u32)> = summary
        .variants
        .iter()
        .filter_map(|variant| Some((variant.name.as_str(), variant.setup.as_ref()?.known()?.round_trips)))
        .collect();
    let fewest = found.iter().map(|(_, trips)| *trips).min()?;
    let most = found.iter().map(|(_, trips)| *trips).max()?;
    let with = |wanted: u32| {
        let names: Vec<&str> = found.iter().filter(|(_, trips)| *trips == wanted).map(|(name, _)| *name).collect();
        list(&names)
    };
    let more = if most > fewest { format!(", and {most} with {}", with(most)) } else { String::new() };
    Some(format!(
        "From nothing to the first authorised request a client needs {fewest} round trips with {}{more}.",
        with(fewest)
    ))
}

fn validation(summary: &Summary) -> Option<String> {
    let ranking =
        Ranking::new(summary, 0.0, |variant| Some((*variant.latency.known()?.validation_ns.p50.known()?, None)));
    let (cheap, dear) = (ranking.first()?, ranking.last()?);
    if ranking.entries.len() == 1 {
        return Some(format!(
            "Validating one request takes {} at the median with {}.",
            duration(cheap.value),
            cheap.names[0]
        ));
    }
    let ratio = times_as_much(&cheap, &dear);
    Some(format!(
        "Validating one request is cheapest with {} ({} at the median) and dearest with {} ({}{ratio}).{}",
        cheap.named(),
        duration(cheap.value),
        dear.named(),
        duration(dear.value),
        handshake_aside(summary, &cheap.names),
    ))
}

/// `, 3 times as much`, where there is one at either end.
pub(crate) fn times_as_much(low: &Group<'_>, high: &Group<'_>) -> String {
    if low.is_one() && high.is_one() && low.value > 0.0 {
        format!(", {} times as much", times(high.value / low.value))
    } else {
        String::new()
    }
}

fn throughput(summary: &Summary) -> Option<String> {
    let ranking = Ranking::new(summary, 1.0, |variant| {
        let found = variant.throughput.known()?;
        Some((found.per_s, found.ratio_to_baseline.known().copied()))
    });
    let (high, low, best) = (ranking.last()?, ranking.first()?, ranking.entries.last()?.variant);
    let ratio = best.throughput.known().and_then(|throughput| throughput.ratio_to_baseline.known());
    let of_baseline = match ratio {
        Some(ratio) => {
            format!(", {} of what the same route carries without authentication", percent(ratio.value))
        }
        _ => String::new(),
    };
    let lowest = if ranking.entries.len() > 1 {
        format!("; the lowest is {} with {}", number(low.value), low.named())
    } else {
        String::new()
    };
    Some(format!(
        "The highest throughput is {} requests per second with {}{of_baseline}{lowest}.{}",
        fixed(high.value, 0),
        high.named(),
        handshake_aside(summary, &high.names),
    ))
}

/// What has to be said when mTLS is named as cheap.
pub(crate) fn handshake_aside(summary: &Summary, names: &[&str]) -> &'static str {
    let is_mtls = |variant: &VariantSummary| variant.method == "mtls" && names.contains(&variant.name.as_str());
    let kept = |variant: &VariantSummary| connections_of(variant).all(|(_, kind)| kind == ConnectionKind::Reused);
    if summary.compared().any(|variant| is_mtls(variant) && kept(variant)) {
        " Connections were kept: the handshake, in which mTLS does its work, is outside this figure."
    } else {
        ""
    }
}

/// Measurements under load of a variant, with their kind of connection.
fn connections_of(variant: &VariantSummary) -> impl Iterator<Item = (&str, ConnectionKind)> {
    let latency = variant.latency.known().map(|latency| (latency.measurement.as_str(), latency.connection));
    let throughput =
        variant.throughput.known().map(|throughput| (throughput.measurement.as_str(), throughput.connection));
    latency.into_iter().chain(throughput)
}

/// What a reader of the comparison must know, in sentences.
pub(crate) fn comparison_notes(summary: &Summary) -> Vec<String> {
    connections(summary).into_iter().chain(in_process(summary)).chain(aged(summary)).collect()
}

/// What criterion's figures are of.
fn in_process(summary: &Summary) -> Option<String> {
    let when = summary.in_process_measured_at?.strftime("%Y-%m-%d %H:%M UTC");
    Some(format!(
        "In-process figures are criterion's, of {when}: one credential validated over and over, keys and caches warm, no \
         request around it."
    ))
}

/// Whether handshakes are in the figures.
fn connections(summary: &Summary) -> Option<String> {
    let mut found: Vec<(&str, ConnectionKind)> = summary.variants.iter().flat_map(connections_of).collect();
    found.sort_by_key(|(name, _)| *name);
    found.dedup();
    let (_, first) = found.first()?;
    if found.iter().all(|(_, kind)| kind == first) {
        return Some(
            match first {
                ConnectionKind::Reused => "Connections were kept: handshakes are outside these figures.",
                ConnectionKind::Fresh => {
                    "Each request opened a connection of its own: a full handshake is inside these figures."
                }
                ConnectionKind::Resumed => {
                    "Each request opened a connection of its own: the handshake that resumes a session is inside these \
                     figures."
                }
            }
            .to_owned(),
        );
    }
    let words = |(name, kind): &(&str, ConnectionKind)| {
        let kind = match kind {
            ConnectionKind::Reused => "connections were kept, handshakes are outside its figures",
            ConnectionKind::Fresh => "a connection with a full handshake for each request",
            ConnectionKind::Resumed => "a connection with a resumed session for each request",
        };
        format!("{name}: {kind}")
    };
    Some(format!("{}.", found.iter().map(words).collect::<Vec<_>>().join("; ")))
}

/// Entries of a cache age while the slices of other cases run.
fn aged(summary: &Summary) -> Option<String> {
    let cached = summary.variants.iter().filter(|variant| variant.cache_lifetime_ns.is_some());
    let duties: Vec<f64> = cached.filter_map(|variant| variant.latency.known()?.duty.known().copied()).collect();
    let share = (1.0 / median(&duties)?).round();
    // Alone, a case is under load nearly all the time, and its entries age as in service.
    (share >= 2.0).then(|| {
        format!(
            "Cache entries aged while other cases ran: each case was under load for 1/{share} of the time, so cached \
             variants missed about as often as they would under continuous load with entries that live 1/{share} as long."
        )
    })
}

fn revocation(summary: &Summary) -> Option<String> {
    let mut measured: Vec<_> =
        summary.compared().filter_map(|variant| Some((variant, variant.revocation.known()?))).collect();
    measured.sort_by(|a, b| longest(a.1).total_cmp(&longest(b.1)));
    let ((_, short), (_, long)) = (measured.first()?, measured.last()?);
    let (soonest, latest) = (alike(&measured, short), alike(&measured, long));
    let open = match long.still_accepted {
        0 => String::new(),
        open => format!(", {open} of {} still accepted when the watch ended", long.revoked),
    };
    Some(format!(
        "A revoked credential is refused soonest with {} (longest window {}); it lives on longest with {} ({}{open}).",
        named(&soonest),
        bracket(&widest(&soonest).max),
        named(&latest),
        bracket(&long.max),
    ))
}

/// A variant and its windows.
pub(crate) type Revoked<'s> = (&'s VariantSummary, &'s RevocationSummary);

/// For ordering: a window that never closed is longer than any that did.
pub(crate) fn longest(found: &RevocationSummary) -> f64 {
    found.max.high_ns.unwrap_or(1e18 + found.max.low_ns)
}

/// The one of the group whose longest window is the longest.
pub(crate) fn widest<'s>(group: &[Revoked<'s>]) -> &'s RevocationSummary {
    let widest = group.iter().max_by(|a, b| longest(a.1).total_cmp(&longest(b.1)));
    widest.expect("a group holds at least the one that it is alike to").1
}

/// The variants with the same promise as that one, or whose longest window probes cannot tell from its: which of them
/// was slower in this run is the draw of the phases.
pub(crate) fn alike<'s>(measured: &[Revoked<'s>], to: &RevocationSummary) -> Vec<Revoked<'s>> {
    let near = |found: &RevocationSummary| match (found.max.high_ns, to.max.high_ns) {
        (Some(a), Some(b)) => (a - b).abs() <= 2.0 * to.probe_interval_ns as f64,
        (None, None) => true,
        _ => false,
    };
    let promised = |found: &RevocationSummary| found.promise_ns.is_some() && found.promise_ns == to.promise_ns;
    measured.iter().copied().filter(|(_, found)| promised(found) || near(found)).collect()
}

/// The names, or what they have in common.
pub(crate) fn named(group: &[Revoked<'_>]) -> String {
    let names: Vec<&str> = group.iter().map(|(variant, _)| variant.name.as_str()).collect();
    if names.len() > 3 && group.iter().all(|(variant, found)| found.until_expiry && variant.method != "mtls") {
        return "stateless JWTs, until exp".to_owned();
    }
    list(&names)
}

/// `a`, `a and b`, `a, b and c`; more than three as `a, b and 3 others`.
pub(crate) fn list(names: &[&str]) -> String {
    match names {
        [] => "none".to_owned(),
        [only] => (*only).to_owned(),
        [first, second] => format!("{first} and {second}"),
        [first, second, third] => format!("{first}, {second} and {third}"),
        [first, second, rest @ ..] => format!("{first}, {second} and {} others", rest.len()),
    }
}

/// Question 0.
pub(crate) fn smallest_regression(summary: &Summary) -> Vec<String> {
    if summary.only_attacks() {
        return Vec::new();
    }
    summary
        .smallest_regression
        .iter()
        .map(|regression| {
            let metric = match regression.metric.as_str() {
                "server_cpu_ns_per_request_at_saturation" => "server CPU per request at saturation",
                "latency_ns_p50" => "median latency",
                other => other,
            };
            match &regression.change {
                Cell::Known(change) => format!(
                    "Comparing two runs like this one would show a change of {metric} by {} or more with 90 % power in the \
                     typical variant, and by {} in the least steady one, {}; two builds side by side show less.",
                    percent(change.median),
                    percent(change.worst),
                    change.worst_variant,
                ),
                Cell::Blank { blank } => format!("The smallest visible change of {metric} is not known: {blank}."),
            }
        })
        .collect()
}

/// Fewest starts or rounds from which a percentile bootstrap comes near the 95 % that it is made for.
const ENOUGH_CLUSTERS: usize = 6;

/// Starts or rounds that intervals were drawn over, where they are too few.
fn few(summary: &Summary) -> Option<String> {
    let clusters = summary.interval_clusters.filter(|clusters| *clusters < ENOUGH_CLUSTERS)?;
    let what = match summary.intervals_over? {
        Grouping::StartsThenRounds => "starts",
        Grouping::Rounds => "rounds",
    };
    Some(format!("{clusters} {what}"))
}

/// What intervals are called beside figures and in captions.
pub(crate) fn interval_words(summary: &Summary) -> String {
    few(summary).map_or_else(
        || "95\u{a0}% intervals".to_owned(),
        |few| format!("bootstrap intervals over {few}; with so few they are narrower than 95\u{a0}%"),
    )
}

/// How the intervals were drawn; of attacks alone there is no figure that could have one.
pub(crate) fn intervals(summary: &Summary) -> Option<String> {
    if summary.only_attacks() {
        return None;
    }
    let (kind, caution) = match few(summary) {
        None => ("95\u{a0}% bootstrap", String::new()),
        Some(few) => ("bootstrap", format!(" With so few ({few}) they are narrower than 95\u{a0}%.")),
    };
    Some(match summary.intervals_over {
        Some(Grouping::StartsThenRounds) => format!(
            "Intervals are {kind} intervals over {} starts of the server processes and the rounds inside each.{caution}",
            summary.starts
        ),
        Some(Grouping::Rounds) => format!(
            "Intervals are {kind} intervals over the rounds of a single start: what restarting the server processes \
             would change is not in them.{caution}"
        ),
        None => "There are no intervals: the run has fewer than two valid trials of every case.".to_owned(),
    })
}

/// What stands above the tables.
#[derive(Debug, serde::Serialize)]
pub(crate) struct Captions {
    pub(crate) comparison: String,
    pub(crate) latency: &'static str,
    pub(crate) operations: &'static str,
    pub(crate) resources: &'static str,
    pub(crate) revocation: &'static str,
}

/// What stands above the tables of this run.
pub(crate) fn captions(summary: &Summary) -> Captions {
    let uncertainty = match summary.intervals_over {
        Some(_) => format!(" Small figures are {}.", interval_words(summary)),
        None => String::new(),
    };
    Captions {
        comparison: format!("Costs are distances from none, the same route without authentication.{uncertainty}"),
        latency: "Latency counts from the intended time, service time from the actual send. Rates stand beside each other: \
         requested by the schedule, achieved in answers.",
        operations: "Counted by the resource server, and on the client’s TCP connections with TLS included.",
        resources: "Processor time is exact as a whole; user and system share it in the proportion that the kernel’s clock \
         tick sampled. A server waits when it has nothing to do, and is preempted when another thread is given its \
         processor. Bytes and segments are the kernel’s counts on the client’s TCP connections: payload with TLS and \
         retransmissions, without the IP and TCP headers that each segment brings. Instructions are those of user space. \
         Peak memory is that of the processes’ whole life; the client’s has served all variants.",
        revocation: "Time from the acknowledged revocation until the credential was refused: between the last acceptance and \
         the first rejection.",
    }
}

/// How to read the tables: words and their meaning.
pub(crate) const WORDS: [(&str, &str); 6] = [
    ("Validation", "Time inside the server’s authenticator call, recorded by the server."),
    (
        "Added latency",
        "A percentile of the variant minus the same percentile of the baseline, over the rounds that measured \
         both. A difference of percentiles is not a percentile of differences: it says how far the whole \
         distribution moved at that place.",
    ),
    (
        "Server CPU",
        "User and system time of all server processes of a variant, as the operating system accounts it, divided \
         by answered requests. It holds TLS and HTTP too; the added figure does not. It is taken at saturation, \
         where the server always has work; under a schedule that leaves it idle, much of it is falling asleep and \
         waking up (see the latency table). The figure is the run’s average; its interval leaves out what the \
         machine did to all variants in the same rounds, where a start has several and other variants run in each.",
    ),
    (
        "Throughput",
        "Accepted requests per second with every connection always waiting for an answer. Its latency is left out: \
         it would only restate connections divided by throughput. The ratio is the median over rounds of the \
         variant’s rate divided by the baseline’s in the same round.",
    ),
    (
        "Revocation window",
        "From the acknowledged revocation to the last request that was still accepted. Probes bracket it and do \
         not pin it; the resolution says how finely. Exposure counts the requests accepted meanwhile, the blast \
         radius other callers’ requests that were refused.",
    ),
    (
        "–",
        "There is no figure, for the reason given below the table. A percentile with fewer than 10 samples beyond \
         it is not shown.",
    ),
];
