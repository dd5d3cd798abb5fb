//! `kind = "setup"`.

use super::reader::Section;
use super::value::whole;
use crate::plan::SetupPlan;

/// Reads its settings.
pub(super) fn read(section: &mut Section<'_>) -> Option<SetupPlan> {
    Some(SetupPlan { trials: section.required("trials", "10", whole(1..=10_000))? })
}
