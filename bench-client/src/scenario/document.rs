//! A TOML document as a tree that remembers where everything was written, and what the command line changes in it.

use std::collections::BTreeMap;
use std::fmt;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::suggest;

/// Where something was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum At {
    /// In the file, at this byte.
    File(usize),
    /// In the argument of this number among those that change the scenario.
    Argument(usize),
}

/// A value with its place.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) at: At,
    pub(super) value: Value,
}

/// A TOML value.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Text(String),
    Integer(i128),
    Float(f64),
    Boolean(bool),
    Datetime(String),
    List(Vec<Item>),
    Table(Table),
}

/// A table: the place of each key beside its value.
pub(super) type Table = BTreeMap<String, (At, Item)>;

/// What the command line changes.
#[derive(Debug, Clone)]
pub(super) struct Argument {
    /// As the user typed it, like `--set pool.count=5`.
    pub(super) label: String,
    /// Dotted path of what it sets.
    pub(super) key: String,
    /// The value: TOML, or else a string.
    pub(super) value: String,
}

/// Reads a document; on a syntax error its place and message.
pub(super) fn parse(text: &str) -> Result<Table, (At, String)> {
    match DeTable::parse(text) {
        Ok(document) => Ok(table(document.get_ref(), At::File)),
        Err(error) => {
            let offset = error.span().map_or(0, |span| span.start);
            Err((At::File(offset), format!("this is not TOML: {}", error.message())))
        }
    }
}

fn table(table: &DeTable<'_>, at: impl Fn(usize) -> At + Copy) -> Table {
    table.iter().map(|(key, value)| (key.get_ref().to_string(), (at(key.span().start), item(value, at)))).collect()
}

fn item(spanned: &Spanned<DeValue<'_>>, at: impl Fn(usize) -> At + Copy) -> Item {
    let value = match spanned.get_ref() {
        DeValue::String(text) => Value::Text(text.to_string()),
        // What does not even fit here is refused by every range a key can have.
        DeValue::Integer(number) => {
            Value::Integer(i128::from_str_radix(number.as_str(), number.radix()).unwrap_or(i128::MAX))
        }
        DeValue::Float(number) => Value::Float(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(flag) => Value::Boolean(*flag),
        DeValue::Datetime(time) => Value::Datetime(time.to_string()),
        DeValue::Array(items) => Value::List(items.iter().map(|spanned| item(spanned, at)).collect()),
        DeValue::Table(inner) => Value::Table(table(inner, at)),
    };
    Item { at: at(spanned.span().start), value }
}

/// Changes what an argument names. The value replaces a sweep of that key, or of keys within it.
pub(super) fn set(root: &mut Table, number: usize, argument: &Argument) -> Result<(), String> {
    let at = At::Argument(number);
    let value = match DeValue::parse(&argument.value) {
        Ok(value) => item(&value, |_| at).value,
        Err(_) => Value::Text(argument.value.clone()),
    };
    stop_sweeping(root, &argument.key);
    put(root, &argument.key, at, Item { at, value })
}

/// Takes a key and those within it out of all sweeps; a sweep that has no other goes with it.
fn stop_sweeping(root: &mut Table, key: &str) {
    let Some((_, Item { value: Value::List(sweeps), .. })) = root.get_mut("sweep") else { return };
    sweeps.retain_mut(|sweep| {
        let Value::Table(sweep) = &mut sweep.value else { return true };
        let before = sweep.len();
        sweep.retain(|path, _| path.strip_prefix(key).is_none_or(|rest| !(rest.is_empty() || rest.starts_with('.'))));
        sweep.len() == before || sweep.keys().any(|path| path.contains('.'))
    });
}

/// Puts a value where a path leads: `variant.NAME.key`, `measurement.NAME.key`, or a path from the top. Tables on the way
/// are made where they are missing; `at` is the place of all keys that are.
pub(super) fn put(root: &mut Table, path: &str, at: At, value: Item) -> Result<(), String> {
    let path: Vec<&str> = path.split('.').collect();
    let (mut here, rest) = match path.as_slice() {
        [list @ ("variant" | "measurement"), name, rest @ ..] if !rest.is_empty() => (named(root, list, name)?, rest),
        [list @ ("variant" | "measurement"), ..] => {
            return Err(format!("name one {list} and a key of it, like {list}.NAME.key"));
        }
        rest => (root, rest),
    };
    let (last, way) = rest.split_last().expect("splitting gives at least one part");
    for (depth, part) in way.iter().enumerate() {
        let (_, next) =
            here.entry((*part).to_owned()).or_insert_with(|| (at, Item { at, value: Value::Table(Table::new()) }));
        here = match &mut next.value {
            Value::Table(inner) => inner,
            other => return Err(format!("{} is {other}, which has no keys to set", rest[..=depth].join("."))),
        };
    }
    here.insert((*last).to_owned(), (at, value));
    Ok(())
}

/// The tables of a `[[key]]` list.
pub(super) fn tables<'a>(root: &'a Table, key: &str) -> impl Iterator<Item = &'a Table> {
    let items = match root.get(key) {
        Some((_, Item { value: Value::List(items), .. })) => items.as_slice(),
        _ => &[],
    };
    items.iter().filter_map(|item| match &item.value {
        Value::Table(table) => Some(table),
        _ => None,
    })
}

/// The table under a key, if there is one.
pub(super) fn table_of<'a>(table: &'a Table, key: &str) -> Option<&'a Table> {
    match &table.get(key)?.1.value {
        Value::Table(inner) => Some(inner),
        _ => None,
    }
}

/// The text under a key, if there is one.
pub(super) fn text<'a>(table: &'a Table, key: &str) -> Option<&'a str> {
    match &table.get(key)?.1.value {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

/// The table of that name in a list of tables.
fn named<'a>(root: &'a mut Table, list: &str, name: &str) -> Result<&'a mut Table, String> {
    let items = match root.get_mut(list) {
        Some((_, Item { value: Value::List(items), .. })) => items.as_mut_slice(),
        _ => &mut [],
    };
    let tables = items.iter_mut().filter_map(|item| match &mut item.value {
        Value::Table(table) => Some(table),
        _ => None,
    });
    let mut names = Vec::new();
    for table in tables {
        match name_of(table) {
            Some(found) if found == name => return Ok(table),
            found => names.extend(found.map(str::to_owned)),
        }
    }
    Err(format!("no {list} is named \"{name}\"; {}", suggest::remedy(name, names.iter().map(String::as_str))))
}

/// What the table of a list is called. A measurement without a name is called by its kind.
pub(super) fn name_of(table: &Table) -> Option<&str> {
    text(table, if table.contains_key("name") { "name" } else { "kind" })
}

/// As a message shows a value: scalars as written, the others by their type.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Float(number) => write!(f, "{number:?}"),
            Self::Boolean(flag) => write!(f, "{flag}"),
            Self::Datetime(time) => write!(f, "{time}"),
            Self::List(_) => f.write_str("a list"),
            Self::Table(_) => f.write_str("a table"),
        }
    }
}
