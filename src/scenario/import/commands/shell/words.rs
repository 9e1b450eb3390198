//! Words of a script: quotes, escapes, variables, substitutions.

use std::rc::Rc;

use super::{DEEPEST_SUBSTITUTION, Parser, Part, Word, is_name, is_name_start};
use crate::scenario::diagnostic::Diagnostic;

impl Parser<'_> {
    pub(super) fn read_word(&mut self) -> Word {
        let start = self.at;
        let mut parts = Vec::new();
        while self.at < self.end {
            match self.byte(0) {
                b' ' | b'\t' | b'\n' | b'\r' | b';' | b'&' | b'|' | b'(' | b')' | b'>' => break,
                b'<' => match self.placeholder(self.at) {
                    Some(end) => {
                        let name = &self.text[self.at + 1..end - 1];
                        let text = format!("${{{}}}", name.replace('-', "_")).into();
                        parts.push(Part::Literal { text, start: self.at as u32, end: end as u32 });
                        self.at = end;
                    }
                    None => break,
                },
                b'\'' => self.single_quotes(&mut parts),
                b'"' => {
                    let quote = self.at;
                    self.at += 1;
                    let before = parts.len();
                    self.quoted_text(&mut parts, b'"');
                    if self.byte(0) == b'"' {
                        self.at += 1;
                    } else {
                        self.unbalanced(quote);
                    }
                    if parts.len() == before {
                        let at = quote as u32;
                        parts.push(Part::Literal { text: "".into(), start: at, end: at + 2 });
                    }
                }
                b'\\' => match self.continuation() {
                    Some(next) => {
                        self.at = next;
                        if parts.is_empty() {
                            break;
                        }
                    }
                    None if self.trailing_blanks() => break,
                    None => self.escaped(&mut parts),
                },
                b'$' if self.byte(1) == b'\'' => {
                    self.at += 1;
                    self.single_quotes(&mut parts);
                }
                b'$' | b'`' => self.dollar(&mut parts, false),
                _ => {
                    let from = self.at;
                    while self.at < self.end && !b" \t\n\r;&|()<>'\"\\$`".contains(&self.bytes[self.at]) {
                        self.at += 1;
                    }
                    parts.push(self.literal(from, self.at));
                }
            }
        }
        Word { parts, place: self.place(start, self.at) }
    }

    pub(super) fn literal(&self, from: usize, to: usize) -> Part {
        Part::Literal { text: self.text[from..to].into(), start: from as u32, end: to as u32 }
    }

    /// A backslash with nothing but blanks behind it: meant as a continuation, and none.
    pub(super) fn trailing_blanks(&mut self) -> bool {
        let rest = &self.bytes[self.at + 1..self.end];
        let blanks = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let line = self.at + 1 + blanks;
        if blanks == 0 || !matches!(self.bytes.get(line), Some(b'\n')) || line >= self.end {
            return false;
        }
        let place = self.place(self.at, line);
        self.report.push(
            Diagnostic::warning("trailing-blank", "blanks after a backslash: the command ends here, and its other flags do not reach gcloud; read as if the line went on")
                .at(place)
                .help("remove the blanks at the end of the line"),
        );
        self.at = line + 1;
        true
    }

    fn escaped(&mut self, parts: &mut Vec<Part>) {
        let from = self.at;
        let c = self.text[from + 1..self.end].chars().next();
        let length = c.map_or(0, char::len_utf8);
        self.at = from + 1 + length;
        let text = self.text[from + 1..self.at].into();
        parts.push(Part::Literal { text, start: from as u32, end: self.at as u32 });
    }

    fn single_quotes(&mut self, parts: &mut Vec<Part>) {
        let quote = self.at;
        let from = quote + 1;
        match self.bytes[from..self.end].iter().position(|byte| *byte == b'\'') {
            Some(length) => {
                parts.push(self.literal(from, from + length));
                self.at = from + length + 1;
            }
            None => {
                self.at = from;
                let end = self.line_end();
                parts.push(self.literal(from, end));
                self.at = end;
                self.unbalanced(quote);
            }
        }
    }

    fn unbalanced(&mut self, quote: usize) {
        let place = self.place(quote, quote + 1);
        if self.report.iter().filter(|diagnostic| diagnostic.code == "unbalanced-quote").count() >= 3 {
            return;
        }
        let message = "this quote is never closed";
        let diagnostic = if self.markdown {
            Diagnostic::warning("unbalanced-quote", message)
        } else {
            Diagnostic::unusable("unbalanced-quote", message)
        };
        self.report.push(diagnostic.at(place).help("close it, or put a backslash before it"));
    }

    /// Text in which variables count and blanks do not: up to a quote, or to the end.
    pub(super) fn quoted_text(&mut self, parts: &mut Vec<Part>, quote: u8) {
        while self.at < self.end {
            let byte = self.byte(0);
            if byte == quote && quote != 0 {
                return;
            }
            match byte {
                b'\\' => match self.continuation() {
                    Some(next) => self.at = next,
                    None if matches!(self.byte(1), b'$' | b'`' | b'"' | b'\\') => self.escaped(parts),
                    None => {
                        parts.push(self.literal(self.at, self.at + 1));
                        self.at += 1;
                    }
                },
                b'$' | b'`' => self.dollar(parts, true),
                _ => {
                    let from = self.at;
                    while self.at < self.end
                        && !matches!(self.bytes[self.at], b'\\' | b'$' | b'`')
                        && (quote == 0 || self.bytes[self.at] != quote)
                    {
                        self.at += 1;
                    }
                    parts.push(self.literal(from, self.at));
                }
            }
        }
    }

    /// `$NAME`, `${NAME…}`, `$(…)`, `$((…))`, backquotes, or just a dollar.
    pub(super) fn dollar(&mut self, parts: &mut Vec<Part>, quoted: bool) {
        let from = self.at;
        let start = from as u32;
        if self.byte(0) == b'`' {
            let rest = &self.bytes[from + 1..self.end];
            let length = rest.iter().position(|byte| *byte == b'`').unwrap_or(rest.len());
            self.at = (from + length + 2).min(self.end);
            return parts.push(self.substitution(from, from + 1, from + 1 + length));
        }
        match self.byte(1) {
            b'(' if self.byte(2) == b'(' => {
                self.at = self.matching(from + 1, self.end, b'(', b')');
                let inner = self.text.get(from + 3..self.at.saturating_sub(2)).unwrap_or("");
                parts.push(Part::Arithmetic { text: inner.into(), start, end: self.at as u32 });
            }
            b'(' => {
                self.at = self.matching(from + 1, self.end, b'(', b')');
                let closed = self.bytes[self.at - 1] == b')' && self.at > from + 2;
                parts.push(self.substitution(from, from + 2, self.at - usize::from(closed)));
            }
            b'{' => self.braces(parts, quoted),
            byte if is_name_start(byte) => {
                let mut at = from + 1;
                while at < self.end && is_name(self.bytes[at]) {
                    at += 1;
                }
                self.at = at;
                let name = self.text[from + 1..at].into();
                parts.push(Part::Variable {
                    name,
                    default: None,
                    instead: false,
                    assigns: false,
                    quoted,
                    start,
                    end: at as u32,
                });
            }
            b'0'..=b'9' | b'@' | b'*' | b'#' | b'?' | b'$' | b'!' => {
                self.at = from + 2;
                let name = self.text[from + 1..from + 2].into();
                let end = self.at as u32;
                parts.push(Part::Variable { name, default: None, instead: false, assigns: false, quoted, start, end });
            }
            _ => {
                self.at = from + 1;
                parts.push(self.literal(from, from + 1));
            }
        }
    }

    fn substitution(&mut self, from: usize, inner: usize, to: usize) -> Part {
        let inside = (self.depth < DEEPEST_SUBSTITUTION)
            .then(|| Parser::new(self.text, inner, to.max(inner), self.file, self.depth + 1).run().into());
        Part::Command { inside, start: from as u32, end: self.at as u32 }
    }

    /// `${NAME}`, `${NAME[@]}`, `${NAME:-default}`, `${NAME:=default}`, `${NAME:+other}`; others are not evaluated.
    pub(super) fn braces(&mut self, parts: &mut Vec<Part>, quoted: bool) {
        let from = self.at;
        let start = from as u32;
        let line = self.line_end();
        let end = self.matching(from + 1, line, b'{', b'}');
        let closed = self.bytes[end - 1] == b'}' && end > from + 2;
        if !closed {
            self.at = line;
            return parts.push(Part::Unknown { start, end: self.at as u32 });
        }
        let inner = &self.text[from + 2..end - 1];
        let length = inner.bytes().take_while(|byte| is_name(*byte) || matches!(byte, b'@' | b'*')).count();
        let (name, mut rest) = inner.split_at(length);
        let mut name = name.to_owned();
        for items in ["[@]", "[*]"] {
            if let Some(after) = rest.strip_prefix(items) {
                name.push_str("[@]");
                rest = after;
            }
        }
        let operator = ["", ":-", "-", ":=", "=", ":+", "+"].into_iter().rfind(|operator| rest.starts_with(operator));
        let operator = operator.filter(|operator| rest.is_empty() || !operator.is_empty());
        self.at = end;
        let end_at = end as u32;
        let part = match operator {
            _ if name.is_empty() => Part::Unknown { start, end: end_at },
            Some("") if rest.is_empty() => Part::Variable {
                name: name.into(),
                default: None,
                instead: false,
                assigns: false,
                quoted,
                start,
                end: end_at,
            },
            Some(operator) if self.depth < DEEPEST_SUBSTITUTION => {
                let begin = end - 1 - rest.len() + operator.len();
                let mut inner = Parser::new(self.text, begin, end - 1, self.file, self.depth + 1);
                let mut parts = Vec::new();
                while inner.at < inner.end {
                    let before = inner.at;
                    let mut more = inner.read_word().parts;
                    parts.append(&mut more);
                    if inner.at < inner.end {
                        // A blank or an operator is a character like any other here.
                        let length = self.text[inner.at..].chars().next().map_or(1, char::len_utf8);
                        parts.push(inner.literal(inner.at, inner.at + length));
                        inner.at += length;
                    }
                    debug_assert!(inner.at > before);
                }
                let default = Some(Rc::new(Word { parts, place: self.place(begin, end - 1) }));
                let assigns = operator.ends_with('=');
                let instead = operator.ends_with('+');
                Part::Variable { name: name.into(), default, instead, assigns, quoted, start, end: end_at }
            }
            // `${NAME:?message}` is the value or a failure.
            _ if rest.starts_with(":?") || rest.starts_with('?') => Part::Variable {
                name: name.into(),
                default: None,
                instead: false,
                assigns: false,
                quoted,
                start,
                end: end_at,
            },
            _ => Part::Unknown { start, end: end_at },
        };
        parts.push(part);
    }
}
