//! The time line: what each call came to, counted by when it was due.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::load::Answer;
use crate::outcome::{Outcome, RejectReason};
use crate::plan::{CallsPlan, Event};
use crate::record::{EncodedHistogram, Happening, Moment, TimelineBin, TimelineResult, new_histogram};

/// A caller that begins later than this was kept by the client. Timers count milliseconds; a call takes a few, an idle core
/// as long to wake.
const LATE: Duration = Duration::from_millis(50);

/// How a credential stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Good,
    /// Its revocation is under way.
    Ending,
    /// Since when it must be refused.
    Ended(Instant),
}

/// Who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    /// Someone who is to be served, whatever has become of the credential.
    Customer,
    /// Someone who is to be served no longer than the credential stands.
    Thief,
}

/// What is counted along the time.
pub(super) struct Line {
    /// When the first call may be due.
    pub(super) begun: Instant,
    /// When the event begins and ends.
    event: (Instant, Instant),
    bin: Duration,
    seen: RefCell<Seen>,
}

struct Seen {
    bins: Vec<TimelineBin>,
    moments: Vec<Moment>,
    latency: [Histogram<u64>; 3],
    lived_on: Option<Duration>,
    /// Callers that were not served.
    cut_off: BTreeSet<usize>,
    /// When the first and the last such call was due, from the event's begin on.
    harmed: Option<(Instant, Instant)>,
    /// Calls of good standing that were due before the event, and not served.
    unserved_before: u64,
    /// Callers whose credential had ended, and whether their last call was accepted.
    last_accepted: BTreeMap<usize, bool>,
    /// What kept a caller from what it had to do.
    faults: Vec<String>,
    /// Calls that were begun, and how many of them late.
    calls: u64,
    late: u64,
}

impl Line {
    pub(super) fn new(begun: Instant, event: &Event) -> Self {
        let calls = event.calls();
        let bins = event.length().as_nanos().div_ceil(calls.bin.as_nanos().max(1)) as usize;
        let begins = begun + calls.before;
        let seen = Seen {
            bins: vec![TimelineBin::default(); bins],
            moments: Vec::new(),
            latency: [new_histogram(), new_histogram(), new_histogram()],
            lived_on: None,
            cut_off: BTreeSet::new(),
            harmed: None,
            unserved_before: 0,
            last_accepted: BTreeMap::new(),
            faults: Vec::new(),
            calls: 0,
            late: 0,
        };
        Self { begun, event: (begins, begins + event.lasts()), bin: calls.bin, seen: RefCell::new(seen) }
    }

    /// Notes how late a caller was who waited for nothing but the time.
    pub(super) fn called(&self, late: Duration) {
        let seen = &mut *self.seen.borrow_mut();
        seen.calls += 1;
        seen.late += u64::from(late > LATE);
    }

    /// Notes what kept a caller from what it had to do.
    pub(super) fn failed(&self, fault: String) {
        self.seen.borrow_mut().faults.push(fault);
    }

    /// Why it must not be counted, if so: the client was late, so that what was held up may have been held up by it; not all
    /// were served before anything happened; or callers could not do their part.
    pub(super) fn against(&self) -> Vec<String> {
        let seen = self.seen.borrow();
        let late = (seen.late * 100 > seen.calls)
            .then(|| format!("the client was late: {} of {} calls by more than {LATE:?}", seen.late, seen.calls));
        let before = (seen.unserved_before > 0)
            .then(|| format!("{} calls were not served before anything happened", seen.unserved_before));
        let fault = seen.faults.first().map(|first| format!("callers failed {} times: {first}", seen.faults.len()));
        late.into_iter().chain(before).chain(fault).collect()
    }

    /// Counts a call of that caller. `standing`: of its credential when it was sent and when it was answered.
    pub(super) fn add(
        &self,
        (number, who): (usize, Who),
        due: Instant,
        standing: (Standing, Standing),
        answer: &Answer,
    ) {
        let accepted = answer.outcome == Outcome::Accepted;
        match standing {
            (Standing::Good, Standing::Good) if accepted => {
                let latency = answer.done.saturating_duration_since(due).as_nanos() as u64;
                self.seen.borrow_mut().latency[self.phase(due)].saturating_record(latency);
                self.count(due, |bin| &mut bin.accepted);
            }
            (Standing::Good, Standing::Good) => self.not_served(number, (due, answer.done), not_served(answer.outcome)),
            (Standing::Ended(since), _) if accepted => {
                self.count(due, |bin| &mut bin.wrongly_accepted);
                let seen = &mut *self.seen.borrow_mut();
                seen.lived_on = seen.lived_on.max(Some(answer.sent.saturating_duration_since(since)));
                seen.last_accepted.insert(number, true);
            }
            (Standing::Ended(_), _) => {
                self.seen.borrow_mut().last_accepted.insert(number, false);
                match who {
                    Who::Customer => self.not_served(number, (due, answer.done), not_served(answer.outcome)),
                    Who::Thief => self.count(due, |bin| &mut bin.rightly_refused),
                }
            }
            // Whoever is to be served was not, whichever way the credential stood.
            _ if who == Who::Customer && !accepted => {
                self.not_served(number, (due, answer.done), not_served(answer.outcome));
            }
            _ => self.count(due, |bin| &mut bin.undecided),
        }
    }

