//! Functions of lists, sets and maps, and conversions of types.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::super::eval::iterate;
use super::super::value::{Value, equal};
use super::{Arguments, Outcome};

/// The most values that `range` gives: Terraform's own limit
/// (<https://developer.hashicorp.com/terraform/language/functions/range>).
const MAX_RANGE: usize = 1024;
/// The most combinations of `setproduct`, and the most items of `flatten`.
const MAX_ITEMS: usize = 1_000_000;

pub(super) fn call(name: &str, arguments: Arguments<'_>) -> Option<Outcome> {
    Some(match name {
        "alltrue" | "anytrue" => truths(arguments, name == "anytrue"),
        "chunklist" => chunks(arguments),
        "coalesce" => first(arguments, |value| !matches!(value.text().as_deref(), Some(""))),
        "coalescelist" => first(arguments, |value| value.items().is_none_or(|items| !items.is_empty())),
        "compact" => compact(arguments),
        "concat" => concat(arguments),
        "contains" => contains(arguments),
        "distinct" => distinct(arguments),
        "element" => element(arguments),
        "flatten" => flatten(arguments),
        "index" => index(arguments),
        "keys" => keys(arguments),
        "length" => length(arguments),
        "lookup" => lookup(arguments),
        "merge" => merge(arguments),
        "nonsensitive" | "sensitive" => arguments.value(0).cloned(),
        "one" => one(arguments),
        "range" => range(arguments),
        "reverse" => arguments.items(0).map(|items| Value::list(items.iter().rev().cloned().collect())),
        "setintersection" | "setsubtract" | "setunion" => sets(arguments),
        "setproduct" => product(arguments),
        "slice" => slice(arguments),
        "sort" => sort(arguments),
        "sum" => sum(arguments),
        "tobool" | "tonumber" | "tostring" => simple(arguments),
        "tolist" => arguments.items(0).map(|items| Value::list(items.to_vec())),
        "tomap" => arguments.map(0).and_then(|_| arguments.value(0).cloned()),
        "toset" => arguments.items(0).map(|items| Value::set(items.to_vec())),
        "transpose" => transpose(arguments),
        "values" => values(arguments),
        "zipmap" => zipmap(arguments),
        _ => return None,
    })
}

fn truths(arguments: Arguments<'_>, any: bool) -> Outcome {
    let items = arguments.items(0)?;
    if items.iter().any(|item| item.truth() == Some(any)) {
        return Ok(Value::Bool(any));
    }
    match items.iter().find_map(Value::why) {
        Some(why) => Err(Value::Unknown(why)),
        None => Ok(Value::Bool(!any)),
    }
}

fn chunks(arguments: Arguments<'_>) -> Outcome {
    let items = arguments.items(0)?;
    let size = arguments.whole(1)?.max(1);
    Ok(Value::list(items.chunks(size).map(|chunk| Value::list(chunk.to_vec())).collect()))
}

fn first(arguments: Arguments<'_>, wanted: impl Fn(&Value) -> bool) -> Outcome {
    let wanted = |value: &&Value| !matches!(value, Value::Null) && wanted(value);
    arguments.values.iter().find(wanted).cloned().ok_or_else(|| arguments.fail("no argument has a value"))
}

fn compact(arguments: Arguments<'_>) -> Outcome {
    let empty = |value: &&Value| !matches!(value, Value::Null) && value.text().as_deref() != Some("");
    Ok(Value::list(arguments.items(0)?.iter().filter(empty).cloned().collect()))
}

fn concat(arguments: Arguments<'_>) -> Outcome {
    let mut all = Vec::new();
    for at in 0..arguments.len() {
        all.extend_from_slice(arguments.items(at)?);
    }
    Ok(Value::list(all))
}

fn contains(arguments: Arguments<'_>) -> Outcome {
    let items = arguments.items(0)?;
    let wanted = arguments.value(1)?;
    if let Some(why) = wanted.why() {
        return Err(Value::Unknown(why));
    }
    if items.iter().any(|item| item.why().is_none() && equal(item, wanted)) {
        return Ok(Value::Bool(true));
    }
    match items.iter().find_map(Value::why) {
        Some(why) => Err(Value::Unknown(why)),
        None => Ok(Value::Bool(false)),
    }
}

/// Each value once, where it is first.
fn distinct(arguments: Arguments<'_>) -> Outcome {
    let items = arguments.items(0)?;
    let mut order: Vec<usize> = (0..items.len()).collect();
    order.sort_by(|one, other| super::super::value::order(&items[*one], &items[*other]).then(one.cmp(other)));
    order.dedup_by(|later, earlier| equal(&items[*later], &items[*earlier]));
    order.sort_unstable();
    Ok(Value::list(order.into_iter().map(|at| items[at].clone()).collect()))
}

