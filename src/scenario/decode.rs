//! Typed values from the [tree](super::tree), with all errors of a file at once.
//!
//! A serde deserializer stops at the first error. Here the value that is wrong is reported with its place, then treated
//! as absent, and its item (a network, a rule, …) is decoded again, until it decodes or has no more to lose. Keys that a
//! struct does not have are reported with the nearest name and skipped; keys that only the real resource has
//! ([`super::file::ignored`]) are skipped in silence.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt;

use serde::de::value::{MapDeserializer, StrDeserializer};
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Expected, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor,
};

use super::diagnostic::{Diagnostic, FileId, Place, Severity};
use super::file::ignored;
use super::tree::{Entry, Node, NodeId, Scalar, Value, shorten};

/// The newtype name by which [`super::value::At`] asks for a place.
pub(crate) const AT_TOKEN: &str = "$egressim::At";

/// Decodes items and collects what is wrong with them.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    state: RefCell<State>,
    /// Texts that a machine has written: what cannot be read there is news of Google's, and a warning.
    exported: HashSet<FileId>,
}

#[derive(Debug, Default)]
struct State {
    diagnostics: Vec<Diagnostic>,
    /// Nodes that were reported and count as absent.
    lost: HashSet<NodeId>,
    lost_fields: Vec<LostField>,
}

/// A field that was written, but not so that it could be read. Checks must not complain about its absence.
#[derive(Debug, Clone)]
pub(crate) struct LostField {
    pub place: Place,
    pub field: String,
}

/// What a [`Decoder`] found.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub diagnostics: Vec<Diagnostic>,
    pub lost_fields: Vec<LostField>,
}

impl Decoder {
    /// A decoder for a scenario of which some texts were exported.
    pub fn with_exported(exported: HashSet<FileId>) -> Decoder {
        Decoder { exported, ..Decoder::default() }
    }

    /// An error, but in exported text a warning.
    fn graded(&self, mut diagnostic: Diagnostic) -> Diagnostic {
        let exported = diagnostic.place.is_some_and(|place| self.exported.contains(&place.file));
        if exported && diagnostic.severity == Severity::Unusable {
            diagnostic.severity = Severity::Warning;
            diagnostic.message.push_str("; it is left out");
        }
        diagnostic
    }

    /// Decodes one item; `None` when it has to be left out. Why is among the findings.
    pub fn item<T: DeserializeOwned>(&self, node: &Node) -> Option<T> {
        // Each round but the last loses one more node, so this ends.
        loop {
            let fault = match T::deserialize(NodeDeserializer { node, decoder: self }) {
                Ok(value) => return Some(value),
                Err(fault) => fault.located(node, None),
            };
            let origin = fault.origin();
            self.report(fault);
            if origin == node.id {
                return None;
            }
        }
    }

    /// Decodes a list item by item; `None` when it is no list. `lost` sees the items that have to be left out.
    pub fn list<T: DeserializeOwned>(&self, node: &Node, mut lost: impl FnMut(&Node)) -> Option<Vec<T>> {
        let Value::Sequence(items) = &node.value else {
            if !node.is_null() {
                self.push(
                    Diagnostic::unusable("wrong-type", format!("found {}, expected a list", node.describe()))
                        .at(node.place),
                );
            }
            return None;
        };
        let mut list = Vec::with_capacity(items.len());
        for item in items {
            match self.item(item) {
                Some(value) => list.push(value),
                None => lost(item),
            }
        }
        Some(list)
    }

