//! Where a part of a scalar's value stands in the text: quotes, escapes and folded lines are seen through.

use std::ops::Range;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::diagnostic::Sources;
    use crate::scenario::tree::parse;

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
            let root = parse(text, Sources::default().add("t.yaml", text), &mut Vec::new())
                .expect("valid")
                .expect("not empty");
            let node = root.get("match").expect("match");
            let value = node.text().expect("text");
            let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert_eq!(words(value), wanted, "{text}");
            let raw = &text[node.place.start as usize..node.place.end as usize];
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
}