fn element(arguments: Arguments<'_>) -> Outcome {
    let items = arguments.items(0)?;
    let index = arguments.number(1)?;
    if items.is_empty() {
        return Err(arguments.fail("the list is empty"));
    }
    let index = (index as i64).rem_euclid(items.len() as i64) as usize;
    Ok(items[index].clone())
}

/// Lists in lists, all the way down.
fn flatten(arguments: Arguments<'_>) -> Outcome {
    fn add(items: &[Value], into: &mut Vec<Value>) -> Result<(), Value> {
        for item in items {
            match item {
                Value::Unknown(_) => return Err(item.clone()),
                Value::List(list) | Value::Set(list) => add(&list.items, into)?,
                other if into.len() < MAX_ITEMS => into.push(other.clone()),
                _ => return Err(Value::error("flatten(): the list is too large")),
            }
        }
        Ok(())
    }
    // What is not known may be a list: then nobody knows how many items there are.
    let mut all = Vec::new();
    add(arguments.items(0)?, &mut all)?;
    Ok(Value::list(all))
}

fn index(arguments: Arguments<'_>) -> Outcome {
    let wanted = arguments.value(1)?;
    let found = arguments.items(0)?.iter().position(|item| equal(item, wanted));
    found.map(|at| Value::Number(at as f64)).ok_or_else(|| arguments.fail("the value is not in the list"))
}

fn keys(arguments: Arguments<'_>) -> Outcome {
    let pairs = match arguments.value(0)? {
        Value::Resource(_) | Value::Module(_) => iterate(arguments.value(0)?)?,
        _ => return Ok(Value::list(arguments.map(0)?.entries.keys().map(|key| Value::Text(key.clone())).collect())),
    };
    Ok(Value::list(pairs.into_iter().map(|(key, _)| key).collect()))
}

fn values(arguments: Arguments<'_>) -> Outcome {
    let pairs = match arguments.value(0)? {
        Value::Resource(_) | Value::Module(_) => iterate(arguments.value(0)?)?,
        _ => return Ok(Value::list(arguments.map(0)?.entries.values().cloned().collect())),
    };
    Ok(Value::list(pairs.into_iter().map(|(_, value)| value).collect()))
}

fn length(arguments: Arguments<'_>) -> Outcome {
    let length = match arguments.value(0)? {
        Value::List(list) | Value::Set(list) => list.items.len(),
        Value::Map(map) => map.entries.len(),
        Value::Text(text) => text.chars().count(),
        Value::Resource(handle) | Value::Module(handle) if handle.assumed => {
            return Err(Value::unknown("`count` or `for_each` is not known"));
        }
        _ => return Err(arguments.wrong(0, "a collection")),
    };
    Ok(Value::Number(length as f64))
}

fn lookup(arguments: Arguments<'_>) -> Outcome {
    let map = arguments.map(0)?;
    let key = arguments.text(1)?;
    match (map.entries.get(&key), arguments.values.get(2)) {
        (Some(value), _) | (None, Some(value)) => Ok(value.clone()),
        (None, None) => Err(arguments.fail("the map has no entry with this key")),
    }
}

fn merge(arguments: Arguments<'_>) -> Outcome {
    let mut all = BTreeMap::new();
    for (at, value) in arguments.values.iter().enumerate() {
        if !matches!(value, Value::Null) {
            all.extend(arguments.map(at)?.entries.iter().map(|(key, value)| (key.clone(), value.clone())));
        }
    }
    Ok(Value::map(all))
}

fn one(arguments: Arguments<'_>) -> Outcome {
    match arguments.items(0)? {
        [] => Ok(Value::Null),
        [only] => Ok(only.clone()),
        _ => Err(arguments.fail("the list has more than one item")),
    }
}

fn range(arguments: Arguments<'_>) -> Outcome {
    let (start, limit, step) = match arguments.len() {
        0 | 1 => (0.0, arguments.number(0)?, None),
        2 => (arguments.number(0)?, arguments.number(1)?, None),
        _ => (arguments.number(0)?, arguments.number(1)?, Some(arguments.number(2)?)),
    };
    let step = step.unwrap_or(if limit < start { -1.0 } else { 1.0 });
    if step == 0.0 || (limit < start) != (step < 0.0) && limit != start {
        return Err(arguments.fail("the step leads away from the limit"));
    }
    let mut items = Vec::new();
    let mut next = start;
    while if step < 0.0 { next > limit } else { next < limit } {
        if items.len() == MAX_RANGE {
            return Err(arguments.fail("there are more than 1024 values, and Terraform refuses that"));
        }
        items.push(Value::Number(next));
        next += step;
    }
    Ok(Value::list(items))
}

