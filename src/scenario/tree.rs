//! YAML text as a tree in which every key and value knows its place.
//!
//! Scalars keep their text: whether `no` is a word or a truth value is for the field that reads it to say. JSON is YAML.
//! Aliases are copied in, merge keys (`<<`) resolved, duplicate keys refused; depth, size and the number of nodes are
//! bounded, so that no text can exhaust memory ("billion laughs").

use std::collections::HashMap;
use std::ops::Range;

use serde_saphyr::granit_parser::{Event, Options, Parser, ScalarStyle, Span};

use super::diagnostic::{Diagnostic, FileId, Place};

/// The deepest nesting accepted; a scenario has eight levels.
const MAX_DEPTH: usize = 100;
/// The most nodes accepted, copies through aliases included: a file of 20,000 routes has 300,000.
const MAX_NODES: usize = 4_000_000;
/// The longest text accepted, in bytes.
pub(crate) const MAX_BYTES: usize = 64 << 20;

/// A value with its place.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// Tells equal nodes apart. Copies through an alias share it: an error in them is one error.
    pub id: NodeId,
    pub place: Place,
    pub value: Value,
}

/// Identifies a node among all texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct NodeId(FileId, u32);

#[derive(Debug, Clone)]
pub(crate) enum Value {
    Scalar(Scalar),
    Sequence(Vec<Node>),
    Mapping(Vec<Entry>),
}

/// A scalar as written, escapes resolved.
#[derive(Debug, Clone)]
pub(crate) struct Scalar {
    pub text: Box<str>,
    /// Without quotes: only then can it be a number, a truth value or null.
    pub plain: bool,
}

impl Scalar {
    /// `null`, `~` or nothing at all.
    pub fn is_null(&self) -> bool {
        self.plain && matches!(&*self.text, "" | "~" | "null" | "Null" | "NULL")
    }
}

/// One line of a mapping.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub key: Key,
    pub value: Node,
}

#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub name: Box<str>,
    pub place: Place,
}

impl Node {
    pub fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar(scalar) if scalar.is_null())
    }

    /// The value under a key of a mapping.
    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.value {
            Value::Mapping(entries) => entries.iter().find(|entry| &*entry.key.name == key).map(|entry| &entry.value),
            _ => None,
        }
    }

    /// The text of a scalar.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(scalar) => Some(&scalar.text),
            _ => None,
        }
    }

    /// What it is, for messages.
    pub fn describe(&self) -> String {
        match &self.value {
            Value::Sequence(_) => "a list".into(),
            Value::Mapping(_) => "a mapping".into(),
            Value::Scalar(scalar) if scalar.is_null() => "nothing".into(),
            Value::Scalar(scalar) => format!("`{}`", shorten(&scalar.text)),
        }
    }

    /// (nodes, depth) of the tree below and including this node.
    fn extent(&self) -> (usize, usize) {
        let children = |nodes: &mut dyn Iterator<Item = &Node>| {
            nodes.map(Node::extent).fold((1, 0), |(count, depth), (n, d)| (count + n, depth.max(d)))
        };
        let (count, depth) = match &self.value {
            Value::Scalar(_) => (1, 0),
            Value::Sequence(items) => children(&mut items.iter()),
            Value::Mapping(entries) => children(&mut entries.iter().map(|entry| &entry.value)),
        };
        (count, depth + 1)
    }
}

/// At most 60 characters of a text, for messages.
pub(crate) fn shorten(text: &str) -> String {
    match text.char_indices().nth(60) {
        None => text.escape_debug().to_string(),
        Some((at, _)) => format!("{}…", text[..at].escape_debug()),
    }
}