    /// Reports a key that is not among `known`.
    pub fn unknown_key<'k>(&self, entry: &Entry, known: impl IntoIterator<Item = &'k str>, of: &str) {
        let mut state = self.state.borrow_mut();
        if !state.lost.insert(entry.value.id) {
            return;
        }
        let name = &*entry.key.name;
        let known: Vec<&str> = known.into_iter().collect();
        let message = format!("{of} has no field `{}`", shorten(name));
        let mut diagnostic = Diagnostic::unusable("unknown-field", message).at(entry.key.place).label("not known");
        match nearest(name, known.iter().copied()) {
            Some(near) => {
                state.lost_fields.push(LostField { place: entry.key.place, field: near.to_owned() });
                diagnostic = diagnostic.help(format!("did you mean `{near}`?"));
            }
            None => diagnostic = diagnostic.help(format!("known here: {}", known.join(", "))),
        }
        state.diagnostics.push(self.graded(diagnostic));
    }

    /// Adds a finding.
    pub fn push(&self, diagnostic: Diagnostic) {
        self.state.borrow_mut().diagnostics.push(self.graded(diagnostic));
    }

    /// All that was found.
    pub fn finish(self) -> Findings {
        let State { diagnostics, lost_fields, .. } = self.state.into_inner();
        Findings { diagnostics, lost_fields }
    }

    fn is_lost(&self, node: &Node) -> bool {
        self.state.borrow().lost.contains(&node.id)
    }

    fn report(&self, fault: Fault) {
        let Inner { diagnostic, origin, field, silent, .. } = *fault.0;
        let mut state = self.state.borrow_mut();
        let Some((id, place)) = origin else { unreachable!("a fault is located before it is reported") };
        if state.lost.insert(id) && !silent {
            state.diagnostics.push(self.graded(diagnostic.at(place)));
        }
        if let Some(field) = field {
            state.lost_fields.push(LostField { place, field });
        }
    }
}

/// The candidate nearest to a name, if one is near enough to be meant.
pub(crate) fn nearest<'c>(name: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let plain =
        |text: &str| text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect::<String>();
    let wanted = plain(name);
    let scored = candidates.into_iter().map(|candidate| (strsim::jaro_winkler(&wanted, &plain(candidate)), candidate));
    let best = scored.max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(a.1)))?;
    (best.0 >= 0.8).then_some(best.1)
}

/// A decoding error. Boxed: it travels through every `Result` of the deserializer.
#[derive(Debug)]
pub(crate) struct Fault(Box<Inner>);

#[derive(Debug)]
struct Inner {
    diagnostic: Diagnostic,
    origin: Option<(NodeId, Place)>,
    field: Option<String>,
    missing: Option<&'static str>,
    /// A consequence of something already reported.
    silent: bool,
}

impl Fault {
    fn new(diagnostic: Diagnostic) -> Fault {
        Fault(Box::new(Inner { diagnostic, origin: None, field: None, missing: None, silent: false }))
    }

    /// Says where, unless that is known more precisely.
    fn located(mut self, node: &Node, field: Option<&str>) -> Fault {
        if self.0.origin.is_none() {
            self.0.origin = Some((node.id, node.place));
            self.0.field = field.map(str::to_owned);
        }
        self
    }

    fn origin(&self) -> NodeId {
        self.0.origin.expect("a fault is located before its origin is asked for").0
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.diagnostic.message)
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    /// A second line of the text is the cure.
    fn custom<T: fmt::Display>(message: T) -> Self {
        let text = message.to_string();
        let (message, help) = text.split_once('\n').unwrap_or((&text, ""));
        let mut diagnostic = Diagnostic::unusable("invalid-value", message);
        diagnostic.help = (!help.is_empty()).then(|| help.to_owned());
        Fault::new(diagnostic)
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let message = format!("found {}, expected {}", describe(found), expectation(expected));
        Fault::new(Diagnostic::unusable("wrong-type", message))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let message = format!("found {}, expected {}", describe(found), expectation(expected));
        Fault::new(Diagnostic::unusable("invalid-value", message))
    }

