//! One argument of a command, with the way back to the text it was written in.
//!
//! Quotes, escapes and variables make an argument's text differ from what stands in the script. Each piece remembers where
//! it came from, so a finding about the third address of a list points to that address. What a variable would have held is
//! kept as `${NAME}`.

use std::ops::Range;

use crate::scenario::diagnostic::Place;

/// The longest argument that variables may make.
pub(super) const LONGEST: usize = 1 << 16;

/// An argument after expansion.
#[derive(Debug, Clone)]
pub(super) struct Arg {
    pub text: String,
    /// The word in the script.
    pub place: Place,
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, Copy)]
struct Piece {
    /// Where it begins in the argument.
    at: usize,
    start: u32,
    end: u32,
    /// Each byte of it is one of the script.
    verbatim: bool,
}

impl Arg {
    /// An empty one.
    pub fn new(place: Place) -> Arg {
        Arg { text: String::new(), place, pieces: Vec::new() }
    }

    /// Adds a piece that stands at a place of the script.
    pub fn push(&mut self, text: &str, start: u32, end: u32) {
        if text.is_empty() {
            return;
        }
        let verbatim = text.len() == (end - start) as usize;
        self.pieces.push(Piece { at: self.text.len(), start, end, verbatim });
        self.text.push_str(text);
    }

    /// Takes words in capitals for variables: `SUBNET_NAME` is `${SUBNET_NAME}`.
    pub fn fill(&mut self) {
        let capitals = |word: &str| {
            word.len() > 2
                && !matches!(word, "ALL" | "LATEST")
                && word.starts_with(|c: char| c.is_ascii_uppercase())
                && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
        };
        let separators = ['/', ',', ':', '='];
        if self.is_unknown() || !self.text.split(separators).any(capitals) {
            return;
        }
        let mut filled = Arg::new(self.place);
        let mut at = 0;
        for word in self.text.split_inclusive(separators) {
            let bare = word.trim_end_matches(separators);
            let place = self.place_of(at..at + word.len());
            if capitals(bare) {
                filled.push(&format!("${{{bare}}}{}", &word[bare.len()..]), place.start, place.end);
            } else {
                filled.push(word, place.start, place.end);
            }
            at += word.len();
        }
        *self = filled;
    }

    /// Whether a part of it has no value in the script.
    pub fn is_unknown(&self) -> bool {
        self.text.contains("${")
    }

    /// Where a range of its text stands.
    pub fn place_of(&self, range: Range<usize>) -> Place {
        let first = self.piece_at(range.start);
        let last = self.piece_at(range.end.max(range.start + 1) - 1);
        let (Some(first), Some(last)) = (first, last) else { return self.place };
        let start = if first.verbatim { first.start + (range.start - first.at) as u32 } else { first.start };
        let end = if last.verbatim { last.start + (range.end - last.at.min(range.end)) as u32 } else { last.end };
        Place { file: self.place.file, start, end: end.max(start) }
    }

    fn piece_at(&self, at: usize) -> Option<Piece> {
        let after = self.pieces.partition_point(|piece| piece.at <= at);
        self.pieces.get(after.checked_sub(1)?).copied()
    }

    /// A part of it as an argument of its own.
    pub fn part(&self, range: Range<usize>) -> Arg {
        let Some(text) = self.text.get(range.clone()) else { return Arg::new(self.place) };
        let place = self.place_of(range.clone());
        let mut part = Arg::new(place);
        let first = self.pieces.partition_point(|piece| piece.at <= range.start).saturating_sub(1);
        for (index, piece) in self.pieces.iter().enumerate().skip(first) {
            if piece.at >= range.end {
                break;
            }
            let next = self.pieces.get(index + 1).map_or(self.text.len(), |next| next.at);
            let (from, to) = (piece.at.max(range.start), next.min(range.end));
            if from >= to {
                continue;
            }
            let piece_place = self.place_of(from..to);
            part.push(&text[from - range.start..to - range.start], piece_place.start, piece_place.end);
        }
        part
    }

    /// What stands before and after the first such character.
    pub fn split_once(&self, separator: char) -> Option<(Arg, Arg)> {
        let at = self.text.find(separator)?;
        Some((self.part(0..at), self.part(at + separator.len_utf8()..self.text.len())))
    }

    /// The items of a list as gcloud reads it: `a,b`, or with a separator of its own `^:^a:b`
    /// (<https://cloud.google.com/sdk/gcloud/reference/topic/escaping>).
    pub fn items(&self) -> Vec<Arg> {
        let escaped = self.text.strip_prefix('^').and_then(|rest| rest.split_once('^'));
        let (separator, mut at) = match escaped {
            Some((separator, _)) if !separator.is_empty() => (separator.to_owned(), separator.len() + 2),
            _ => (",".to_owned(), 0),
        };
        let mut items = Vec::new();
        for item in self.text[at..].split(&*separator) {
            let trimmed = item.trim();
            if !trimmed.is_empty() {
                let from = at + (item.len() - item.trim_start().len());
                items.push(self.part(from..from + trimmed.len()));
            }
            at += item.len() + separator.len();
        }
        items
    }

    /// The last word of a path: `projects/p/regions/r/subnetworks/apps` is `apps`.
    pub fn name(&self) -> &str {
        self.text.rsplit('/').next().unwrap_or(&self.text)
    }

    /// The word after another in a path: the region of `…/regions/r/…`.
    pub fn in_path(&self, collection: &str) -> Option<&str> {
        let mut words = self.text.split('/');
        words.find(|word| *word == collection)?;
        words.next().filter(|word| !word.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::diagnostic::FileId;

    fn arg(text: &str) -> Arg {
        let place = Place { file: FileId::from_index(0), start: 10, end: 10 + text.len() as u32 };
        let mut arg = Arg::new(place);
        arg.push(text, place.start, place.end);
        arg
    }

    #[test]
    fn items_know_their_places() {
        let items = arg("a,bc, d").items();
        let found: Vec<_> = items.iter().map(|item| (&*item.text, item.place.start, item.place.end)).collect();
        assert_eq!(found, [("a", 10, 11), ("bc", 12, 14), ("d", 16, 17)]);
    }

    #[test]
    fn a_list_may_have_a_separator_of_its_own() {
        let list = arg("^:^a,b:c");
        let items = list.items();
        assert_eq!(items.iter().map(|item| &*item.text).collect::<Vec<_>>(), ["a,b", "c"]);
        assert_eq!(items[1].place.start, 17);
        assert_eq!(arg("^^a").items()[0].text, "^^a");
    }

    #[test]
    fn what_a_variable_gave_stands_where_the_variable_does() {
        let mut arg = arg("x-");
        arg.push("production", 12, 16);
        arg.push("-y", 16, 18);
        assert_eq!(arg.place_of(3..5), Place { start: 12, end: 16, ..arg.place });
        let part = arg.part(1..14);
        assert_eq!((&*part.text, part.place.start, part.place.end), ("-production-y", 11, 18));
        assert_eq!(part.place_of(12..13).start, 17);
    }
}