/// Parses the one document of a text. `Ok(None)` is a text without any. Duplicate keys are reported and the first is kept;
/// what breaks the syntax ends the parse.
pub(crate) fn parse(text: &str, file: FileId, report: &mut Vec<Diagnostic>) -> Result<Option<Node>, Box<Diagnostic>> {
    if text.len() > MAX_BYTES {
        let message = format!("the file has {} bytes, at most {MAX_BYTES} are read", text.len());
        return Err(Diagnostic::unusable("too-large", message).into());
    }
    let mut options = Options::default();
    options.set_emit_comments(false);
    let mut builder =
        Builder { file, next: 0, frames: Vec::new(), anchors: HashMap::new(), nodes: 0, root: None, report };
    // The parser would take a byte order mark for content of the first line and count it as a column.
    let content = text.strip_prefix('\u{feff}').unwrap_or(text);
    let offset = text.len() - content.len();
    for event in Parser::new_from_str_with_options(content, options) {
        match event {
            Ok((event, span)) => builder.event(event, place(file, offset, &span))?,
            Err(error) => {
                let at = (offset + error.marker().byte_offset().unwrap_or(0)) as u32;
                let message = format!("this is not YAML: {}", error.info());
                return Err(Diagnostic::unusable("syntax", message).at(Place { file, start: at, end: at + 1 }).into());
            }
        }
    }
    Ok(builder.root)
}

/// Where the characters of a scalar's value stand in the scalar as written.
pub(crate) struct Alignment {
    /// First byte of each character in the value, and its bytes as written; white space takes none.
    characters: Vec<(usize, Range<usize>)>,
    /// Where the last character ends.
    end: usize,
}

impl Alignment {
    /// Quotes, escapes, indentation and folded lines are seen through: white space may differ, everything else must be there
    /// in the same order. `None` if it is not.
    pub fn new(raw: &str, value: &str) -> Option<Alignment> {
        let (style, mut at) = match raw.bytes().next() {
            Some(quote @ (b'\'' | b'"')) => (quote, 1),
            Some(b'|' | b'>') => (b' ', raw.find('\n')?),
            _ => (b' ', 0),
        };
        let mut characters = Vec::with_capacity(value.len());
        for (index, wanted) in value.char_indices() {
            let mut found = at..at;
            while !wanted.is_whitespace() {
                let (character, length) = written(&raw[at..], style)?;
                found = at..at + length;
                at += length;
                if character == wanted {
                    break;
                }
                if !character.is_whitespace() {
                    return None;
                }
            }
            characters.push((index, found));
        }
        Some(Alignment { characters, end: at })
    }

    /// Where a part of the value stands: `part` counts bytes of the value, the result bytes of the scalar as written.
    pub fn part(&self, part: Range<usize>) -> Range<usize> {
        let first = self.characters.partition_point(|(index, _)| *index < part.start);
        let behind = self.characters.partition_point(|(index, _)| *index < part.end);
        let start = self.characters.get(first).map_or(self.end, |(_, found)| found.start);
        let end = behind.checked_sub(1).map_or(start, |last| self.characters[last].1.end);
        start..end.max(start)
    }
}

/// The first character that a scalar's raw text stands for, and how many bytes it takes. `style` is the quote around it.
fn written(raw: &str, style: u8) -> Option<(char, usize)> {
    let first = raw.chars().next()?;
    match (style, first) {
        (b'\'', '\'') => raw[1..].starts_with('\'').then_some(('\'', 2)),
        (b'"', '\\') => {
            let kind = raw[1..].chars().next()?;
            let digits = match kind {
                'x' => 2,
                'u' => 4,
                'U' => 8,
                // A line break that does not count, and white space by its letter.
                '\n' | '\r' | 't' | 'n' | 'r' | ' ' => return Some((' ', 2)),
                '"' | '\\' | '/' => return Some((kind, 2)),
                _ => return None,
            };
            let code = u32::from_str_radix(raw.get(2..2 + digits)?, 16).ok()?;
            Some((char::from_u32(code)?, 2 + digits))
        }
        _ => Some((first, first.len_utf8())),
    }
}

fn place(file: FileId, offset: usize, span: &Span) -> Place {
    let range = span.byte_range().unwrap_or(0..0);
    Place { file, start: (offset + range.start) as u32, end: (offset + range.end) as u32 }
}

