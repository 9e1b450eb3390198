//! What is wrong with a scenario, where, and how to cure it.
//!
//! A [`Diagnostic`] carries what was found, its [`Place`] in one of the [`Sources`] and a cure; [`Diagnostics`] collects
//! them, because all errors of a file are reported together. Rendering follows rustc: `error[code]: …`, `--> FILE:LINE:COLUMN`,
//! the line with the place marked, `= help: …`. Columns count characters, from 1.

use std::fmt::Write as _;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

/// Identifies one text of a [`Sources`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(u32);

impl FileId {
    pub(crate) fn index(self) -> u32 {
        self.0
    }

    pub(crate) fn from_index(index: u32) -> FileId {
        FileId(index)
    }
}

/// A range of bytes in one of the [`Sources`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Which text.
    pub file: FileId,
    /// First byte.
    pub start: u32,
    /// The byte after the last.
    pub end: u32,
}

impl Place {
    /// The place of a value that no text holds, such as a default.
    pub const NOWHERE: Place = Place { file: FileId(u32::MAX), start: 0, end: 0 };

    /// From the start of this place to the end of `other`, which is in the same text.
    #[must_use]
    pub fn to(self, other: Place) -> Place {
        Place { end: other.end.max(self.end), ..self }
    }

    /// Whether `other` lies inside.
    pub fn contains(self, other: Place) -> bool {
        self.file == other.file && self.start <= other.start && other.end <= self.end
    }
}

/// What a diagnostic means for the program: its exit status depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The input cannot be understood: syntax, an unknown field, enum value or reference. Exit status 2.
    Unusable,
    /// It is understood, and Google Cloud would reject it. Exit status 1 in `check`, 2 elsewhere.
    Rejected,
    /// It works, and it will hurt.
    Warning,
    /// Worth knowing: an assumption that was made.
    Note,
}

impl Severity {
    /// Whether there is no scenario to run.
    pub fn is_error(self) -> bool {
        matches!(self, Severity::Unusable | Severity::Rejected)
    }
}

/// One finding about a scenario.
#[derive(Debug, Clone, PartialEq)]
pub struct Diagnostic {
    /// What it means for the program.
    pub severity: Severity,
    /// Stable name in kebab-case, such as `unknown-field`.
    pub code: &'static str,
    /// What was found, what was expected: a fragment without a full stop.
    pub message: String,
    /// Where; `None` when a whole file is meant that could not be read.
    pub place: Option<Place>,
    /// What stands beside the mark.
    pub label: Option<String>,
    /// A second place that explains the first, such as the earlier of two equal names.
    pub related: Option<(Place, String)>,
    /// The cure.
    pub help: Option<String>,
}

impl Diagnostic {
    /// A finding without place, label and help.
    pub fn new(severity: Severity, code: &'static str, message: impl Into<String>) -> Diagnostic {
        Diagnostic { severity, code, message: message.into(), place: None, label: None, related: None, help: None }
    }

    /// Input that cannot be understood.
    pub fn unusable(code: &'static str, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(Severity::Unusable, code, message)
    }

    /// What Google Cloud would reject.
    pub fn rejected(code: &'static str, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(Severity::Rejected, code, message)
    }

    /// What will hurt.
    pub fn warning(code: &'static str, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(Severity::Warning, code, message)
    }

    /// An assumption.
    pub fn note(code: &'static str, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(Severity::Note, code, message)
    }

    /// Says where.
    #[must_use]
    pub fn at(mut self, place: Place) -> Diagnostic {
        self.place = (place != Place::NOWHERE).then_some(place);
        self
    }

    /// Says what stands beside the mark.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Diagnostic {
        self.label = Some(label.into());
        self
    }

    /// Points to a second place.
    #[must_use]
    pub fn related(mut self, place: Place, label: impl Into<String>) -> Diagnostic {
        self.related = (place != Place::NOWHERE).then(|| (place, label.into()));
        self
    }

    /// Names the cure.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Diagnostic {
        self.help = Some(help.into());
        self
    }
}

/// All findings about a scenario.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
}

impl Diagnostics {
    /// Adds a finding.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.list.push(diagnostic);
    }

    /// All findings; in the order of the text once [`Diagnostics::sort`] has run.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.list.iter()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// How many have this severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.list.iter().filter(|diagnostic| diagnostic.severity == severity).count()
    }

    /// Whether any finding leaves no scenario to run.
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|diagnostic| diagnostic.severity.is_error())
    }

    /// Whether the input could not be understood.
    pub fn has_unusable(&self) -> bool {
        self.count(Severity::Unusable) > 0
    }

    /// Whether Google Cloud would reject something.
    pub fn has_rejected(&self) -> bool {
        self.count(Severity::Rejected) > 0
    }

    /// Errors before warnings before notes, each group in the order of the texts; equal findings once.
    pub fn sort(&mut self) {
        let rank = |diagnostic: &Diagnostic| match diagnostic.severity {
            Severity::Unusable | Severity::Rejected => 0,
            Severity::Warning => 1,
            Severity::Note => 2,
        };
        let key = |diagnostic: &'_ Diagnostic| (rank(diagnostic), diagnostic.place, diagnostic.code);
        self.list.sort_by(|one, other| key(one).cmp(&key(other)).then_with(|| one.message.cmp(&other.message)));
        self.list.dedup();
    }

    /// All findings as rustc would print them, with an empty line after each.
    pub fn render(&self, sources: &Sources, color: bool) -> String {
        let mut out = String::new();
        for diagnostic in &self.list {
            out.push_str(&diagnostic.render(sources, color));
            out.push_str("\n\n");
        }
        out
    }
}

