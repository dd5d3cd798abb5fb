//! `[compare]`: how two sides are judged.

use std::collections::BTreeMap;

use super::reader::Section;
use super::value::{percentage, positive, words};
use crate::plan::{ComparePlan, Quantity};

/// A change below a hundredth of a per cent is nothing that any comparison here could see.
const MINIMUM: std::ops::RangeInclusive<f64> = 0.0001..=10.0;

/// Reads the section, if there is one.
pub(super) fn read(section: Option<Section<'_>>) -> Option<ComparePlan> {
    let mut section = section?;
    let standard = ComparePlan::default();
    let quantities = Quantity::ALL.map(|quantity| (quantity.name(), quantity));
    let plan = ComparePlan {
        second_look: section.or("second_look", standard.second_look, positive),
        gate: section.or("gate", standard.gate, |value| match words(&quantities)(value)? {
            none if none.is_empty() => {
                Err("write at least one: a gate that looks at nothing lets everything pass".to_owned())
            }
            gate => Ok(gate),
        }),
        minimum: section.table("minimum").map_or_else(BTreeMap::new, |mut minimum| {
            let read = quantities.iter().filter_map(|(name, quantity)| {
                minimum.optional(name, percentage(MINIMUM)).map(|share| (*quantity, share))
            });
            let read = read.collect();
            minimum.finish();
            read
        }),
    };
    section.finish();
    Some(plan)
}
