//! Values of Terraform's language.
//!
//! What cannot be known is a value, too: it says why, and what is computed from it is as little known. A resource and a
//! module are handles, whose attributes are evaluated when somebody asks for them. Collections know how deep and how large
//! they are, so that a configuration in which each list holds the one before it twice is refused and not walked.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::rc::Rc;

/// The deepest nesting of collections.
const MAX_DEPTH: u32 = 100;
/// The most values in one collection, all the way down.
const MAX_SIZE: u64 = 4_000_000;

#[derive(Debug, Clone)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Number(f64),
    Text(Rc<str>),
    /// A list or a tuple.
    List(Rc<List>),
    /// A set: sorted, each value once.
    Set(Rc<List>),
    /// A map or an object.
    Map(Rc<Map>),
    Resource(Handle),
    Module(Handle),
    Unknown(Rc<Why>),
}

/// Why a value is not known.
#[derive(Debug)]
pub(super) struct Why {
    /// A fragment.
    pub text: String,
    /// Terraform would fail here, too: `try` takes its next argument.
    pub error: bool,
    /// It is too large, and so is what it would be a part of.
    refused: bool,
}

#[derive(Debug)]
pub(super) struct List {
    pub items: Vec<Value>,
    extent: Extent,
}

#[derive(Debug)]
pub(super) struct Map {
    pub entries: BTreeMap<Rc<str>, Value>,
    /// A block of a resource: Google Cloud adds more to it.
    pub computed: bool,
    extent: Extent,
}

/// One instance of a resource or of a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Handle {
    /// The module instance that the resource belongs to; of a module itself.
    pub module: usize,
    pub resource: usize,
    pub instance: usize,
    /// One stands for as many as an unknown `count` or `for_each` makes: any index is its index.
    pub assumed: bool,
}

#[derive(Debug, Clone, Copy)]
struct Extent {
    depth: u32,
    size: u64,
    unknown: bool,
}

impl Extent {
    fn of<'a>(items: impl Iterator<Item = &'a Value>) -> Extent {
        let start = Extent { depth: 0, size: 0, unknown: false };
        let all = items.map(Value::extent).fold(start, |all, one| Extent {
            depth: all.depth.max(one.depth),
            size: all.size.saturating_add(one.size),
            unknown: all.unknown || one.unknown,
        });
        Extent { depth: all.depth + 1, size: all.size.saturating_add(1), ..all }
    }

    fn is_too_large(self) -> bool {
        self.depth > MAX_DEPTH || self.size > MAX_SIZE
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::Text(text.into())
    }
}

impl Value {
    /// Not known, and no mistake.
    pub fn unknown(why: impl Into<String>) -> Value {
        Value::Unknown(Rc::new(Why { text: why.into(), error: false, refused: false }))
    }

    /// Not known, because Terraform would fail.
    pub fn error(why: impl Into<String>) -> Value {
        Value::Unknown(Rc::new(Why { text: why.into(), error: true, refused: false }))
    }

    fn refused() -> Value {
        let text = "a collection is too large or nested too deeply".into();
        Value::Unknown(Rc::new(Why { text, error: true, refused: true }))
    }

    fn is_refused(&self) -> bool {
        matches!(self, Value::Unknown(why) if why.refused)
    }

    pub fn list(items: Vec<Value>) -> Value {
        let extent = Extent::of(items.iter());
        if extent.is_too_large() {
            return Value::refused();
        }
        if let Some(refused) = items.iter().find(|item| item.is_refused()) {
            return refused.clone();
        }
        Value::List(Rc::new(List { items, extent }))
    }

    /// A set: sorts and drops what is there twice. How many there are is only known if all are.
    pub fn set(mut items: Vec<Value>) -> Value {
        if let Some(why) = items.iter().find_map(Value::why) {
            return Value::Unknown(why);
        }
        items.sort_by(order);
        items.dedup_by(|one, other| order(one, other) == Ordering::Equal);
        let extent = Extent::of(items.iter());
        if extent.is_too_large() {
            return Value::refused();
        }
        Value::Set(Rc::new(List { items, extent }))
    }

    pub fn map(entries: BTreeMap<Rc<str>, Value>) -> Value {
        Value::map_of(entries, false)
    }

    /// A block of a resource.
    pub fn block(entries: BTreeMap<Rc<str>, Value>) -> Value {
        Value::map_of(entries, true)
    }

    fn map_of(entries: BTreeMap<Rc<str>, Value>, computed: bool) -> Value {
        let extent = Extent::of(entries.values());
        if extent.is_too_large() {
            return Value::refused();
        }
        if let Some(refused) = entries.values().find(|item| item.is_refused()) {
            return refused.clone();
        }
        Value::Map(Rc::new(Map { entries, computed, extent }))
    }