impl Extend<Diagnostic> for Diagnostics {
    fn extend<I: IntoIterator<Item = Diagnostic>>(&mut self, diagnostics: I) {
        self.list.extend(diagnostics);
    }
}

impl IntoIterator for Diagnostics {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.into_iter()
    }
}

impl Diagnostic {
    /// This finding as rustc would print it, without a final line break.
    pub fn render(&self, sources: &Sources, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let level = match self.severity {
            Severity::Unusable | Severity::Rejected => Level::ERROR,
            Severity::Warning => Level::WARNING,
            Severity::Note => Level::NOTE,
        };
        let mut group = Group::with_title(level.primary_title(&self.message).id(self.code));
        let primary =
            self.place.map(|place| Mark { place, label: self.label.as_deref(), kind: AnnotationKind::Primary });
        let related = self.related.as_ref();
        let related =
            related.map(|(place, label)| Mark { place: *place, label: Some(label), kind: AnnotationKind::Context });
        let marks: Vec<Mark<'_>> = primary.into_iter().chain(related).collect();
        // Two marks near each other are shown in one excerpt.
        let near = |one: &Mark<'_>, other: &Mark<'_>| {
            sources.lines_apart(one.place, other.place).is_some_and(|lines| lines < 100)
        };
        for marks in marks.chunk_by(near) {
            let Some(source) = sources.get(marks[0].place.file) else { continue };
            let lines = marks.iter().map(|mark| source.line_of(source.floor(mark.place.start)));
            let (first, last) = lines.fold((usize::MAX, 0), |(first, last), line| (first.min(line), last.max(line)));
            let (begin, text) = source.lines(first, last);
            if text.is_empty() {
                group = group.element(Origin::path(source.name.as_str()).line(first + 1).char_column(1));
                continue;
            }
            let annotations = marks.iter().map(|mark| {
                let marked = source.mark(mark.place);
                mark.kind.span(marked.start - begin..marked.end - begin).label(mark.label)
            });
            let snippet =
                Snippet::source(text).path(source.name.as_str()).line_start(first + 1).annotations(annotations);
            group = group.element(snippet);
        }
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(annotate_snippets::normalize_untrusted_str(help)));
        }
        renderer.render(&[group])
    }

    /// `FILE:LINE:COLUMN: error[code]: message`, on one line.
    pub fn summary(&self, sources: &Sources) -> String {
        let mut out = String::new();
        if let Some(position) = self.place.and_then(|place| sources.position(place)) {
            let _ = write!(out, "{}:{}:{}: ", position.file, position.line, position.column);
        }
        let word = match self.severity {
            Severity::Unusable | Severity::Rejected => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        };
        let _ = write!(out, "{word}[{}]: {}", self.code, self.message);
        out
    }
}

/// A place for people: file, line and column, both from 1, the column in characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position<'a> {
    /// Name of the file.
    pub file: &'a str,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

/// The texts that a scenario was read from.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    list: Vec<SourceText>,
}

/// One text with the name it is shown under.
#[derive(Debug, Clone)]
struct SourceText {
    name: String,
    text: String,
    /// Byte offset at which each line begins.
    line_starts: Vec<u32>,
}

/// A place to show.
struct Mark<'a> {
    place: Place,
    label: Option<&'a str>,
    kind: AnnotationKind,
}

impl Sources {
    /// Adds a text under the name it is shown by. Texts are shorter than 4 GiB: the loader sees to it.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<String>) -> FileId {
        let text = text.into();
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let line_starts = std::iter::once(0).chain(ends.map(|(at, _)| at as u32 + 1)).collect();
        self.list.push(SourceText { name: name.into(), text, line_starts });
        FileId(self.list.len() as u32 - 1)
    }

    /// Overwrites places with asterisks, so that no finding shows what stands there. Later offsets stay right.
    pub fn hide(&mut self, places: &[Place]) {
        for by_file in places.chunk_by(|one, other| one.file == other.file) {
            let Some(source) = self.list.get_mut(by_file[0].file.0 as usize) else { continue };
            let mut bytes = std::mem::take(&mut source.text).into_bytes();
            for place in by_file {
                let end = (place.end as usize).min(bytes.len());
                for byte in &mut bytes[(place.start as usize).min(end)..end] {
                    if *byte != b'\n' {
                        *byte = b'*';
                    }
                }
            }
            source.text = String::from_utf8(bytes).unwrap_or_default();
        }
    }

    /// The text of a file.
    pub fn text(&self, file: FileId) -> &str {
        self.get(file).map_or("", |source| &source.text)
    }

    /// The names of all texts.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.list.iter().map(|source| source.name.as_str())
    }

    /// The name of a file.
    pub fn name(&self, file: FileId) -> &str {
        self.get(file).map_or("", |source| &source.name)
    }

    /// Line and column of a place's first character.
    pub fn position(&self, place: Place) -> Option<Position<'_>> {
        let source = self.get(place.file)?;
        let start = source.floor(place.start);
        let line = source.line_of(start);
        let column = source.text[source.line_starts[line] as usize..start].chars().count() + 1;
        Some(Position { file: &source.name, line: line + 1, column })
    }

    /// How many lines are between two places, if they are in one text.
    fn lines_apart(&self, one: Place, other: Place) -> Option<usize> {
        let source = self.get(one.file).filter(|_| one.file == other.file)?;
        let line = |place: Place| source.line_of(source.floor(place.start));
        Some(line(one).abs_diff(line(other)))
    }

    fn get(&self, file: FileId) -> Option<&SourceText> {
        self.list.get(file.0 as usize)
    }
}

