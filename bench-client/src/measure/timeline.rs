//! `rollover` and `outage`: many callers call on at a steady pace while something happens, and what becomes of each call is
//! counted along the time.
//!
//! Every caller has a credential, a connection and a rhythm of its own. A call that is due while the caller still waits for
//! its last answer is not sent later, as no caller would: it counts as held up. What a call should have come to is known from
//! when its credential ended, if it did: whatever was sent after that must be refused, and all else accepted.

mod line;

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use bench_server::contract::{Issued, KeyRollover, MethodConfig};
use futures_util::future::{join, join_all};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::time::sleep_until;

use self::line::{Line, Standing, Who};
use super::random::{Purpose, derived_seed, duration_below, shuffled};
use super::revocation::{Place, caller};
use crate::load::{Caller, Endpoint};
use crate::outcome::Outcome;
use crate::plan::{Case, Event, Fault, OutagePlan, ProbeKind, RolloverOf, RolloverPlan, Variant};
use crate::record::{Begun, Happening, Measured, Record, TimelineResult};
use crate::target::{Dependency, Passage, Target};

/// Requests of the operator's at a time: renewals and revocations.
const AT_A_TIME: usize = 8;

/// Share of an outage, at its begin and at its end, in which nothing is revoked: so that each revocation falls into it.
const MARGIN: f64 = 0.05;

/// Measures one case. Whatever goes wrong is in the record.
pub(super) async fn measure(
    case: &Case,
    place: Place,
    target: &Target,
    variant: &Variant,
    event: &Event,
    seed: u64,
) -> Record {
    let begun = Begun::now();
    let mut invalid = Vec::new();
    let result = match not_applicable(variant, target, event) {
        Some(reason) => TimelineResult { not_applicable: Some(reason), ..line::nothing(event.calls()) },
        None => match watch(place, target, variant, event, seed).await {
            Ok((result, against)) => {
                invalid.extend(against);
                result
            }
            Err(reason) => {
                invalid.push(reason);
                line::nothing(event.calls())
            }
        },
    };
    let measured = match event {
        Event::Rollover(_) => Measured::Rollover(result),
        Event::Outage(_) => Measured::Outage(result),
    };
    Record { invalid, ..Record::of(case, (place.start, place.round), begun, measured) }
}

/// Why nothing can happen to a variant.
fn not_applicable(variant: &Variant, target: &Target, event: &Event) -> Option<String> {
    let nothing = |what: &str| Some(what.to_owned());
    match event {
        _ if variant.method.is_none() => nothing("nobody authenticates"),
        Event::Outage(_) => None,
        Event::Rollover(RolloverPlan { of: RolloverOf::Credential, .. }) => None,
        Event::Rollover(_) if target.rolls_over_key() => None,
        Event::Rollover(_) => nothing("there is no key that others have to learn of"),
    }
}

/// What was counted, and why it must not be, if so.
async fn watch(
    place: Place,
    target: &Target,
    variant: &Variant,
    event: &Event,
    seed: u64,
) -> Result<(TimelineResult, Vec<String>), String> {
    let calls = event.calls();
    let issued = target.issue(calls.callers, None).await.map_err(|error| error.to_string())?;
    let draw = |number: usize, span: Duration, what: u64| {
        let here: Vec<u64> = place.of(number).into_iter().chain([what]).collect();
        duration_below(span, derived_seed(seed, Purpose::Phase, &here))
    };
    let endpoints = target.endpoints().iter().cycle();
    let opened = stream::iter(issued.iter().zip(endpoints))
        .map(async |(credential, endpoint)| open(endpoint, credential).await)
        .buffered(AT_A_TIME)
        .try_collect::<Vec<Caller>>()
        .await?;
    let begun = Instant::now();
    let line = Line::new(begun, event);
    let parties: Vec<Party> = issued
        .iter()
        .enumerate()
        .map(|(number, credential)| Party {
            credential: credential.clone(),
            standing: Cell::new(Standing::Good),
            next: RefCell::default(),
            old: RefCell::default(),
            changes_over: match event {
                Event::Rollover(settings) => {
                    Some(begun + calls.before + settings.lead + draw(number, settings.adoption, 1))
                }
                Event::Outage(_) => None,
            },
        })
        .collect();
    let around = Around { target, event, line: &line, to_change_over: Cell::new(parties.len()) };
    let calling = parties.iter().zip(opened).enumerate().map(|(number, (party, caller))| {
        let first = begun + draw(number, calls.interval, 0);
        // The thief, if there is one, in a rhythm of its own: it holds nobody up.
        join(call_on(party, caller, first, number, &around), steal(party, first + calls.interval / 2, number, &around))
    });
    let happening = async {
        match event {
            Event::Rollover(settings) => roll_over(target, variant, settings, &parties, &line).await,
            Event::Outage(settings) => {
                let order = shuffled(parties.len(), derived_seed(seed, Purpose::Order, &place.of(0)));
                let robbed = order.into_iter().take(settings.revoked);
                let span = settings.lasts.mul_f64(1.0 - 2.0 * MARGIN);
                let robbed = robbed.map(|number| (&parties[number], draw(number, span, 2))).collect();
                cut_off(target, settings, robbed, &line).await
            }
        }
    };
    let ((), happened) = join(async { drop(join_all(calling).await) }, happening).await;
    happened?;
    let ended = parties.iter().filter(|party| party.standing.get() != Standing::Good).count();
    let against = line.against();
    let asked = target.dependency().filter(|_| matches!(event, Event::Outage(_)));
    let dependency = asked.map(|dependency| dependency.name.to_owned());
    Ok((TimelineResult { dependency, ended, ..line.result(calls) }, against))
}

