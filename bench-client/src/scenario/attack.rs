//! `kind = "attack"`.

use std::path::Path;
use std::time::Duration;

use super::document::{Item, Value};
use super::reader::Section;
use super::value::{duration, positive, show, text};
use crate::attack::Table;
use crate::plan::{AttackPlan, AttackTable};

/// Longer than any answer takes, a password hash behind others included.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

/// What most caches and lists keep to.
const DEFAULT_WITHIN: Duration = Duration::from_secs(5);

/// What libraries tolerate unless told otherwise, at most.
const DEFAULT_LEEWAY: Duration = Duration::from_secs(60);

/// Reads its settings; a table of the user's stands in a file below `folder`.
pub(super) fn read(section: &mut Section<'_>, folder: &Path) -> Option<AttackPlan> {
    let file = section.optional("cases", text);
    let only = section.or("only", Vec::new(), ids);
    let offers = section.or("offers", Vec::new(), ids);
    let timeout = section.or("timeout", DEFAULT_TIMEOUT, positive);
    let within = section.or("within", DEFAULT_WITHIN, positive);
    let leeway = section.or("leeway", DEFAULT_LEEWAY, duration);
    if within > MOST_PATIENT {
        section.error(
            "within",
            format!(
                "within is {}; waiting longer than {} is for a revocation measurement",
                show(within),
                show(MOST_PATIENT)
            ),
        );
    }
    let (table, written) = match file {
        None if section.has("cases") => return None, // what was written is no text; that is noted
        None => (Table::shipped(), None),
        Some(file) => {
            let path = folder.join(&file);
            let text = match std::fs::read_to_string(&path) {
                Ok(text) => text,
                Err(error) => {
                    section.error(
                        "cases",
                        format!("cases names {}: {error}; name a TOML file, or leave it out", path.display()),
                    );
                    return None;
                }
            };
            match Table::of_user(&file, &text) {
                Ok(table) => (table, Some(AttackTable { file, text })),
                Err(mistakes) => {
                    mistakes.0.iter().for_each(|mistake| section.error("cases", format!("cases: {mistake}")));
                    return None;
                }
            }
        }
    };
    for id in only.iter().filter(|id| table.cases.iter().all(|case| case.id != **id)) {
        section.error("only", format!("only names {id}, which is no case of the table; remove it"));
    }
    Some(AttackPlan { table: written, digest: table.digest, only, offers, timeout, within, leeway })
}

/// Nobody waits longer for each of the cases that a revocation is about.
pub(super) const MOST_PATIENT: Duration = Duration::from_secs(60);

/// A list of words.
fn ids(value: &Value) -> Result<Vec<String>, String> {
    const REMEDY: &str = "write a list of strings, like [\"BC-076\"]";
    let Value::List(items) = value else { return Err(REMEDY.to_owned()) };
    items.iter().map(|Item { value, .. }| text(value).map_err(|_| REMEDY.to_owned())).collect()
}
