//! Functions of strings.

use super::super::value::Value;
use super::{Arguments, MAX_BYTES, Outcome, format};

pub(super) fn call(name: &str, arguments: Arguments<'_>) -> Option<Outcome> {
    let one = |change: fn(&str) -> String| arguments.text(0).map(|text| Value::from(change(&text)));
    let two = |change: fn(&str, &str) -> String| Ok(Value::from(change(&arguments.text(0)?, &arguments.text(1)?)));
    let ask = |question: fn(&str, &str) -> bool| Ok(Value::Bool(question(&arguments.text(0)?, &arguments.text(1)?)));
    Some(match name {
        "chomp" => one(|text| text.trim_end_matches(['\n', '\r']).to_owned()),
        "endswith" => ask(|text, end| text.ends_with(end)),
        "format" => format::format(arguments, arguments.values),
        "formatlist" => format::format_list(arguments),
        "indent" => indent(arguments),
        "join" => join(arguments),
        "lower" => one(str::to_lowercase),
        "replace" => replace(arguments),
        "split" => split(arguments),
        "startswith" => ask(|text, start| text.starts_with(start)),
        "strcontains" => ask(|text, part| text.contains(part)),
        "strrev" => one(|text| text.chars().rev().collect()),
        "substr" => substr(arguments),
        "title" => one(title),
        "trim" => two(|text, cut| text.trim_matches(|c| cut.contains(c)).to_owned()),
        "trimprefix" => two(|text, cut| text.strip_prefix(cut).unwrap_or(text).to_owned()),
        "trimspace" => one(|text| text.trim().to_owned()),
        "trimsuffix" => two(|text, cut| text.strip_suffix(cut).unwrap_or(text).to_owned()),
        "upper" => one(str::to_uppercase),
        _ => return None,
    })
}

fn title(text: &str) -> String {
    let mut start = true;
    let mut letter = |c: char| {
        let upper = std::mem::replace(&mut start, c.is_whitespace());
        if upper { c.to_uppercase().collect::<String>() } else { c.to_string() }
    };
    text.chars().map(&mut letter).collect()
}

fn indent(arguments: Arguments<'_>) -> Outcome {
    let spaces = arguments.whole(0)?;
    let text = arguments.text(1)?;
    let lines = text.matches('\n').count();
    if spaces.saturating_mul(lines).saturating_add(text.len()) > MAX_BYTES {
        return Err(arguments.fail("the text is too long"));
    }
    Ok(Value::from(text.replace('\n', &format!("\n{}", " ".repeat(spaces)))))
}

/// The items of one or several lists with a separator between them.
fn join(arguments: Arguments<'_>) -> Outcome {
    let separator = arguments.text(0)?;
    let mut text = String::new();
    let mut first = true;
    for at in 1..arguments.len() {
        for item in arguments.items(at)? {
            let item = item.text().ok_or_else(|| arguments.fail("only strings can be joined"))?;
            if !std::mem::take(&mut first) {
                text.push_str(&separator);
            }
            text.push_str(&item);
            if text.len() > MAX_BYTES {
                return Err(arguments.fail("the text is too long"));
            }
        }
    }
    Ok(Value::from(text))
}

fn replace(arguments: Arguments<'_>) -> Outcome {
    let (text, from, to) = (arguments.text(0)?, arguments.text(1)?, arguments.text(2)?);
    // `/…/` is a regular expression (<https://developer.hashicorp.com/terraform/language/functions/replace>).
    if from.len() > 1 && from.starts_with('/') && from.ends_with('/') {
        return Err(Value::unknown("replace() with a regular expression is not evaluated"));
    }
    let times = text.matches(&*from).count();
    if times.saturating_mul(to.len()).saturating_add(text.len()) > MAX_BYTES {
        return Err(arguments.fail("the text is too long"));
    }
    Ok(Value::from(text.replace(&*from, &to)))
}

fn split(arguments: Arguments<'_>) -> Outcome {
    let (separator, text) = (arguments.text(0)?, arguments.text(1)?);
    let parts = if separator.is_empty() {
        text.chars().map(|c| Value::from(c.to_string())).collect()
    } else if text.is_empty() {
        Vec::new()
    } else {
        text.split(&*separator).map(Value::from).collect()
    };
    Ok(Value::list(parts))
}

/// Characters from an offset, which counts from the end if it is negative; a length of -1 is the rest.
fn substr(arguments: Arguments<'_>) -> Outcome {
    let text = arguments.text(0)?;
    let (offset, length) = (arguments.number(1)?, arguments.number(2)?);
    let count = text.chars().count() as f64;
    let start = if offset < 0.0 { (count + offset).max(0.0) } else { offset };
    let length = if length < 0.0 { usize::MAX } else { length as usize };
    Ok(Value::from(text.chars().skip(start as usize).take(length).collect::<String>()))
}
