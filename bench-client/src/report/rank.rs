//! Who is best, and who cannot be told from the best: sentences name a winner only where the intervals do.

use super::headline::list;
use super::summary::{Summary, VariantSummary};
use crate::cell::Estimate;
use crate::plan::BASELINE;

/// A variant and its figure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ranked<'s> {
    pub(crate) variant: &'s VariantSummary,
    /// The figure that is shown.
    pub(crate) shown: Estimate,
    /// The same against the baseline of the same rounds, where there is one: what disturbed a round is not in it, so it
    /// tells variants apart that `shown` does not.
    pub(crate) paired: Option<Estimate>,
}

/// Variants by the figure that is shown, ascending; the baseline left out.
#[derive(Debug)]
pub(crate) struct Ranking<'s> {
    pub(crate) entries: Vec<Ranked<'s>>,
    /// What `paired` is when the variant equals the baseline: 0 for a difference, 1 for a ratio.
    neutral: f64,
}

/// One end of a ranking.
#[derive(Debug)]
pub(crate) struct Group<'s> {
    /// The outermost, then whatever cannot be told from it: the baseline among them where that is so. Those need not be
    /// alike among themselves.
    pub(crate) names: Vec<&'s str>,
    /// The figure of the outermost.
    pub(crate) value: f64,
}

impl<'s> Ranking<'s> {
    /// Ranks the variants that have a figure: the one shown, and the one against the baseline.
    pub(crate) fn new(
        summary: &'s Summary,
        neutral: f64,
        figure: impl Fn(&'s VariantSummary) -> Option<(Estimate, Option<Estimate>)>,
    ) -> Self {
        let entry = |variant| figure(variant).map(|(shown, paired)| Ranked { variant, shown, paired });
        let mut entries: Vec<_> = summary.compared().filter_map(entry).collect();
        entries.sort_by(|a, b| a.shown.value.total_cmp(&b.shown.value));
        Self { entries, neutral }
    }

    /// The smallest and whatever cannot be told from it.
    pub(crate) fn first(&self) -> Option<Group<'s>> {
        self.entries.first().map(|best| self.group(best))
    }

    /// The largest and whatever cannot be told from it.
    pub(crate) fn last(&self) -> Option<Group<'s>> {
        self.entries.last().map(|best| self.group(best))
    }

    /// Whether the variant cannot be told from the baseline.
    pub(crate) fn is_neutral(&self, entry: &Ranked<'_>) -> bool {
        entry.paired.is_some_and(|paired| paired.interval.is_some() && !paired.differs_from(self.neutral))
    }

    fn group(&self, best: &Ranked<'s>) -> Group<'s> {
        let mut names = vec![best.variant.name.as_str()];
        let others = self.entries.iter().filter(|entry| entry.variant.name != best.variant.name && !apart(entry, best));
        names.extend(others.map(|entry| entry.variant.name.as_str()));
        if self.is_neutral(best) {
            names.push(BASELINE);
        }
        Group { names, value: best.shown.value }
    }
}

/// Whether the intervals tell two variants apart. Without intervals nothing but the figures can.
fn apart(a: &Ranked<'_>, b: &Ranked<'_>) -> bool {
    let (a, b) = a.paired.zip(b.paired).unwrap_or((a.shown, b.shown));
    match (a.interval, b.interval) {
        (Some(a), Some(b)) => a.high < b.low || b.high < a.low,
        _ => a.value != b.value,
    }
}

impl Group<'_> {
    /// Whether there is a single winner.
    pub(crate) fn is_one(&self) -> bool {
        self.names.len() == 1
    }

    /// `a`, or `a (which cannot be told from b and c)`.
    pub(crate) fn named(&self) -> String {
        match self.names.as_slice() {
            [best, others @ ..] if !others.is_empty() => format!("{best} (which cannot be told from {})", list(others)),
            names => list(names),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Interval;

    fn entry(variant: &VariantSummary, low: f64, high: f64) -> Ranked<'_> {
        let interval = Some(Interval { low, high });
        Ranked { variant, shown: Estimate { value: f64::midpoint(low, high), interval }, paired: None }
    }

    fn variant(name: &str) -> VariantSummary {
        VariantSummary {
            name: name.to_owned(),
            family: None,
            method: "mtls".to_owned(),
            options: String::new(),
            slowed_down: false,
            presents: crate::plan::Presents::Valid,
            credentials: 1,
            cache_lifetime_ns: None,
            looks_up_own_copy: false,
            latency: super::super::Cell::blank("not here"),
            in_process_ns: None,
            beside: None,
            throughput: super::super::Cell::blank("not here"),
            revocation: super::super::Cell::blank("not here"),
            handshakes: Vec::new(),
            setup: None,
            price_per_million_requests: None,
        }
    }

    #[test]
    fn a_winner_is_named_alone_only_when_intervals_are_apart() {
        let [a, b, c] = ["a", "b", "c"].map(variant);
        let entries = vec![entry(&a, 1.0, 3.0), entry(&b, 2.0, 4.0), entry(&c, 3.5, 6.0)];
        let ranking = Ranking { entries, neutral: 0.0 };
        assert_eq!(ranking.first().expect("entries").names, ["a", "b"]);
        assert_eq!(ranking.last().expect("entries").names, ["c", "b"]);
        let entries = vec![entry(&a, 1.0, 3.0), entry(&c, 3.5, 6.0)];
        let ranking = Ranking { entries, neutral: 0.0 };
        assert!(ranking.first().expect("entries").is_one());
    }

    #[test]
    fn what_cannot_be_told_from_the_baseline_is_named_with_it() {
        let a = variant("a");
        let near = Ranked { paired: Some(entry(&a, -1.0, 1.0).shown), ..entry(&a, 8.0, 10.0) };
        let far = Ranked { paired: Some(entry(&a, -2.0, -1.0).shown), ..entry(&a, 8.0, 10.0) };
        let first = |entry| Ranking { entries: vec![entry], neutral: 0.0 }.first().expect("one");
        assert_eq!(first(near).names, ["a", "none"]);
        assert_eq!(first(near).named(), "a (which cannot be told from none)");
        assert_eq!(first(far).names, ["a"]);
    }
}