    /// Counts a call that was due while the caller still waited for its last answer.
    pub(super) fn held_up(&self, (number, who): (usize, Who), due: Instant, standing: Standing) {
        if standing == Standing::Good || who == Who::Customer {
            self.not_served(number, (due, due.max(Instant::now())), |bin| &mut bin.held_up);
        }
    }

    /// Notes what happens now.
    pub(super) fn happened(&self, what: Happening) {
        let at_ns = nanoseconds(self.begun.elapsed());
        self.seen.borrow_mut().moments.push(Moment { at_ns, what });
    }

    /// Whether that was noted.
    pub(super) fn has_happened(&self, what: Happening) -> bool {
        self.seen.borrow().moments.iter().any(|moment| moment.what == what)
    }

    /// All that was counted.
    pub(super) fn result(self, calls: &CallsPlan) -> TimelineResult {
        let mut seen = self.seen.into_inner();
        seen.moments.sort_by_key(|moment| moment.at_ns);
        let since = |at: Instant| nanoseconds(at.saturating_duration_since(self.event.0));
        TimelineResult {
            moments: seen.moments,
            bins: seen.bins,
            latency: seen.latency.each_ref().map(EncodedHistogram::encode),
            lived_on_ns: seen.lived_on.map(nanoseconds),
            still_accepted: seen.last_accepted.values().filter(|accepted| **accepted).count(),
            cut_off: seen.cut_off.len(),
            harmed_ns: seen.harmed.map(|(first, last)| (since(first), since(last))),
            ..nothing(calls)
        }
    }

    /// `known`: when that was clear. A call that was under way when the event began may have been caught by it.
    fn not_served(&self, number: usize, (due, known): (Instant, Instant), kind: impl Fn(&mut TimelineBin) -> &mut u64) {
        self.count(due, kind);
        let seen = &mut *self.seen.borrow_mut();
        if known < self.event.0 {
            seen.unserved_before += 1;
            return;
        }
        let harmed = due.max(self.event.0);
        seen.cut_off.insert(number);
        let (first, last) = seen.harmed.unwrap_or((harmed, harmed));
        seen.harmed = Some((first.min(harmed), last.max(harmed)));
    }

    fn count(&self, due: Instant, kind: impl Fn(&mut TimelineBin) -> &mut u64) {
        *kind(self.bin(&mut self.seen.borrow_mut().bins, due)) += 1;
    }

    fn bin<'b>(&self, bins: &'b mut [TimelineBin], due: Instant) -> &'b mut TimelineBin {
        let number = due.saturating_duration_since(self.begun).as_nanos() / self.bin.as_nanos().max(1);
        let last = bins.len() - 1;
        &mut bins[last.min(number as usize)]
    }

    /// Before the event, during it, or after it.
    fn phase(&self, due: Instant) -> usize {
        usize::from(due >= self.event.0) + usize::from(due >= self.event.1)
    }
}

/// Nothing counted.
pub(super) fn nothing(calls: &CallsPlan) -> TimelineResult {
    let none = || EncodedHistogram::encode(&new_histogram());
    TimelineResult {
        callers: calls.callers,
        interval_ns: nanoseconds(calls.interval),
        bin_ns: nanoseconds(calls.bin),
        dependency: None,
        moments: Vec::new(),
        bins: Vec::new(),
        latency: [none(), none(), none()],
        ended: 0,
        lived_on_ns: None,
        still_accepted: 0,
        cut_off: 0,
        harmed_ns: None,
        not_applicable: None,
    }
}

