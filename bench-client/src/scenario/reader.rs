//! Reads one table of a scenario key by key. The keys that were asked for are the keys that are allowed: whatever is
//! left over at the end is reported.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::document::{At, Item, Table, Value};
use super::suggest;

/// Places with what is to be said about them.
pub(super) type Found = Vec<(At, String)>;

/// Everything found so far. Reading never stops at a problem, so that the user sees all of them at once.
#[derive(Debug, Default)]
pub(super) struct Problems {
    errors: RefCell<Found>,
    warnings: RefCell<Found>,
}

impl Problems {
    /// Something that must be changed.
    pub(super) fn error(&self, at: At, message: impl Into<String>) {
        self.errors.borrow_mut().push((at, message.into()));
    }

    /// Something that the user should know.
    pub(super) fn warn(&self, at: At, message: impl Into<String>) {
        self.warnings.borrow_mut().push((at, message.into()));
    }

    /// Whether anything must be changed.
    pub(super) fn has_errors(&self) -> bool {
        !self.errors.borrow().is_empty()
    }

    /// Errors and warnings, each in the order of their places.
    pub(super) fn into_sorted(self) -> (Found, Found) {
        let sorted = |found: RefCell<Found>| {
            let mut found = found.into_inner();
            found.sort();
            // The points of a sweep share most of what was written, and its mistakes.
            found.dedup();
            found
        };
        (sorted(self.errors), sorted(self.warnings))
    }
}

/// One table while it is read.
pub(super) struct Section<'p> {
    /// How messages name it, like `variant "jwt-es256"`; empty at the top.
    place: String,
    /// Before its keys in messages, like `load.`; empty unless it is a table within a section.
    prefix: String,
    at: At,
    table: Table,
    asked: Vec<&'static str>,
    problems: &'p Problems,
}

/// Where the keys of a finished section were written.
#[derive(Debug, Clone)]
pub(super) struct Places {
    at: At,
    keys: BTreeMap<String, At>,
}

impl Places {
    /// Where the value of that key stands; where the section stands if the key is not there.
    pub(super) fn of(&self, key: &str) -> At {
        self.keys.get(key).copied().unwrap_or(self.at)
    }
}

impl<'p> Section<'p> {
    /// A section that messages call `place`.
    pub(super) fn new(place: impl Into<String>, at: At, table: Table, problems: &'p Problems) -> Self {
        Self { place: place.into(), prefix: String::new(), at, table, asked: Vec::new(), problems }
    }

    /// The value of a key, if it is there and `parse` takes it. `parse` answers what is wrong and what to do, to be read
    /// after the value: `a rate is at least 1`.
    pub(super) fn optional<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&Value) -> Result<T, String>,
    ) -> Option<T> {
        self.asked.push(key);
        let (_, item) = self.table.get(key)?;
        match parse(&item.value) {
            Ok(value) => Some(value),
            Err(remedy) => {
                self.error_at(item.at, format!("{}{key} is {}; {remedy}", self.prefix, item.value));
                None
            }
        }
    }

    /// The same for a key that must be there; `example` shows a value.
    pub(super) fn required<T>(
        &mut self,
        key: &'static str,
        example: &str,
        parse: impl FnOnce(&Value) -> Result<T, String>,
    ) -> Option<T> {
        if !self.table.contains_key(key) {
            self.error_at(self.at, format!("{0}{key} is missing; write for instance {key} = {example}", self.prefix));
        }
        self.optional(key, parse)
    }

    /// The same for a key that may be left out. A mistaken value reads as the default too: its problem is noted, so no
    /// plan comes of it.
    pub(super) fn or<T>(
        &mut self,
        key: &'static str,
        default: T,
        parse: impl FnOnce(&Value) -> Result<T, String>,
    ) -> T {
        self.optional(key, parse).unwrap_or(default)
    }

    /// The value of a key that another one hangs on, before it is read: what is wrong with it is said then.
    pub(super) fn peek<T>(&self, key: &str, parse: impl FnOnce(&Value) -> Result<T, String>) -> Option<T> {
        self.table.get(key).and_then(|(_, item)| parse(&item.value).ok())
    }

    /// A table within this one.
    pub(super) fn table(&mut self, key: &'static str) -> Option<Section<'p>> {
        let table = self.optional(key, |value| match value {
            Value::Table(table) => Ok(table.clone()),
            _ => Err(format!("write a table: {key} = {{ … }}")),
        })?;
        Some(Section {
            place: self.place.clone(),
            prefix: format!("{}{key}.", self.prefix),
            at: self.at(key),
            table,
            asked: Vec::new(),
            problems: self.problems,
        })
    }

    /// The tables of a `[[key]]` list.
    pub(super) fn tables(&mut self, key: &'static str) -> Vec<(At, Table)> {
        let header = || format!("write [[{key}]] above each");
        let items = self.optional(key, |value| match value {
            Value::List(items) => Ok(items.clone()),
            _ => Err(header()),
        });
        items
            .unwrap_or_default()
            .into_iter()
            .filter_map(|Item { at, value }| match value {
                Value::Table(table) => Some((at, table)),
                other => {
                    self.error_at(at, format!("{key} is {other}; {}", header()));
                    None
                }
            })
            .collect()
    }

    /// Where the value of that key stands; where the section stands if the key is not there.
    pub(super) fn at(&self, key: &str) -> At {
        self.table.get(key).map_or(self.at, |(_, item)| item.at)
    }

    /// Whether the key was written.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// From here on messages call the section so.
    pub(super) fn rename(&mut self, place: String) {
        self.place = place;
    }

    /// Reports a problem with the value of a key.
    pub(super) fn error(&self, key: &str, message: impl AsRef<str>) {
        self.error_at(self.at(key), format!("{}{}", self.prefix, message.as_ref()));
    }

    /// Advises about the value of a key.
    pub(super) fn warn(&self, key: &str, message: impl AsRef<str>) {
        self.problems.warn(self.at(key), self.located(&format!("{}{}", self.prefix, message.as_ref())));
    }

    /// Reports keys that exist, but not in this combination, and takes them as read. `explain` says where a key
    /// belongs, or nothing.
    pub(super) fn misplaced(&mut self, belongs: &[(&'static str, &str)], this: &str) {
        for (key, home) in belongs {
            if self.table.contains_key(*key) && !self.asked.contains(key) {
                let at = self.table[*key].0;
                self.error_at(at, format!("{}{key} goes with {home}, not with {this}; remove it", self.prefix));
                self.asked.push(key);
            }
        }
    }

    /// Takes keys as read without looking at them: what they should hold hangs on a value that was wrong.
    pub(super) fn ignore(&mut self, keys: impl IntoIterator<Item = &'static str>) {
        self.asked.extend(keys);
    }

    /// Reports the keys that nobody asked for.
    pub(super) fn finish(mut self) -> Places {
        self.asked.sort_unstable();
        self.asked.dedup();
        for (key, (at, _)) in &self.table {
            if !self.asked.contains(&key.as_str()) {
                let remedy = suggest::remedy(key, self.asked.iter().copied());
                self.error_at(*at, format!("{}{key} is no key here; {remedy}", self.prefix));
            }
        }
        let keys = self.table.into_iter().map(|(key, (_, item))| (key, item.at)).collect();
        Places { at: self.at, keys }
    }

    fn error_at(&self, at: At, message: String) {
        self.problems.error(at, self.located(&message));
    }

    fn located(&self, message: &str) -> String {
        if self.place.is_empty() { message.to_owned() } else { format!("{}: {message}", self.place) }
    }
}