    fn unknown_variant(found: &str, expected: &'static [&'static str]) -> Self {
        let message = format!("found `{}`, expected one of {}", shorten(found), main_spellings(expected).join(", "));
        let mut diagnostic = Diagnostic::unusable("unknown-value", message);
        if let Some(near) = nearest(found, expected.iter().copied()) {
            diagnostic = diagnostic.help(format!("did you mean `{near}`?"));
        }
        Fault::new(diagnostic)
    }

    fn missing_field(field: &'static str) -> Self {
        let mut fault = Fault::new(Diagnostic::unusable("missing-field", format!("the field `{field}` is missing")));
        fault.0.missing = Some(field);
        fault
    }
}

/// Of several spellings of one value (`ALL_TRAFFIC`, `VPC_EGRESS_ALL_TRAFFIC`, `all-traffic`, `1`), the plain one.
fn main_spellings<'a>(all: &[&'a str]) -> Vec<&'a str> {
    let letters = |name: &str| name.chars().filter(char::is_ascii_alphabetic).collect::<String>().to_lowercase();
    let is_main = |name: &&&str| {
        let own = letters(name);
        !own.is_empty()
            && !all.iter().any(|other| {
                let theirs = letters(other);
                let shorter = own != theirs && !theirs.is_empty() && own.ends_with(&theirs);
                let capitals = own == theirs && *other < **name;
                shorter || capitals
            })
    };
    all.iter().filter(is_main).filter(|name| !name.ends_with("UNSPECIFIED")).copied().collect()
}

fn describe(found: Unexpected<'_>) -> String {
    match found {
        Unexpected::Str(text) => format!("`{}`", shorten(text)),
        Unexpected::Bool(value) => format!("`{value}`"),
        Unexpected::Unsigned(value) => format!("`{value}`"),
        Unexpected::Signed(value) => format!("`{value}`"),
        Unexpected::Float(value) => format!("`{value}`"),
        Unexpected::Seq => "a list".into(),
        Unexpected::Map => "a mapping".into(),
        Unexpected::Unit | Unexpected::Option => "nothing".into(),
        other => other.to_string(),
    }
}

/// Serde names Rust's types; people want ranges.
fn expectation(expected: &dyn Expected) -> String {
    match expected.to_string().as_str() {
        "u16" => "a whole number from 0 to 65,535".into(),
        "u32" | "u64" => "a whole number, 0 or more".into(),
        "i64" => "a whole number".into(),
        "f64" => "a number".into(),
        "a boolean" => "`true` or `false`".into(),
        "a string" => "text".into(),
        "a sequence" => "a list".into(),
        other => match other.strip_prefix("struct ") {
            Some(name) => format!("a mapping with the fields of {}", ignored::article(name)),
            None => other.to_owned(),
        },
    }
}

/// Deserializes one node.
#[derive(Clone, Copy)]
struct NodeDeserializer<'a> {
    node: &'a Node,
    decoder: &'a Decoder,
}

impl<'a> NodeDeserializer<'a> {
    fn scalar(self, expected: &dyn Expected) -> Result<&'a Scalar, Fault> {
        match &self.node.value {
            Value::Scalar(scalar) if !scalar.is_null() => Ok(scalar),
            _ => Err(self.wrong_type(expected)),
        }
    }

    fn wrong_type(self, expected: &dyn Expected) -> Fault {
        let message = format!("found {}, expected {}", self.node.describe(), expectation(expected));
        Fault::new(Diagnostic::unusable("wrong-type", message))
    }

    /// The entries that are not lost.
    fn entries(self, entries: &'a [Entry]) -> impl Iterator<Item = &'a Entry> {
        entries.iter().filter(move |entry| !self.decoder.is_lost(&entry.value))
    }

    /// Integers may be quoted: JSON from Google APIs does so with 64-bit ones.
    fn integer<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let scalar = self.scalar(&visitor)?;
        match parse_integer(&scalar.text) {
            Some(value) if value < 0 => match i64::try_from(value) {
                Ok(value) => visitor.visit_i64(value),
                Err(_) => Err(self.wrong_type(&visitor)),
            },
            Some(value) => match u64::try_from(value) {
                Ok(value) => visitor.visit_u64(value),
                Err(_) => Err(self.wrong_type(&visitor)),
            },
            None => Err(self.wrong_type(&visitor)),
        }
    }

    fn float<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.scalar(&visitor)?.text.parse::<f64>() {
            Ok(value) if value.is_finite() => visitor.visit_f64(value),
            _ => Err(self.wrong_type(&visitor)),
        }
    }
}

