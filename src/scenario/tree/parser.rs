//! From YAML text to a [tree](super::Node): the parser's events are put together with a stack of our own, so that nothing
//! recurses on input.

use std::collections::HashMap;

use serde_saphyr::granit_parser::{Event, Options, Parser, ScalarStyle, Span};

use super::{Entry, Key, MAX_BYTES, Node, NodeId, Scalar, Value, shorten};
use crate::scenario::diagnostic::{Diagnostic, FileId, Place};

/// The deepest nesting accepted; a scenario has eight levels.
const MAX_DEPTH: usize = 100;
/// The most nodes accepted, copies through aliases included: a file of 20,000 routes has 300,000.
const MAX_NODES: usize = 4_000_000;
/// Parses the one document of a text. `Ok(None)` is a text without any. Duplicate keys are reported and the first is kept;
/// what breaks the syntax ends the parse.
#[cfg(test)]
pub(crate) fn parse(text: &str, file: FileId, report: &mut Vec<Diagnostic>) -> Result<Option<Node>, Box<Diagnostic>> {
    let mut documents = parse_all(text, file, report)?;
    if let Some(second) = documents.get(1) {
        return Err(many_documents(second.place).into());
    }
    Ok(documents.pop())
}

/// A second document where one is expected.
pub(crate) fn many_documents(second: Place) -> Diagnostic {
    Diagnostic::unusable("many-documents", "a second document begins here, a scenario file has one")
        .at(second)
        .help("put each document into its own file of a folder, or merge their lists")
}

/// Parses all documents of a text.
pub(crate) fn parse_all(text: &str, file: FileId, report: &mut Vec<Diagnostic>) -> Result<Vec<Node>, Box<Diagnostic>> {
    if text.len() > MAX_BYTES {
        let message = format!("the file has {} bytes, at most {MAX_BYTES} are read", text.len());
        return Err(Diagnostic::unusable("too-large", message).into());
    }
    let mut builder = Builder::new(file, report);
    // The parser would take a byte order mark for content of the first line and count it as a column.
    let content = text.strip_prefix('\u{feff}').unwrap_or(text);
    builder.documents(content, text.len() - content.len())?;
    Ok(builder.roots)
}

/// Parses a text of which each line is a document, such as JSON Lines. A line that cannot be parsed is reported, and the
/// others are kept.
pub(crate) fn parse_lines(text: &str, file: FileId, report: &mut Vec<Diagnostic>) -> Vec<Node> {
    let mut builder = Builder::new(file, report);
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        if !line.trim().is_empty()
            && let Err(diagnostic) = builder.documents(line, offset)
        {
            let end = diagnostic.code == "too-large";
            builder.frames.clear();
            builder.report.push(*diagnostic);
            if end {
                break;
            }
        }
        offset += line.len();
    }
    builder.roots
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
    roots: Vec<Node>,
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

impl<'r> Builder<'r> {
    fn new(file: FileId, report: &'r mut Vec<Diagnostic>) -> Builder<'r> {
        Builder { file, next: 0, frames: Vec::new(), anchors: HashMap::new(), nodes: 0, roots: Vec::new(), report }
    }

    /// Adds the documents of a part of the text that begins at `offset`.
    fn documents(&mut self, content: &str, offset: usize) -> Result<(), Box<Diagnostic>> {
        let mut options = Options::default();
        options.set_emit_comments(false);
        self.anchors.clear();
        for event in Parser::new_from_str_with_options(content, options) {
            match event {
                Ok((event, span)) => {
                    let place = place(self.file, offset, &span);
                    self.event(event, place)?;
                }
                Err(error) => {
                    let at = (offset + error.marker().byte_offset().unwrap_or(0)) as u32;
                    let message = format!("this is not YAML: {}", error.info());
                    let place = Place { file: self.file, start: at, end: at + 1 };
                    return Err(Diagnostic::unusable("syntax", message).at(place).into());
                }
            }
        }
        Ok(())
    }

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
            None => self.roots.push(node),
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