/// A caller that is connected, and whose credential is accepted.
async fn open(endpoint: &Endpoint, credential: &Issued) -> Result<Caller, String> {
    let mut caller = caller(endpoint, credential, ProbeKind::Reused)?;
    match caller.call().await.outcome {
        Outcome::Accepted => Ok(caller),
        other => Err(format!("a credential was not accepted before anything happened: {other:?}")),
    }
}

/// One caller: its first credential, and what becomes of it.
struct Party {
    credential: Issued,
    standing: Cell<Standing>,
    /// The credential to change over to, once it is there.
    next: RefCell<Option<Issued>>,
    /// Who goes on with the first credential, once the caller has changed over.
    old: RefCell<Option<Caller>>,
    changes_over: Option<Instant>,
}

/// What all callers of a case have in common.
struct Around<'a> {
    target: &'a Target,
    event: &'a Event,
    line: &'a Line,
    /// Callers that have not changed over yet.
    to_change_over: Cell<usize>,
}

impl Around<'_> {
    fn changed_over(&self) {
        self.to_change_over.update(|left| left - 1);
        if self.to_change_over.get() == 0 {
            self.line.happened(Happening::AllChangedOver);
        }
    }

    /// When calls end.
    fn end(&self) -> Instant {
        self.line.begun + self.event.length()
    }
}

/// Calls in the caller's rhythm until the end of the line.
async fn call_on(party: &Party, mut caller: Caller, first: Instant, number: usize, around: &Around<'_>) {
    let Around { target, event, line, .. } = *around;
    let (interval, end) = (event.calls().interval, around.end());
    // Whose credential is revoked in an outage is served no more, and goes on as the thief.
    let who = if matches!(event, Event::Outage(_)) { Who::Thief } else { Who::Customer };
    let endpoint = &target.endpoints()[number % target.endpoints().len()];
    let good = Cell::new(Standing::Good);
    let mut changed_over = false;
    let mut due = first;
    while due < end {
        sleep_until(due.into()).await;
        line.called(Instant::now().saturating_duration_since(due));
        if !changed_over && party.changes_over.is_some_and(|moment| Instant::now() >= moment) {
            match take_next(party, endpoint, around).await {
                Ok(Some(next)) => {
                    party.old.replace(Some(std::mem::replace(&mut caller, next)));
                    changed_over = true;
                    around.changed_over();
                }
                Ok(None) => {} // it is not there yet
                Err(fault) => line.failed(fault),
            }
        }
        let standing = if changed_over { &good } else { &party.standing };
        call(&mut caller, standing, (number, who), due, line).await;
        let mut next = due + interval;
        while next < Instant::now() && next < end {
            line.held_up((number, who), next, standing.get());
            next += interval;
        }
        due = next;
    }
}

/// Goes on with the credential that its caller has laid aside, from when it has ended.
async fn steal(party: &Party, first: Instant, number: usize, around: &Around<'_>) {
    if party.changes_over.is_none() {
        return; // nothing is ever laid aside
    }
    let mut due = first;
    while due < around.end() {
        sleep_until(due.into()).await;
        let stolen = matches!(party.standing.get(), Standing::Ended(_)).then(|| party.old.take()).flatten();
        if let Some(mut thief) = stolen {
            call(&mut thief, &party.standing, (number, Who::Thief), due, around.line).await;
            party.old.replace(Some(thief));
        }
        due = (due + around.event.calls().interval).max(Instant::now());
    }
}

/// A caller with the credential to change over to, if there is one yet. Tokens and certificates are asked for by who uses them,
/// and not before the new key signs: one more of the old key would be nothing to change over to.
///
/// # Errors
/// Why it cannot be had.
async fn take_next(party: &Party, endpoint: &Endpoint, around: &Around<'_>) -> Result<Option<Caller>, String> {
    let next = match around.event {
        Event::Rollover(RolloverPlan { of: RolloverOf::Key, .. }) => {
            if !around.line.has_happened(Happening::NewSigns) {
                return Ok(None);
            }
            Some(around.target.renew(&party.credential).await.map_err(|error| error.to_string())?)
        }
        _ => party.next.borrow_mut().take(),
    };
    next.map(|next| caller(endpoint, &next, ProbeKind::Reused)).transpose()
}

