//! `format` and `formatlist`. <https://developer.hashicorp.com/terraform/language/functions/format>

use super::super::value::{Value, number_text};
use super::json::to_json;
use super::{Arguments, MAX_BYTES, Outcome};

/// A text with verbs, filled with values.
pub(super) fn format(arguments: Arguments<'_>, values: &[Value]) -> Outcome {
    let Some((pattern, values)) = values.split_first() else { return Err(arguments.fail("an argument is missing")) };
    let pattern = pattern.text().ok_or_else(|| arguments.fail("the pattern is not a string"))?;
    let mut out = String::new();
    let mut rest = &*pattern;
    let mut next = 0;
    while let Some((literal, verb)) = rest.split_once('%') {
        out.push_str(literal);
        if let Some(after) = verb.strip_prefix('%') {
            out.push('%');
            rest = after;
            continue;
        }
        let end = verb.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(|| arguments.fail("a verb has no letter"))?;
        let (flags, letter) = (&verb[..end], &verb[end..=end]);
        rest = &verb[end + 1..];
        // `%[2]s` names the argument.
        let flags = match flags.split_once('[').and_then(|(before, after)| Some((before, after.split_once(']')?))) {
            Some((before, (index, after))) => {
                let index: usize = index.parse().map_err(|_| arguments.fail("a verb's index is not a number"))?;
                next = index.checked_sub(1).ok_or_else(|| arguments.fail("a verb's index is zero"))?;
                format!("{before}{after}")
            }
            None => flags.to_owned(),
        };
        let value = values.get(next).ok_or_else(|| arguments.fail("there are more verbs than values"))?;
        next += 1;
        let text = verb_text(letter, &flags, value).ok_or_else(|| arguments.fail("a verb does not suit its value"))?;
        out.push_str(&text);
        if out.len() > MAX_BYTES {
            return Err(arguments.fail("the text is too long"));
        }
    }
    out.push_str(rest);
    Ok(Value::from(out))
}

fn verb_text(letter: &str, flags: &str, value: &Value) -> Option<String> {
    let digits = |text: &str| if text.is_empty() { Some(None) } else { text.parse::<usize>().ok().map(Some) };
    let (width, precision) = flags.split_once('.').map_or((flags, None), |(width, precision)| (width, Some(precision)));
    let signs = width.len() - width.trim_start_matches(['-', '+', ' ', '#', '0']).len();
    let (signs, width) = width.split_at(signs);
    let width = digits(width)?.unwrap_or(0);
    let precision = precision.map(digits).unwrap_or(Some(None))?;
    if width > 1_000 || precision.is_some_and(|precision| precision > 100) {
        return None;
    }
    let whole =
        || value.number().filter(|number| number.fract() == 0.0 && number.abs() < 9e15).map(|number| number as i64);
    let text = match letter {
        "s" => value.text()?.to_string(),
        "v" => match value {
            Value::Null => "null".into(),
            _ => value.text().map(|text| text.to_string()).or_else(|| to_json(value))?,
        },
        "q" => serde_json::Value::from(&*value.text()?).to_string(),
        "d" => whole()?.to_string(),
        "x" => format!("{:x}", whole()?),
        "X" => format!("{:X}", whole()?),
        "o" => format!("{:o}", whole()?),
        "b" => format!("{:b}", whole()?),
        "t" => value.truth()?.to_string(),
        "f" => format!("{:.*}", precision.unwrap_or(6), value.number()?),
        "g" => number_text(value.number()?),
        _ => return None,
    };
    let text = match (letter, precision) {
        ("s", Some(precision)) => text.chars().take(precision).collect(),
        _ => text,
    };
    let text =
        if signs.contains('+') && !text.starts_with('-') && "df".contains(letter) { format!("+{text}") } else { text };
    Some(if signs.contains('-') {
        format!("{text:<width$}")
    } else if signs.contains('0') && letter != "s" {
        let (sign, digits) = text.split_at(usize::from(text.starts_with(['-', '+'])));
        format!("{sign}{digits:0>fill$}", fill = width.saturating_sub(sign.len()))
    } else {
        format!("{text:>width$}")
    })
}

/// `format` for each item of the lists among the values.
pub(super) fn format_list(arguments: Arguments<'_>) -> Outcome {
    let mut lengths = arguments.values.iter().filter_map(Value::items).map(<[Value]>::len);
    let Some(length) = lengths.next() else {
        return format(arguments, arguments.values).map(|text| Value::list(vec![text]));
    };
    if lengths.any(|other| other != length) {
        return Err(arguments.fail("the lists differ in length"));
    }
    let mut texts = Vec::with_capacity(length);
    let mut bytes = 0;
    for at in 0..length {
        let row: Vec<Value> =
            arguments.values.iter().map(|value| value.items().map_or(value, |items| &items[at]).clone()).collect();
        let text = format(arguments, &row)?;
        bytes += text.text().map_or(0, |text| text.len());
        if bytes > 16 * MAX_BYTES {
            return Err(arguments.fail("the texts are too long"));
        }
        texts.push(text);
    }
    Ok(Value::list(texts))
}