fn sets(arguments: Arguments<'_>) -> Outcome {
    let mut all: Vec<Value> = arguments.items(0)?.to_vec();
    for at in 1..arguments.len() {
        let items = arguments.items(at)?;
        if arguments.name == "setunion" {
            all.extend_from_slice(items);
            continue;
        }
        let keep = arguments.name == "setintersection";
        let mut sorted: Vec<&Value> = items.iter().collect();
        sorted.sort_by(|one, other| super::super::value::order(one, other));
        let has = |value: &Value| sorted.binary_search_by(|item| super::super::value::order(item, value)).is_ok();
        all.retain(|item| has(item) == keep);
    }
    Ok(Value::set(all))
}

/// All combinations, the last list the fastest.
fn product(arguments: Arguments<'_>) -> Outcome {
    let mut all: Vec<Vec<Value>> = vec![Vec::new()];
    let mut sets = true;
    for at in 0..arguments.len() {
        let items = arguments.items(at)?;
        sets &= matches!(arguments.value(at)?, Value::Set(_));
        if all.len().saturating_mul(items.len()).saturating_mul(at + 1) > MAX_ITEMS {
            return Err(arguments.fail("there are too many combinations"));
        }
        let mut next = Vec::with_capacity(all.len() * items.len());
        for head in &all {
            for item in items {
                let mut row = head.clone();
                row.push(item.clone());
                next.push(row);
            }
        }
        all = next;
    }
    let rows = all.into_iter().map(Value::list).collect();
    Ok(if sets && arguments.len() > 0 { Value::set(rows) } else { Value::list(rows) })
}

fn slice(arguments: Arguments<'_>) -> Outcome {
    let items = arguments.items(0)?;
    let (start, end) = (arguments.whole(1)?, arguments.whole(2)?);
    let part = items.get(start..end).ok_or_else(|| arguments.fail("the list is shorter than that"))?;
    Ok(Value::list(part.to_vec()))
}

fn sort(arguments: Arguments<'_>) -> Outcome {
    let texts: Option<Vec<Rc<str>>> = arguments.items(0)?.iter().map(Value::text).collect();
    let mut texts = texts.ok_or_else(|| arguments.fail("only strings can be sorted"))?;
    texts.sort();
    Ok(Value::list(texts.into_iter().map(Value::Text).collect()))
}

fn sum(arguments: Arguments<'_>) -> Outcome {
    let numbers: Option<Vec<f64>> = arguments.items(0)?.iter().map(Value::number).collect();
    let numbers = numbers.filter(|numbers| !numbers.is_empty());
    let numbers = numbers.ok_or_else(|| arguments.fail("only numbers can be added"))?;
    Ok(Value::Number(numbers.iter().sum()))
}

fn simple(arguments: Arguments<'_>) -> Outcome {
    let value = arguments.value(0)?;
    let converted = match (arguments.name, value) {
        (_, Value::Null) => Some(Value::Null),
        ("tostring", _) => value.text().map(Value::Text),
        ("tonumber", _) => value.number().map(Value::Number),
        _ => value.truth().map(Value::Bool),
    };
    converted.ok_or_else(|| arguments.wrong(0, "convertible"))
}

fn transpose(arguments: Arguments<'_>) -> Outcome {
    let mut turned: BTreeMap<Rc<str>, Vec<Value>> = BTreeMap::new();
    for (key, values) in &arguments.map(0)?.entries {
        for value in values.items().ok_or_else(|| arguments.wrong(0, "a map of lists"))? {
            let text = value.text().ok_or_else(|| arguments.wrong(0, "a map of lists of strings"))?;
            turned.entry(text).or_default().push(Value::Text(key.clone()));
        }
    }
    Ok(Value::map(turned.into_iter().map(|(key, values)| (key, Value::list(values))).collect()))
}

fn zipmap(arguments: Arguments<'_>) -> Outcome {
    let (keys, values) = (arguments.items(0)?, arguments.items(1)?);
    if keys.len() != values.len() {
        return Err(arguments.fail("the lists differ in length"));
    }
    let mut map = BTreeMap::new();
    for (key, value) in keys.iter().zip(values) {
        let name = key.text().ok_or_else(|| super::unknown_or(key, "a key", "a string"))?;
        map.insert(name, value.clone());
    }
    Ok(Value::map(map))
}
