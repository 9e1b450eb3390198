//! Redirections and here-documents: what a later command reads as a file.

use std::rc::Rc;

use super::{Parser, Part, Word};
use crate::scenario::diagnostic::Diagnostic;

impl Parser<'_> {
    pub(super) fn redirect(&mut self) {
        // `2>`: the number is no argument.
        let adjacent = self.current.words.last().is_some_and(|word| {
            word.place.end as usize == self.at
                && word.literal().is_some_and(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
        });
        let mut errors = false;
        if adjacent {
            errors = self.current.words.pop().is_some_and(|word| word.literal() == Some("2"));
        }
        let operator: Vec<u8> = (0..3).map(|ahead| self.byte(ahead)).collect();
        match &*operator {
            [b'<', b'<', b'<'] => self.at += 3,
            [b'<', b'<', _] => {
                let tabs = self.byte(2) == b'-';
                self.at += 2 + usize::from(tabs);
                return self.here_document(tabs);
            }
            [b'<' | b'>', b'(', _] => {
                let start = self.at;
                self.at = self.matching(self.at + 1, self.end, b'(', b')');
                let place = self.place(start, self.at);
                let parts = vec![Part::Unknown { start: place.start, end: place.end }];
                return self.current.words.push(Word { parts, place });
            }
            [b'>', b'>' | b'&' | b'|', _] | [b'<', b'&' | b'>', _] => self.at += 2,
            _ => self.at += 1,
        }
        let output = operator[0] == b'>' && operator[1] != b'&' && !errors;
        self.blanks();
        if matches!(self.byte(0), b'\n' | 0 | b';' | b'|' | b'&' | b'(' | b')' | b'<' | b'>') {
            return;
        }
        let word = self.read_word();
        if output {
            self.current.output = Some(word);
        }
    }

    pub(super) fn here_document(&mut self, tabs: bool) {
        self.blanks();
        let start = self.at;
        let word = self.read_word();
        let raw = &self.text[start..self.at];
        let delimiter: String = raw.chars().filter(|c| !matches!(c, '\'' | '"' | '\\')).collect();
        if delimiter.is_empty() || delimiter.contains('\n') {
            return;
        }
        self.pending.push((delimiter.into(), tabs, raw.len() != word.literal().map_or(0, str::len)));
        self.document = Some(self.pending.len() - 1);
    }

    /// Reads the here-documents that this line announced and lets its commands go.
    pub(super) fn line_ends(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let mut documents = Vec::new();
        for (delimiter, tabs, literal) in std::mem::take(&mut self.pending) {
            documents.push(Rc::new(self.read_document(&delimiter, tabs, literal)));
        }
        for (mut simple, document) in std::mem::take(&mut self.waiting) {
            simple.document = document.and_then(|document| documents.get(document).cloned());
            self.emit(simple);
        }
    }

    fn read_document(&mut self, delimiter: &str, tabs: bool, literal: bool) -> Word {
        let from = self.at;
        let mut parts = Vec::new();
        let mut to = self.end;
        let mut ended = false;
        while self.at < self.end {
            let start = self.at;
            let end = self.line_end();
            let line = &self.text[start..end];
            let stripped = if tabs { line.trim_start_matches('\t') } else { line };
            self.at = (end + 1).min(self.end);
            if stripped.trim_end_matches('\r') == delimiter {
                to = start;
                ended = true;
                break;
            }
            let begin = start + (line.len() - stripped.len());
            if literal {
                let text = self.text[begin..self.at].into();
                parts.push(Part::Literal { text, start: begin as u32, end: self.at as u32 });
            } else {
                let next = self.at;
                let mut inner = Parser::new(self.text, begin, next, self.file, self.depth);
                inner.quoted_text(&mut parts, 0);
                self.at = next;
            }
        }
        if !ended {
            let place = self.place(from.min(self.end.saturating_sub(1)), from);
            self.report.push(
                Diagnostic::warning(
                    "unterminated",
                    format!("the here-document that begins before this has no line `{delimiter}` that ends it"),
                )
                .at(place)
                .help("end it with its delimiter on a line of its own"),
            );
        }
        Word { parts, place: self.place(from.min(to), to) }
    }
}