/// Builds the tree from the parser's events, with its own stack.
struct Builder<'r> {
    file: FileId,
    next: u32,
    frames: Vec<Frame>,
    /// Anchored nodes, with their number of nodes and depth.
    anchors: HashMap<usize, (Node, usize, usize)>,
    nodes: usize,
    root: Option<Node>,
    report: &'r mut Vec<Diagnostic>,
}

/// A collection that is still open.
struct Frame {
    start: Place,
    anchor: usize,
    content: Open,
}

enum Open {
    Sequence(Vec<Node>),
    Mapping { entries: Vec<Entry>, key: Option<Key> },
}

impl Builder<'_> {
    fn event(&mut self, event: Event<'_>, place: Place) -> Result<(), Box<Diagnostic>> {
        match event {
            Event::Scalar(text, style, anchor, _) => {
                let scalar = Scalar { text: text.into(), plain: style == ScalarStyle::Plain };
                let node = self.node(place, Value::Scalar(scalar))?;
                self.complete(node, anchor)
            }
            Event::SequenceStart(_, anchor, _) => self.open(place, anchor, Open::Sequence(Vec::new())),
            Event::MappingStart(_, anchor, _) => {
                self.open(place, anchor, Open::Mapping { entries: Vec::new(), key: None })
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let frame = self.frames.pop().expect("the parser balances starts and ends");
                let (value, last) = match frame.content {
                    Open::Sequence(items) => {
                        let last = items.last().map(|node| node.place);
                        (Value::Sequence(items), last)
                    }
                    Open::Mapping { entries, .. } => {
                        let last = entries.last().map(|entry| entry.key.place.to(entry.value.place));
                        (Value::Mapping(self.finish_mapping(entries)), last)
                    }
                };
                // A block collection ends where its last child does; a flow collection with its bracket.
                let end = if place.start == place.end { last.unwrap_or(frame.start) } else { place };
                let node = self.node(frame.start.to(end), value)?;
                self.complete(node, frame.anchor)
            }
            Event::Alias(anchor) => {
                let Some((node, count, depth)) = self.anchors.get(&anchor) else {
                    return Err(Diagnostic::unusable("syntax", "an alias inside of what it stands for")
                        .at(place)
                        .into());
                };
                self.nodes += count;
                if self.frames.len() + depth > MAX_DEPTH {
                    return Err(too_deep(place).into());
                }
                self.check_budget(place)?;
                let node = node.clone();
                self.complete(node, 0)
            }
            Event::DocumentStart(..) if self.root.is_some() => {
                Err(Diagnostic::unusable("many-documents", "a second document begins here, a scenario file has one")
                    .at(place)
                    .help("put each document into its own file of a folder, or merge their lists")
                    .into())
            }
            _ => Ok(()),
        }
    }

    fn node(&mut self, place: Place, value: Value) -> Result<Node, Box<Diagnostic>> {
        self.next += 1;
        self.nodes += 1;
        self.check_budget(place)?;
        Ok(Node { id: NodeId(self.file, self.next), place, value })
    }

    fn check_budget(&self, place: Place) -> Result<(), Box<Diagnostic>> {
        if self.nodes > MAX_NODES {
            let message = format!("more than {MAX_NODES} values, copies through aliases included");
            return Err(Diagnostic::unusable("too-large", message).at(place).into());
        }
        Ok(())
    }

    fn open(&mut self, start: Place, anchor: usize, content: Open) -> Result<(), Box<Diagnostic>> {
        if self.frames.len() >= MAX_DEPTH {
            return Err(too_deep(start).into());
        }
        self.frames.push(Frame { start, anchor, content });
        Ok(())
    }

    /// Hands a finished node to the collection it belongs to.
    fn complete(&mut self, node: Node, anchor: usize) -> Result<(), Box<Diagnostic>> {
        if anchor != 0 {
            let (count, depth) = node.extent();
            self.nodes += count;
            self.check_budget(node.place)?;
            self.anchors.insert(anchor, (node.clone(), count, depth));
        }
        match self.frames.last_mut().map(|frame| &mut frame.content) {
            None => self.root = Some(node),
            Some(Open::Sequence(items)) => items.push(node),
            Some(Open::Mapping { entries, key }) => match key.take() {
                Some(key) => entries.push(Entry { key, value: node }),
                None => {
                    let Value::Scalar(scalar) = node.value else {
                        let message = format!("found {} as a key, expected a name", node.describe());
                        return Err(Diagnostic::unusable("syntax", message).at(node.place).into());
                    };
                    *key = Some(Key { name: scalar.text, place: node.place });
                }
            },
        }
        Ok(())
    }

    /// Resolves merge keys and reports duplicates: of equal keys the first one written counts.
    fn finish_mapping(&mut self, entries: Vec<Entry>) -> Vec<Entry> {
        let mut seen: HashMap<Box<str>, Place> = HashMap::with_capacity(entries.len());
        let mut merged = Vec::new();
        let mut kept = Vec::with_capacity(entries.len());
        for entry in entries {
            if &*entry.key.name == "<<" {
                merged.extend(mappings_of(entry.value));
                continue;
            }
            if let Some(first) = seen.get(&entry.key.name) {
                self.report.push(
                    Diagnostic::unusable(
                        "duplicate-key",
                        format!("the key `{}` is given twice", shorten(&entry.key.name)),
                    )
                    .at(entry.key.place)
                    .related(*first, "first given here")
                    .help("keep one of the two"),
                );
                continue;
            }
            seen.insert(entry.key.name.clone(), entry.key.place);
            kept.push(entry);
        }
        for entry in merged {
            if !seen.contains_key(&entry.key.name) {
                seen.insert(entry.key.name.clone(), entry.key.place);
                kept.push(entry);
            }
        }
        kept
    }
}

