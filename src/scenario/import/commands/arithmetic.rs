//! What a shell computes: `$((…))`, and tests of values.

use super::arg::Arg;

/// Parentheses and signs inside each other.
const DEEPEST: usize = 32;

/// The value of an expression, and what it assigns; `None` if it is not in the scripts.
pub(super) fn evaluate(text: &str, value: impl Fn(&str) -> Option<i64>) -> Option<(i64, Vec<(String, i64)>)> {
    let mut expression = Expression { rest: text.trim(), value, assigned: Vec::new(), depth: 0 };
    let result = expression.assignment()?;
    expression.rest.trim().is_empty().then_some((result, expression.assigned))
}

struct Expression<'a, F> {
    rest: &'a str,
    value: F,
    assigned: Vec<(String, i64)>,
    depth: usize,
}

impl<'a, F: Fn(&str) -> Option<i64>> Expression<'a, F> {
    fn eat(&mut self, token: &str) -> bool {
        let Some(rest) = self.rest.trim_start().strip_prefix(token) else { return false };
        self.rest = rest;
        true
    }

    fn name(&mut self) -> Option<&'a str> {
        let text = self.rest.trim_start();
        let text = text.strip_prefix('$').unwrap_or(text);
        let length = text.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
        let starts = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
        starts.then(|| {
            self.rest = &text[length..];
            &text[..length]
        })
    }

    fn get(&self, name: &str) -> Option<i64> {
        let assigned = self.assigned.iter().rfind(|(known, _)| known == name);
        assigned.map(|(_, value)| *value).or_else(|| (self.value)(name))
    }

    fn put(&mut self, name: &str, value: i64) -> i64 {
        self.assigned.push((name.to_owned(), value));
        value
    }

    /// `NAME = sum`, `NAME += sum`, or a sum.
    fn assignment(&mut self) -> Option<i64> {
        let before = self.rest;
        if let Some(name) = self.name() {
            let comparison = self.rest.trim_start().starts_with("==");
            if !comparison && self.eat("=") {
                let value = self.sum()?;
                return Some(self.put(name, value));
            }
            if self.eat("+=") {
                let value = self.get(name).unwrap_or(0).checked_add(self.sum()?)?;
                return Some(self.put(name, value));
            }
            if self.eat("-=") {
                let value = self.get(name).unwrap_or(0).checked_sub(self.sum()?)?;
                return Some(self.put(name, value));
            }
        }
        self.rest = before;
        self.sum()
    }

    fn sum(&mut self) -> Option<i64> {
        let mut sum = self.product()?;
        loop {
            if self.eat("+") {
                sum = sum.checked_add(self.product()?)?;
            } else if self.eat("-") {
                sum = sum.checked_sub(self.product()?)?;
            } else {
                return Some(sum);
            }
        }
    }

    fn product(&mut self) -> Option<i64> {
        let mut product = self.factor()?;
        loop {
            if self.eat("*") {
                product = product.checked_mul(self.factor()?)?;
            } else if self.eat("/") {
                product = product.checked_div(self.factor()?)?;
            } else if self.eat("%") {
                product = product.checked_rem(self.factor()?)?;
            } else {
                return Some(product);
            }
        }
    }

    fn factor(&mut self) -> Option<i64> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return None;
        }
        let result = self.atom();
        self.depth -= 1;
        result
    }

    fn atom(&mut self) -> Option<i64> {
        for (sign, step) in [("++", 1), ("--", -1)] {
            if self.eat(sign) {
                let name = self.name()?;
                // A counter that nobody has set begins at nothing.
                let value = self.get(name).unwrap_or(0).checked_add(step)?;
                return Some(self.put(name, value));
            }
        }
        if self.eat("-") {
            return self.factor()?.checked_neg();
        }
        if self.eat("(") {
            let value = self.sum()?;
            return self.eat(")").then_some(value);
        }
        if let Some(name) = self.name() {
            for (sign, step) in [("++", 1), ("--", -1)] {
                if self.eat(sign) {
                    let value = self.get(name).unwrap_or(0);
                    self.put(name, value.checked_add(step)?);
                    return Some(value);
                }
            }
            return self.get(name);
        }
        let text = self.rest.trim_start();
        let length = text.bytes().take_while(u8::is_ascii_digit).count();
        // A leading zero makes a number octal.
        if length > 1 && text.starts_with('0') {
            return None;
        }
        let value = text[..length].parse().ok()?;
        self.rest = &text[length..];
        Some(value)
    }
}

/// `[ … ]`, `[[ … ]]` or `test …`; `None` if its outcome is not in the scripts.
pub(super) fn test(args: &[Arg]) -> Option<bool> {
    let (first, rest) = args.split_first()?;
    let (double, mut rest) = (first.text == "[[", rest);
    if first.text != "test" {
        let (last, inside) = rest.split_last()?;
        if last.text != if double { "]]" } else { "]" } {
            return None;
        }
        rest = inside;
    }
    let mut negated = false;
    while rest.len() > 1 && rest[0].text == "!" {
        negated = !negated;
        rest = &rest[1..];
    }
    let known = |arg: &Arg| (!arg.is_unknown()).then(|| arg.text.clone());
    let result = match rest {
        [text] => !known(text)?.is_empty(),
        [operator, text] => match &*operator.text {
            "-n" => !known(text)?.is_empty(),
            "-z" => known(text)?.is_empty(),
            _ => return None,
        },
        [one, operator, other] => {
            let (one, other) = (known(one)?, known(other)?);
            let numbers = || Some((one.parse::<i64>().ok()?, other.parse::<i64>().ok()?));
            let pattern = double && other.contains(['*', '?', '[', '\\']);
            match &*operator.text {
                "=" | "==" if !pattern => one == other,
                "!=" if !pattern => one != other,
                "-eq" => numbers().map(|(one, other)| one == other)?,
                "-ne" => numbers().map(|(one, other)| one != other)?,
                "-lt" => numbers().map(|(one, other)| one < other)?,
                "-le" => numbers().map(|(one, other)| one <= other)?,
                "-gt" => numbers().map(|(one, other)| one > other)?,
                "-ge" => numbers().map(|(one, other)| one >= other)?,
                _ => return None,
            }
        }
        _ => return None,
    };
    Some(result != negated)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_is_that_of_whole_numbers() {
        let value = |name: &str| (name == "n").then_some(3);
        let of = |text: &str| evaluate(text, value).map(|(value, _)| value);
        let cases = [
            ("1+2*3", Some(7)),
            ("(1 + 2) * n", Some(9)),
            ("$n % 2", Some(1)),
            ("-n", Some(-3)),
            ("n / 0", None),
            ("m + 1", None),
            ("010", None),
            ("1 <<", None),
            ("9223372036854775807+1", None),
            ("i++", Some(0)),
            ("++n", Some(4)),
            ("n += 2", Some(5)),
        ];
        for (text, expected) in cases {
            assert_eq!(of(text), expected, "{text}");
        }
        assert_eq!(of(&"(".repeat(100_000)), None);
        assert_eq!(evaluate("i++", value).map(|(_, assigned)| assigned), Some(vec![("i".to_owned(), 1)]));
    }
}