/// A decimal, `0x` or `0o` integer, as in YAML 1.2.
fn parse_integer(text: &str) -> Option<i128> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let parsed = match (digits.strip_prefix("0x"), digits.strip_prefix("0o")) {
        (Some(hex), _) => i128::from_str_radix(hex, 16),
        (_, Some(octal)) => i128::from_str_radix(octal, 8),
        _ if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse(),
        _ => return None,
    };
    parsed.ok().filter(|value| *value >= 0).map(|value| sign * value)
}

macro_rules! forward {
    ($($method:ident => $to:ident),* $(,)?) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            self.$to(visitor)
        })*
    };
}

impl<'de> de::Deserializer<'de> for NodeDeserializer<'_> {
    type Error = Fault;

    /// Core schema of YAML 1.2: for values whose type nobody fixed.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let scalar = match &self.node.value {
            Value::Sequence(_) => return self.deserialize_seq(visitor),
            Value::Mapping(_) => return self.deserialize_map(visitor),
            Value::Scalar(scalar) => scalar,
        };
        match &*scalar.text {
            _ if scalar.is_null() => visitor.visit_unit(),
            text if !scalar.plain => visitor.visit_str(text),
            "true" | "True" | "TRUE" => visitor.visit_bool(true),
            "false" | "False" | "FALSE" => visitor.visit_bool(false),
            text if parse_integer(text).is_some() => self.integer(visitor),
            text => match text.parse::<f64>() {
                Ok(value) if value.is_finite() => visitor.visit_f64(value),
                _ => visitor.visit_str(text),
            },
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &*self.scalar(&visitor)?.text {
            "true" | "True" | "TRUE" => visitor.visit_bool(true),
            "false" | "False" | "FALSE" => visitor.visit_bool(false),
            _ => Err(self.wrong_type(&visitor)),
        }
    }

    forward! {
        deserialize_i8 => integer, deserialize_i16 => integer, deserialize_i32 => integer, deserialize_i64 => integer,
        deserialize_i128 => integer, deserialize_u8 => integer, deserialize_u16 => integer, deserialize_u32 => integer,
        deserialize_u64 => integer, deserialize_u128 => integer, deserialize_f32 => float, deserialize_f64 => float,
        deserialize_char => deserialize_str, deserialize_string => deserialize_str, deserialize_bytes => deserialize_str,
        deserialize_byte_buf => deserialize_str, deserialize_identifier => deserialize_str,
    }

    /// A number or a truth value is text where text is wanted: `IPProtocol: 6`, `ports: [443]`.
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let scalar = self.scalar(&visitor)?;
        visitor.visit_str(&scalar.text)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        if self.node.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        if self.node.is_null() { visitor.visit_unit() } else { Err(self.wrong_type(&visitor)) }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Fault> {
        if name == AT_TOKEN {
            return visitor.visit_seq(AtAccess { deserializer: self, given: 0 });
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let Value::Sequence(items) = &self.node.value else { return Err(self.wrong_type(&visitor)) };
        visitor.visit_seq(Items { items: items.iter(), decoder: self.decoder })
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let Value::Mapping(entries) = &self.node.value else { return Err(self.wrong_type(&visitor)) };
        let fields = Fields {
            entries: self.entries(entries).collect::<Vec<_>>().into_iter(),
            value: None,
            decoder: self.decoder,
        };
        visitor.visit_map(fields)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let Value::Mapping(entries) = &self.node.value else { return Err(self.wrong_type(&visitor)) };
        let ignored = ignored::fields(name);
        let mut known = Vec::with_capacity(entries.len());
        for entry in self.entries(entries) {
            let key = &*entry.key.name;
            if fields.contains(&key) {
                // An explicit null is an absent field.
                if !entry.value.is_null() {
                    known.push(entry);
                }
            } else if !ignored.contains(&key) {
                self.decoder.unknown_key(entry, fields.iter().copied(), &ignored::article(name));
            }
        }
        let result = visitor.visit_map(Fields { entries: known.into_iter(), value: None, decoder: self.decoder });
        result.map_err(|mut fault| {
            if let (Some(missing), None) = (fault.0.missing, fault.0.origin) {
                let lost = |field: &LostField| field.field == missing && self.node.place.contains(field.place);
                fault.0.silent = self.decoder.state.borrow().lost_fields.iter().any(lost);
                fault.0.diagnostic.message = format!("{} needs the field `{missing}`", ignored::article(name));
            }
            fault
        })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match &self.node.value {
            Value::Scalar(scalar) if !scalar.is_null() => {
                let variant: StrDeserializer<'_, Fault> = (*scalar.text).into_deserializer();
                visitor.visit_enum(variant)
            }
            _ => {
                let message = format!("found {}, expected one of {}", self.node.describe(), variants.join(", "));
                Err(Fault::new(Diagnostic::unusable("wrong-type", message)))
            }
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }
}

/// The items of a list that are not lost.
struct Items<'a> {
    items: std::slice::Iter<'a, Node>,
    decoder: &'a Decoder,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        let decoder = self.decoder;
        match self.items.find(|node| !decoder.is_lost(node)) {
            None => Ok(None),
            Some(node) => match seed.deserialize(NodeDeserializer { node, decoder }) {
                Ok(value) => Ok(Some(value)),
                Err(fault) => Err(fault.located(node, None)),
            },
        }
    }
}