/// Where a call is counted that was to be accepted and was not.
fn not_served(outcome: Outcome) -> fn(&mut TimelineBin) -> &mut u64 {
    match outcome {
        Outcome::Rejected(RejectReason::Unavailable) => |bin| &mut bin.unavailable,
        Outcome::Failed(_) => |bin| &mut bin.failed,
        Outcome::Rejected(_) | Outcome::Accepted => |bin| &mut bin.wrongly_refused,
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Transport;
    use crate::plan::{Fault, OutagePlan};

    const MS: Duration = Duration::from_millis(1);
    const GOOD: (Standing, Standing) = (Standing::Good, Standing::Good);
    const REFUSED: Outcome = Outcome::Rejected(RejectReason::InvalidCredential);

    /// 100 ms before, 200 ms of outage, 100 ms after, in spans of 100 ms.
    fn event() -> Event {
        let calls = CallsPlan { callers: 3, interval: 10 * MS, before: 100 * MS, after: 100 * MS, bin: 100 * MS };
        Event::Outage(OutagePlan { calls, fault: Fault::Down, lasts: 200 * MS, revoked: 0 })
    }

    /// What comes of a call that is due at a time, and answered 5 ms later.
    fn call(line: &Line, who: (usize, Who), at: u32, standing: (Standing, Standing), outcome: Outcome) {
        let due = line.begun + at * MS;
        line.add(who, due, standing, &Answer { sent: due, done: due + 5 * MS, outcome });
    }

    #[test]
    fn every_call_is_counted_in_its_span_and_its_kind() {
        let line = Line::new(Instant::now(), &event());
        let customer = (0, Who::Customer);
        call(&line, customer, 50, GOOD, Outcome::Accepted);
        call(&line, customer, 150, GOOD, REFUSED);
        call(&line, (1, Who::Thief), 160, GOOD, Outcome::Rejected(RejectReason::Unavailable));
        call(&line, (1, Who::Thief), 170, GOOD, Outcome::Failed(Transport::Closed));
        line.held_up(customer, line.begun + 250 * MS, Standing::Good);
        call(&line, customer, 350, GOOD, Outcome::Accepted);
        let result = line.result(event().calls());
        let bin = |accepted, wrongly_refused, unavailable, failed, held_up| TimelineBin {
            accepted,
            wrongly_refused,
            unavailable,
            failed,
            held_up,
            ..TimelineBin::default()
        };
        assert_eq!(result.bins, [bin(1, 0, 0, 0, 0), bin(0, 1, 1, 1, 0), bin(0, 0, 0, 0, 1), bin(1, 0, 0, 0, 0)]);
        assert_eq!(result.cut_off, 2);
        assert_eq!(result.harmed_ns, Some((50_000_000, 150_000_000)), "from the event's begin on");
        let accepted: Vec<u64> =
            result.latency.iter().map(|latency| latency.decode().expect("its own").len()).collect();
        assert_eq!(accepted, [1, 0, 1]);
    }

    #[test]
    fn what_an_ended_credential_comes_to_depends_on_who_has_it() {
        let line = Line::new(Instant::now(), &event());
        let ended = Standing::Ended(line.begun + 100 * MS);
        let (customer, thief) = ((0, Who::Customer), (1, Who::Thief));
        call(&line, thief, 150, (ended, ended), Outcome::Accepted);
        call(&line, customer, 130, (ended, ended), Outcome::Accepted);
        call(&line, thief, 160, (ended, ended), REFUSED);
        call(&line, thief, 160, (ended, ended), Outcome::Rejected(RejectReason::Unavailable));
        call(&line, customer, 160, (ended, ended), REFUSED);
        // Under way while the call was: either answer is right.
        for standing in [(Standing::Good, ended), (Standing::Ending, ended), (Standing::Good, Standing::Ending)] {
            call(&line, thief, 160, standing, Outcome::Accepted);
            call(&line, thief, 160, standing, REFUSED);
        }
        line.held_up(thief, line.begun + 170 * MS, ended);
        // A customer who is refused is not served, whichever way the credential stands.
        call(&line, customer, 170, (Standing::Good, Standing::Ending), REFUSED);
        call(&line, (2, Who::Thief), 180, (ended, ended), Outcome::Accepted);
        let result = line.result(event().calls());
        let expected = TimelineBin {
            wrongly_accepted: 3,
            rightly_refused: 2,
            wrongly_refused: 2,
            undecided: 6,
            ..TimelineBin::default()
        };
        assert_eq!(result.bins[1], expected);
        assert_eq!((result.lived_on_ns, result.still_accepted), (Some(80_000_000), 1), "one was never refused");
        assert_eq!(result.cut_off, 1, "the thief's calls harm nobody");
    }

    #[test]
    fn a_client_that_is_late_is_told_from_a_server_that_is_slow() {
        let line = Line::new(Instant::now(), &event());
        (0..100).for_each(|_| line.called(LATE));
        line.called(LATE + MS);
        assert_eq!(line.against(), Vec::<String>::new(), "one of a hundred is nothing");
        line.called(LATE + MS);
        let said = line.against();
        assert!(said.len() == 1 && said[0].contains("2 of 102 calls"), "{said:?}");
        // What was not served before anything happened is no harm of the event.
        call(&line, (0, Who::Customer), 50, GOOD, REFUSED);
        line.failed("no token".to_owned());
        let said = line.against();
        assert!(
            said.len() == 3 && said[1].starts_with("1 calls were not served before") && said[2].contains("no token")
        );
        let result = line.result(event().calls());
        assert_eq!((result.cut_off, result.harmed_ns), (0, None));
    }

    #[test]
    fn a_call_that_was_under_way_when_the_event_began_was_caught_by_it() {
        let line = Line::new(Instant::now(), &event());
        call(&line, (0, Who::Customer), 97, GOOD, Outcome::Rejected(RejectReason::Unavailable));
        assert_eq!(line.against(), Vec::<String>::new());
        let result = line.result(event().calls());
        assert_eq!((result.cut_off, result.harmed_ns), (1, Some((0, 0))));
    }

    #[test]
    fn a_call_that_is_due_at_the_very_end_is_not_lost() {
        let line = Line::new(Instant::now(), &event());
        call(&line, (0, Who::Customer), 500, GOOD, Outcome::Accepted);
        assert_eq!(line.result(event().calls()).bins.last().map(|bin| bin.accepted), Some(1));
    }
}