async fn call(caller: &mut Caller, standing: &Cell<Standing>, who: (usize, Who), due: Instant, line: &Line) {
    let before = standing.get();
    let answer = caller.call().await;
    line.add(who, due, (before, standing.get()), &answer);
}

/// Replaces the credentials of all, or what they are signed with.
async fn roll_over(
    target: &Target,
    variant: &Variant,
    settings: &RolloverPlan,
    parties: &[Party],
    line: &Line,
) -> Result<(), String> {
    let begin = line.begun + settings.calls.before;
    sleep_until(begin.into()).await;
    let ends = begin + settings.lead + settings.overlap;
    match settings.of {
        RolloverOf::Key => {
            let rollover = KeyRollover { lead: Some(settings.lead), overlap: Some(settings.overlap), standby: false };
            let stand = |standing: Standing| parties.iter().for_each(|party| party.standing.set(standing));
            // The server counts from some moment between the request and its acknowledgement. From the one on the old key
            // may have ended, from the other on it has.
            let ending = async {
                sleep_until(ends.into()).await;
                stand(Standing::Ending);
            };
            let rolling = async {
                let rolled = target.roll_over_key(&rollover).await.ok_or("there is no key to replace")?;
                rolled.map_err(|error| error.to_string())?;
                let signs = Instant::now() + settings.lead;
                line.happened(Happening::NewIsThere);
                sleep_until(signs.into()).await;
                line.happened(Happening::NewSigns);
                sleep_until((signs + settings.overlap).into()).await;
                Ok::<_, String>(())
            };
            let ((), rolled) = join(ending, rolling).await;
            rolled?;
            stand(Standing::Ended(Instant::now()));
        }
        RolloverOf::Credential => {
            // A user has one password: with the new one the old one ends.
            let replaces = matches!(variant.method.reference(), Some(MethodConfig::Basic(_)));
            let renew = async |party: &Party| {
                if replaces {
                    party.standing.set(Standing::Ending);
                }
                let next = target.renew(&party.credential).await.map_err(|error| error.to_string())?;
                if replaces {
                    party.standing.set(Standing::Ended(Instant::now()));
                }
                party.next.replace(Some(next));
                Ok::<_, String>(())
            };
            let renewed = stream::iter(parties).map(renew).buffer_unordered(AT_A_TIME);
            renewed.try_collect::<()>().await?;
            line.happened(Happening::NewIsThere);
            if !replaces {
                sleep_until(ends.into()).await;
                let revoked = stream::iter(parties).map(async |party| revoke(target, party).await);
                revoked.buffer_unordered(AT_A_TIME).try_collect::<()>().await?;
            }
        }
    }
    line.happened(Happening::OldEnds);
    Ok(())
}

async fn revoke(target: &Target, party: &Party) -> Result<(), String> {
    party.standing.set(Standing::Ending);
    let revoked = target.revoke(&party.credential).await;
    party.standing.set(Standing::Ended(Instant::now()));
    revoked.map_err(|error| format!("a credential could not be revoked: {error}"))
}

/// Disturbs what the servers ask, and revokes the credentials of the robbed meanwhile, each at its time.
async fn cut_off(
    target: &Target,
    settings: &OutagePlan,
    robbed: Vec<(&Party, Duration)>,
    line: &Line,
) -> Result<(), String> {
    let begin = line.begun + settings.calls.before;
    let end = begin + settings.lasts;
    sleep_until(begin.into()).await;
    line.happened(Happening::FaultBegins);
    let disturbing = async {
        if let Some(Dependency { forwarder, .. }) = target.dependency() {
            match settings.fault {
                Fault::Slow(by) => forwarder.set(Passage::Late(by)),
                Fault::Down => forwarder.set(Passage::Closed),
                Fault::Flapping(turn) => {
                    let mut next = begin;
                    for passage in [Passage::Closed, Passage::Open].into_iter().cycle() {
                        if next >= end {
                            break;
                        }
                        sleep_until(next.into()).await;
                        forwarder.set(passage);
                        next += turn;
                    }
                }
            }
            sleep_until(end.into()).await;
            forwarder.set(Passage::Open);
        } else {
            sleep_until(end.into()).await;
        }
        line.happened(Happening::FaultEnds);
    };
    let first = begin + settings.lasts.mul_f64(MARGIN);
    let revoking = robbed.into_iter().map(async |(party, after)| {
        sleep_until((first + after).into()).await;
        revoke(target, party).await
    });
    let ((), revoked) = join(disturbing, join_all(revoking)).await;
    revoked.into_iter().collect()
}