/// The fields of a mapping.
struct Fields<'a> {
    entries: std::vec::IntoIter<&'a Entry>,
    value: Option<&'a Entry>,
    decoder: &'a Decoder,
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        let Some(entry) = self.entries.next() else { return Ok(None) };
        self.value = Some(entry);
        let key: StrDeserializer<'_, Fault> = (*entry.key.name).into_deserializer();
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let entry = self.value.take().expect("serde asks for the key before the value");
        let deserializer = NodeDeserializer { node: &entry.value, decoder: self.decoder };
        seed.deserialize(deserializer).map_err(|fault| fault.located(&entry.value, Some(&entry.key.name)))
    }
}

/// A place in serde's terms.
#[derive(serde::Deserialize)]
pub(crate) struct RawPlace {
    file: u32,
    start: u32,
    end: u32,
}

impl From<RawPlace> for Place {
    fn from(raw: RawPlace) -> Place {
        Place { file: FileId::from_index(raw.file), start: raw.start, end: raw.end }
    }
}

/// Gives [`super::value::At`] the place first, then the value.
struct AtAccess<'a> {
    deserializer: NodeDeserializer<'a>,
    given: u8,
}

impl<'de> SeqAccess<'de> for AtAccess<'_> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        self.given += 1;
        match self.given {
            1 => {
                let Place { file, start, end } = self.deserializer.node.place;
                let fields = [("file", file.index()), ("start", start), ("end", end)];
                seed.deserialize(MapDeserializer::new(fields.into_iter())).map(Some)
            }
            2 => seed.deserialize(self.deserializer).map(Some),
            _ => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::scenario::diagnostic::Sources;
    use crate::scenario::tree;
    use crate::scenario::value::At;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Sample {
        name: At<String>,
        small: Option<u16>,
        flag: Option<bool>,
        list: Option<Vec<At<u64>>>,
        kind: Option<Kind>,
        nested: Option<Box<Sample>>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum Kind {
        OneThing,
        AnotherThing,
    }

    /// What a text decodes to, and the code and marked text of each finding.
    fn decode(text: &str) -> (Option<Sample>, Vec<String>) {
        let mut sources = Sources::default();
        let file = sources.add("t.yaml", text);
        let root = tree::parse(text, file, &mut Vec::new()).expect("valid").expect("not empty");
        let decoder = Decoder::default();
        let sample = decoder.item(&root);
        let marked = |diagnostic: Diagnostic| {
            let place = diagnostic.place.expect("each has a place");
            format!("{} {}", diagnostic.code, &text[place.start as usize..place.end as usize])
        };
        (sample, decoder.finish().diagnostics.into_iter().map(marked).collect())
    }

    #[test]
    fn all_errors_of_an_item_are_found_and_the_rest_of_it_is_kept() {
        let text = "{name: x, small: 70000, flag: yes, list: [1, two, 3, -4], kind: one, nested: {name: y, smal: 1}}";
        let (sample, findings) = decode(text);
        let expected = [
            "invalid-value 70000",
            "wrong-type yes",
            "wrong-type two",
            "invalid-value -4",
            "unknown-value one",
            "unknown-field smal",
        ];
        assert_eq!(findings, expected);
        let sample = sample.expect("the name is there");
        assert_eq!((sample.small, sample.flag, sample.kind), (None, None, None));
        assert_eq!(sample.list.map(|list| list.iter().map(|item| item.value).collect::<Vec<_>>()), Some(vec![1, 3]));
        assert_eq!(sample.nested.map(|nested| nested.name.value.clone()).as_deref(), Some("y"));
    }

    #[test]
    fn a_missing_field_is_reported_unless_something_else_explains_it() {
        assert_eq!(decode("{small: 1}"), (None, vec!["missing-field {small: 1}".into()]));
        assert_eq!(decode("{name: [x]}").1, ["wrong-type [x]"]);
        assert_eq!(decode("{nam: x}").1, ["unknown-field nam"]);
        let (sample, findings) = decode("{name: x, nested: {small: 1}}");
        assert_eq!(findings, ["missing-field {small: 1}"]);
        assert_eq!(sample.expect("the outer one is whole").nested, None);
    }

    #[test]
    fn a_value_knows_its_place() {
        let text = "name: 'x y'\nlist: [1, 22]\n";
        let sample = decode(text).0.expect("valid");
        let slice = |place: Place| &text[place.start as usize..place.end as usize];
        assert_eq!(slice(sample.name.place), "'x y'");
        assert_eq!(slice(sample.list.expect("given")[1].place), "22");
    }

    #[test]
    fn text_may_look_like_a_number_and_integers_may_be_quoted() {
        let sample = decode("{name: no, small: '0x10', list: ['18446744073709551615']}").0.expect("valid");
        assert_eq!((sample.name.value.as_str(), sample.small), ("no", Some(16)));
        assert_eq!(sample.list.expect("given")[0].value, u64::MAX);
        assert_eq!(decode("{name: 6}").0.expect("valid").name.value, "6");
    }

    #[test]
    fn null_is_absent() {
        let (sample, findings) = decode("{name: x, small: null, list: ~, kind: }");
        assert!(findings.is_empty(), "{findings:?}");
        assert_eq!(sample.expect("valid").small, None);
    }

    #[test]
    fn integers_are_decimal_hexadecimal_or_octal() {
        assert_eq!(
            ["12", "-3", "+4", "0x1F", "0o17"].map(parse_integer),
            [Some(12), Some(-3), Some(4), Some(31), Some(15)]
        );
        for text in ["", "-", "1_000", "1.0", "0x", "0x-1", "--1", "1e3"] {
            assert_eq!(parse_integer(text), None, "{text}");
        }
    }

    #[test]
    fn the_nearest_name_ignores_case_and_separators() {
        let names = ["minPortsPerVm", "maxPortsPerVm", "natIps"];
        assert_eq!(nearest("min_ports_per_vm", names), Some("minPortsPerVm"));
        assert_eq!(nearest("maxPortPerVm", names), Some("maxPortsPerVm"));
        assert_eq!(nearest("zebra", names), None);
    }
}