impl SourceText {
    /// The nearest character boundary at or before a byte offset.
    fn floor(&self, offset: u32) -> usize {
        self.text.floor_char_boundary(offset as usize)
    }

    /// Index of the line that holds a byte offset.
    fn line_of(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|start| *start as usize <= offset) - 1
    }

    /// The text of some lines without the last line break, and the byte at which it begins.
    fn lines(&self, first: usize, last: usize) -> (usize, &str) {
        let begin = self.line_starts[first] as usize;
        let end = self.line_starts.get(last + 1).map_or(self.text.len(), |start| *start as usize);
        (begin, self.text[begin..end].trim_end_matches(['\n', '\r']))
    }

    /// The bytes to mark: no more than the line on which a place begins, for a mapping may have forty.
    fn mark(&self, place: Place) -> std::ops::Range<usize> {
        let start = self.floor(place.start);
        let line = self.line_of(start);
        let (begin, text) = self.lines(line, line);
        let end = begin + text.len();
        let start = start.min(end);
        start..self.floor(place.end).clamp(start, end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place_of(sources: &Sources, file: FileId, needle: &str) -> Place {
        let start = sources.text(file).find(needle).expect("the text holds the needle") as u32;
        Place { file, start, end: start + needle.len() as u32 }
    }

    #[test]
    fn columns_count_characters_from_one() {
        let mut sources = Sources::default();
        let file = sources.add("a.yaml", "one: 1\n\"größe\": drei\n");
        let place = place_of(&sources, file, "drei");
        assert_eq!(sources.position(place), Some(Position { file: "a.yaml", line: 2, column: 10 }));
    }

    #[test]
    fn a_finding_looks_like_one_of_rustc() {
        let mut sources = Sources::default();
        let file = sources.add("a.yaml", "networks:\n- name: prod\n  mtuu: 1400\n");
        let diagnostic = Diagnostic::unusable("unknown-field", "a network has no field `mtuu`")
            .at(place_of(&sources, file, "mtuu"))
            .label("not known")
            .help("did you mean `mtu`?");
        assert_eq!(
            diagnostic.render(&sources, false),
            "error[unknown-field]: a network has no field `mtuu`\n \
             --> a.yaml:3:3\n  \
             |\n\
             3 |   mtuu: 1400\n  \
             |   ^^^^ not known\n  \
             |\n  \
             = help: did you mean `mtu`?"
        );
    }

    #[test]
    fn a_place_of_many_lines_is_marked_by_its_first() {
        let mut sources = Sources::default();
        let file = sources.add("a.yaml", "hosts:\n- name: a\n  rtt: 1\n");
        let place = Place { file, start: 9, end: 25 };
        let text = Diagnostic::warning("x", "y").at(place).render(&sources, false);
        assert!(text.contains("2 | - name: a\n  |   ^^^^^^^"), "{text}");
        assert!(!text.contains("rtt"), "{text}");
    }

    #[test]
    fn the_end_of_an_empty_file_can_be_named() {
        let mut sources = Sources::default();
        let file = sources.add("empty.yaml", "");
        let text =
            Diagnostic::unusable("empty", "nothing here").at(Place { file, start: 0, end: 0 }).render(&sources, false);
        assert!(text.contains("--> empty.yaml:1:1"), "{text}");
    }

    #[test]
    fn errors_come_before_warnings_and_each_in_the_order_of_the_text() {
        let mut sources = Sources::default();
        let file = sources.add("a.yaml", "abcdef");
        let at = |start| Place { file, start, end: start + 1 };
        let mut all = Diagnostics::default();
        all.push(Diagnostic::warning("w", "").at(at(0)));
        all.push(Diagnostic::rejected("b", "").at(at(3)));
        all.push(Diagnostic::unusable("a", "").at(at(1)));
        all.sort();
        assert_eq!(all.iter().map(|diagnostic| diagnostic.code).collect::<Vec<_>>(), ["a", "b", "w"]);
    }
}