/// The entries that `<<: *a` or `<<: [*a, *b]` brings in.
fn mappings_of(node: Node) -> Vec<Entry> {
    match node.value {
        Value::Mapping(entries) => entries,
        Value::Sequence(items) => items.into_iter().flat_map(mappings_of).collect(),
        Value::Scalar(_) => Vec::new(),
    }
}

fn too_deep(place: Place) -> Diagnostic {
    Diagnostic::unusable("too-deep", format!("nested deeper than {MAX_DEPTH} levels")).at(place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::diagnostic::Sources;

    fn tree(text: &str) -> Result<Option<Node>, Box<Diagnostic>> {
        let mut sources = Sources::default();
        let file = sources.add("t.yaml", text);
        let mut report = Vec::new();
        let root = parse(text, file, &mut report)?;
        report.pop().map_or(Ok(root), |diagnostic| Err(diagnostic.into()))
    }

    fn slice(text: &str, place: Place) -> &str {
        &text[place.start as usize..place.end as usize]
    }

    #[test]
    fn keys_and_values_know_their_places_in_block_flow_and_json() {
        for text in ["a:\n  b: [x, 'y z']\n", "{a: {b: [x, 'y z']}}", "\u{feff}{\"a\":\n\t{\"b\": [x, 'y z']}}"] {
            let root = tree(text).expect("valid").expect("not empty");
            let list = root.get("a").and_then(|node| node.get("b")).expect("a.b");
            assert_eq!(slice(text, list.place), "[x, 'y z']");
            let Value::Sequence(items) = &list.value else { panic!("a list") };
            assert_eq!(slice(text, items[1].place), "'y z'");
            assert_eq!(items[1].text(), Some("y z"));
        }
    }

    #[test]
    fn a_part_of_a_scalar_is_found_whatever_way_it_is_written() {
        let wanted = "source.ip == '10.0.0.1' || x";
        for text in [
            "match: source.ip == '10.0.0.1' || x\n",
            "match: \"source.ip == '10.0.0.1' || x\"\n",
            "match: 'source.ip == ''10.0.0.1'' || x'\n",
            "{\"match\": \"source.ip == \\u002710.0.0.1\\u0027 || x\"}",
            "match: &m\n  source.ip == '10.0.0.1'\n    || x\n",
            "match: !!str \"source.ip\\\n    \\ == '10.0.0.1'\n    || x\"\n",
            "match: >-\n  source.ip ==\n  '10.0.0.1'\n  || x\n",
            "match: |\n  source.ip == '10.0.0.1'\n  || x\n",
        ] {
            let root = tree(text).expect("valid").expect("not empty");
            let node = root.get("match").expect("match");
            let value = node.text().expect("text");
            let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert_eq!(words(value), wanted, "{text}");
            let raw = slice(text, node.place);
            let find = |needle: &str| {
                let start = value.find(needle).expect("there");
                &raw[Alignment::new(raw, value).expect("the same text").part(start..start + needle.len())]
            };
            assert_eq!(find("10.0.0.1"), "10.0.0.1", "{text}");
            assert_eq!(find("||"), "||", "{text}");
            assert_eq!(find("x"), "x", "{text}");
        }
        let part = |raw, value, part| Alignment::new(raw, value).map(|alignment| alignment.part(part));
        assert_eq!(part("'a''b'", "a'b", 1..2), Some(2..4), "a quote in quotes is two");
        assert_eq!(part("ab", "ab", 2..2), Some(2..2), "the end has a place");
        assert_eq!(part("", "", 0..0), Some(0..0));
        assert_eq!(part("ab", "ac", 0..1), None);
    }

    #[test]
    fn a_block_mapping_reaches_from_its_first_key_to_its_last_value() {
        let text = "hosts:\n- name: a\n  rtt: 4ms   # far\n- name: b\n";
        let root = tree(text).expect("valid").expect("not empty");
        let Value::Sequence(items) = &root.get("hosts").expect("hosts").value else { panic!("a list") };
        assert_eq!(slice(text, items[0].place), "name: a\n  rtt: 4ms");
    }

    #[test]
    fn aliases_are_copied_and_merge_keys_give_way_to_written_ones() {
        let root = tree("base: &b {x: 1, y: 2}\nuse: {<<: *b, y: 3}\n").expect("valid").expect("not empty");
        let used = root.get("use").expect("use");
        assert_eq!(used.get("x").and_then(Node::text), Some("1"));
        assert_eq!(used.get("y").and_then(Node::text), Some("3"));
    }

    #[test]
    fn a_duplicate_key_is_an_error_at_the_second() {
        let error = tree("a: 1\na: 2\n").expect_err("refused");
        assert_eq!((error.code, error.place.map(|place| place.start)), ("duplicate-key", Some(5)));
    }

    #[test]
    fn a_bomb_of_aliases_is_refused() {
        let mut text = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
        for level in 1..20 {
            let previous = format!("*a{}", level - 1);
            text += &format!("a{level}: &a{level} [{}]\n", [previous.as_str(); 9].join(","));
        }
        assert_eq!(tree(&text).expect_err("refused").code, "too-large");
    }

    #[test]
    fn deep_nesting_is_refused() {
        assert_eq!(tree(&("[".repeat(150) + &"]".repeat(150))).expect_err("refused").code, "too-deep");
        assert!(tree(&"[".repeat(50_000)).is_err());
        let mut text = String::from("a0: &a0 [x]\n");
        for level in 1..200 {
            text += &format!("a{level}: &a{level} [*a{}]\n", level - 1);
        }
        assert_eq!(tree(&text).expect_err("refused").code, "too-deep");
    }

    #[test]
    fn an_alias_inside_of_its_own_anchor_is_refused() {
        assert_eq!(tree("a: &a [*a]").expect_err("refused").code, "syntax");
    }

    #[test]
    fn a_second_document_is_refused() {
        assert_eq!(tree("a: 1\n---\nb: 2\n").expect_err("refused").code, "many-documents");
    }
}