    fn extent(&self) -> Extent {
        match self {
            Value::List(list) | Value::Set(list) => list.extent,
            Value::Map(map) => map.extent,
            Value::Text(text) => Extent { depth: 0, size: 1 + text.len() as u64 / 64, unknown: false },
            Value::Unknown(_) => Extent { depth: 0, size: 1, unknown: true },
            _ => Extent { depth: 0, size: 1, unknown: false },
        }
    }

    /// How many values there are in it.
    pub fn size(&self) -> u64 {
        self.extent().size
    }

    /// How much memory it takes for itself: parts are shared.
    pub fn own_size(&self) -> u64 {
        match self {
            Value::List(list) | Value::Set(list) => list.items.len() as u64 + 1,
            Value::Map(map) => map.entries.len() as u64 * 2 + 1,
            Value::Text(text) => text.len() as u64 / 8 + 1,
            _ => 1,
        }
    }

    /// Why it or a part of it is not known.
    pub fn why(&self) -> Option<Rc<Why>> {
        match self {
            Value::Unknown(why) => Some(why.clone()),
            _ if !self.extent().unknown => None,
            Value::List(list) | Value::Set(list) => list.items.iter().find_map(Value::why),
            Value::Map(map) => map.entries.values().find_map(Value::why),
            _ => None,
        }
    }

    /// What it is, for messages. No content: it may be secret.
    pub fn word(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "a truth value",
            Value::Number(_) => "a number",
            Value::Text(_) => "a string",
            Value::List(_) => "a list",
            Value::Set(_) => "a set",
            Value::Map(_) => "a map",
            Value::Resource(_) => "a resource",
            Value::Module(_) => "a module",
            Value::Unknown(_) => "a value that is not known",
        }
    }

    /// As text, if it is a simple value.
    pub fn text(&self) -> Option<Rc<str>> {
        match self {
            Value::Text(text) => Some(text.clone()),
            Value::Number(number) => Some(number_text(*number).into()),
            Value::Bool(truth) => Some(if *truth { "true".into() } else { "false".into() }),
            _ => None,
        }
    }

    /// As a number; text that is one counts.
    pub fn number(&self) -> Option<f64> {
        match self {
            Value::Number(number) => Some(*number),
            Value::Text(text) => text.trim().parse().ok().filter(|number: &f64| number.is_finite()),
            _ => None,
        }
    }

    /// As a truth value; the words count.
    pub fn truth(&self) -> Option<bool> {
        match self {
            Value::Bool(truth) => Some(*truth),
            Value::Text(text) if &**text == "true" => Some(true),
            Value::Text(text) if &**text == "false" => Some(false),
            _ => None,
        }
    }

    /// The items of a list or a set.
    pub fn items(&self) -> Option<&[Value]> {
        match self {
            Value::List(list) | Value::Set(list) => Some(&list.items),
            _ => None,
        }
    }
}

/// A number as Terraform writes it.
pub(super) fn number_text(number: f64) -> String {
    if number.fract() == 0.0 && number.abs() < 1e15 { format!("{}", number as i64) } else { format!("{number}") }
}

/// Whether two values are equal: never, when their types differ.
pub(super) fn equal(one: &Value, other: &Value) -> bool {
    order(one, other) == Ordering::Equal
}

/// An order of all values.
pub(super) fn order(one: &Value, other: &Value) -> Ordering {
    fn rank(value: &Value) -> u8 {
        match value {
            Value::Null => 0,
            Value::Bool(_) => 1,
            Value::Number(_) => 2,
            Value::Text(_) => 3,
            // A list literal is compared with what `tolist` and `toset` have made of it.
            Value::List(_) | Value::Set(_) => 4,
            Value::Map(_) => 5,
            Value::Resource(_) => 6,
            Value::Module(_) => 7,
            Value::Unknown(_) => 8,
        }
    }
    fn first(mut orders: impl Iterator<Item = Ordering>) -> Option<Ordering> {
        orders.find(|order| *order != Ordering::Equal)
    }
    match (one, other) {
        (Value::Bool(one), Value::Bool(other)) => one.cmp(other),
        (Value::Number(one), Value::Number(other)) => one.total_cmp(other),
        (Value::Text(one), Value::Text(other)) => one.cmp(other),
        (Value::List(one) | Value::Set(one), Value::List(other) | Value::Set(other)) => {
            let items = one.items.iter().zip(&other.items).map(|(one, other)| order(one, other));
            first(items).unwrap_or_else(|| one.items.len().cmp(&other.items.len()))
        }
        (Value::Map(one), Value::Map(other)) => {
            let both = one.entries.iter().zip(&other.entries);
            let entries = both.map(|(one, other)| one.0.cmp(other.0).then_with(|| order(one.1, other.1)));
            first(entries).unwrap_or_else(|| one.entries.len().cmp(&other.entries.len()))
        }
        (Value::Resource(one), Value::Resource(other)) | (Value::Module(one), Value::Module(other)) => {
            let key = |handle: &Handle| (handle.module, handle.resource, handle.instance);
            key(one).cmp(&key(other))
        }
        _ => rank(one).cmp(&rank(other)),
    }
}
