//! Small pieces of English and layout for the text summary.

/// `1234567` as `1,234,567`.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `1 packet`, `1,200 packets`: the plural is the singular with an `s`, or `es` after one.
pub(crate) fn counted(number: u64, singular: &str) -> String {
    let ending = match (number, singular.ends_with('s')) {
        (1, _) => "",
        (_, true) => "es",
        (_, false) => "s",
    };
    format!("{} {singular}{ending}", thousands(number))
}

/// `a`, `a and b`, `a, b and c`.
pub(crate) fn listed(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// Breaks `text` at spaces into lines of at most `width` characters, of which the first line has `taken` already. A word
/// that is longer gets a line of its own.
pub(crate) fn wrapped(text: &str, width: usize, taken: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = taken;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        let line = lines.last_mut().expect("there is always a line");
        if line.is_empty() {
            line.push_str(word);
            used += length;
        } else if used + 1 + length <= width {
            line.push(' ');
            line.push_str(word);
            used += 1 + length;
        } else {
            lines.push(word.to_owned());
            used = length;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped_by_three() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1_000), "1,000");
        assert_eq!(thousands(12_345_678), "12,345,678");
    }

    #[test]
    fn only_one_is_singular() {
        assert_eq!(counted(0, "packet"), "0 packets");
        assert_eq!(counted(1, "packet"), "1 packet");
        assert_eq!(counted(2_000, "address"), "2,000 addresses");
    }

    #[test]
    fn lists_end_with_and() {
        let items = ["a", "b", "c"].map(String::from);
        assert_eq!(listed(&items[..1]), "a");
        assert_eq!(listed(&items[..2]), "a and b");
        assert_eq!(listed(&items), "a, b and c");
    }

    #[test]
    fn lines_break_at_spaces_and_long_words_stay_whole() {
        assert_eq!(wrapped("one two three", 7, 0), ["one two", "three"]);
        assert_eq!(wrapped("one two three", 7, 4), ["one", "two", "three"]);
        assert_eq!(wrapped("a incomprehensible b", 5, 0), ["a", "incomprehensible", "b"]);
        assert_eq!(wrapped("", 10, 0), [""]);
    }
}
