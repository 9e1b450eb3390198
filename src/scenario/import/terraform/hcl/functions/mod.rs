//! Terraform's functions, as far as they compute from their arguments alone.
//! <https://developer.hashicorp.com/terraform/language/functions>
//!
//! Those that read files, the clock or chance are not evaluated. Most functions need all of their arguments; some that move
//! values about leave the unknown ones unknown.

use super::eval::unknown_or;
use super::value::Value;

mod collections;
mod format;
mod json;
mod network;
mod text;

/// A value, or the value that says why there is none.
type Outcome = Result<Value, Value>;

/// The longest text that a function makes, in bytes.
const MAX_BYTES: usize = 1 << 20;

/// Functions that do not look at the values in collections.
const MOVE: [&str; 25] = [
    "alltrue",
    "anytrue",
    "chunklist",
    "coalesce",
    "coalescelist",
    "concat",
    "contains",
    "element",
    "flatten",
    "keys",
    "length",
    "lookup",
    "merge",
    "nonsensitive",
    "one",
    "reverse",
    "sensitive",
    "setproduct",
    "slice",
    "tolist",
    "tomap",
    "toset",
    "transpose",
    "values",
    "zipmap",
];

/// Calls a function.
pub(super) fn call(name: &str, arguments: &[Value]) -> Value {
    if !MOVE.contains(&name)
        && let Some(why) = arguments.iter().find_map(Value::why)
        && is_known(name)
    {
        return Value::Unknown(why);
    }
    let arguments = Arguments { name, values: arguments };
    let outcome = collections::call(name, arguments)
        .or_else(|| text::call(name, arguments))
        .or_else(|| network::call(name, arguments))
        .or_else(|| json::call(name, arguments))
        .or_else(|| number(name, arguments));
    match outcome {
        Some(Ok(value) | Err(value)) => value,
        None => Value::unknown(format!("the function {name}() is not evaluated")),
    }
}

/// Whether a function is evaluated at all: if not, that is why its value is not known.
fn is_known(name: &str) -> bool {
    let none = Arguments { name, values: &[] };
    let known = [collections::call, text::call, network::call, json::call, number];
    known.iter().any(|call| call(name, none).is_some())
}

/// The arguments of a call.
#[derive(Clone, Copy)]
struct Arguments<'a> {
    name: &'a str,
    values: &'a [Value],
}

impl<'a> Arguments<'a> {
    fn fail(self, what: &str) -> Value {
        Value::error(format!("{}(): {what}", self.name))
    }

    fn len(self) -> usize {
        self.values.len()
    }

    fn value(self, at: usize) -> Result<&'a Value, Value> {
        self.values.get(at).ok_or_else(|| self.fail("an argument is missing"))
    }

    fn wrong(self, at: usize, expected: &str) -> Value {
        match self.values.get(at) {
            Some(value) => unknown_or(value, &format!("an argument of {}()", self.name), expected),
            None => self.fail("an argument is missing"),
        }
    }

    fn text(self, at: usize) -> Result<std::rc::Rc<str>, Value> {
        self.value(at)?.text().ok_or_else(|| self.wrong(at, "a string"))
    }

    fn number(self, at: usize) -> Result<f64, Value> {
        self.value(at)?.number().ok_or_else(|| self.wrong(at, "a number"))
    }

    /// A whole number that is not negative.
    fn whole(self, at: usize) -> Result<usize, Value> {
        let number = self.number(at)?;
        let whole = number >= 0.0 && number.fract() == 0.0 && number <= f64::from(u32::MAX);
        if whole { Ok(number as usize) } else { Err(self.fail("a number is negative, too large or not whole")) }
    }

    /// The items of a list or a set.
    fn items(self, at: usize) -> Result<&'a [Value], Value> {
        self.value(at)?.items().ok_or_else(|| self.wrong(at, "a list"))
    }

    fn map(self, at: usize) -> Result<&'a super::value::Map, Value> {
        match self.value(at)? {
            Value::Map(map) => Ok(map),
            _ => Err(self.wrong(at, "a map")),
        }
    }
}

/// Functions of numbers.
fn number(name: &str, arguments: Arguments<'_>) -> Option<Outcome> {
    let one = |compute: fn(f64) -> f64| {
        let number = compute(arguments.number(0)?);
        if number.is_finite() { Ok(Value::Number(number)) } else { Err(arguments.fail("the result is not a number")) }
    };
    let fold = |pick: fn(f64, f64) -> f64| {
        let mut best: Option<f64> = None;
        for value in arguments.values {
            let number = value.number().ok_or_else(|| unknown_or(value, "an argument", "a number"))?;
            best = Some(best.map_or(number, |best| pick(best, number)));
        }
        best.map(Value::Number).ok_or_else(|| arguments.fail("an argument is missing"))
    };
    Some(match name {
        "abs" => one(f64::abs),
        "ceil" => one(f64::ceil),
        "floor" => one(f64::floor),
        "signum" => one(|number| if number == 0.0 { 0.0 } else { number.signum() }),
        "max" => fold(f64::max),
        "min" => fold(f64::min),
        "pow" => arguments.number(0).and_then(|base| {
            let number = base.powf(arguments.number(1)?);
            if number.is_finite() {
                Ok(Value::Number(number))
            } else {
                Err(arguments.fail("the result is not a number"))
            }
        }),
        "parseint" => arguments.text(0).and_then(|text| {
            let base = arguments.whole(1)?;
            let base = u32::try_from(base).ok().filter(|base| (2..=36).contains(base));
            let base = base.ok_or_else(|| arguments.fail("the base is not supported"))?;
            let number = i64::from_str_radix(&text, base).map_err(|_| arguments.fail("the text is no number"))?;
            Ok(Value::Number(number as f64))
        }),
        _ => return None,
    })
}
