//! What a NAT rule matches: the small part of CEL that Cloud NAT takes.
//!
//! A match is one or more conditions joined by `||`; a condition is `destination.ip == '198.51.100.7'` (either way round)
//! or `inIpRange(destination.ip, '198.51.100.0/28')`, and both with `source.ip`. Nothing else of CEL is accepted, nor does
//! one rule look at sources and destinations
//! (<https://cloud.google.com/nat/docs/nat-rules-overview#rule-expression-language>, 2026-04). Errors know their place in
//! the expression; this file knows neither the scenario nor its text.

use std::net::IpAddr;
use std::ops::Range;
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net};

use crate::scenario::decode::nearest;
use crate::scenario::tree::shorten;

/// Which address of a packet a rule looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attribute {
    /// `destination.ip`
    Destination,
    /// `source.ip`
    Source,
}

impl Attribute {
    /// Its name in an expression.
    pub(super) fn name(self) -> &'static str {
        match self {
            Attribute::Destination => "destination.ip",
            Attribute::Source => "source.ip",
        }
    }
}

/// A parsed expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Match {
    /// What all of its conditions look at.
    pub attribute: Attribute,
    /// What they look for, in the order of the expression; never empty.
    pub ranges: Vec<MatchedRange>,
}

/// An address or a range of an expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct MatchedRange {
    /// Without host bits.
    pub net: Ipv4Net,
    /// As written, when bits beyond the prefix are set.
    pub with_host_bits: Option<String>,
    /// Its bytes in the expression, quotes included.
    pub part: Range<usize>,
}

/// What is wrong with an expression, where in it, and the cure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MatchError {
    /// Stable name.
    pub code: &'static str,
    /// What was found, what was expected.
    pub message: String,
    /// The bytes that are wrong.
    pub part: Range<usize>,
    /// Bytes that explain it, and how.
    pub related: Option<(Range<usize>, &'static str)>,
    /// The cure.
    pub help: String,
}

const CODE: &str = "nat-rule-match";
const EXAMPLE: &str =
    "write a condition such as `destination.ip == '198.51.100.7'` or `inIpRange(destination.ip, '198.51.100.0/28')`";
const ONLY: &str = "a NAT rule knows `==`, `inIpRange` and `||` only";

impl MatchError {
    fn new(part: Range<usize>, message: impl Into<String>, help: impl Into<String>) -> MatchError {
        MatchError { code: CODE, message: message.into(), part, related: None, help: help.into() }
    }
}

/// Parses an expression of a Public NAT rule.
pub(super) fn parse(text: &str) -> Result<Match, MatchError> {
    let mut parser = Parser { tokens: tokens(text)?, next: 0, attribute: None, ranges: Vec::new() };
    parser.expression()?;
    let Some((attribute, _)) = parser.attribute else { unreachable!("an expression has a condition") };
    Ok(Match { attribute, ranges: parser.ranges })
}

/// Where a name stands in an expression, which may be no Public NAT rule's: the first of it.
pub(super) fn find_name(text: &str, name: &str) -> Option<Range<usize>> {
    let tokens = tokens(text).ok()?;
    let found = tokens.into_iter().find(|token| matches!(&token.kind, Kind::Name(found) if found == name))?;
    Some(found.part)
}

#[derive(Debug, Clone, PartialEq)]
struct Token {
    kind: Kind,
    part: Range<usize>,
}

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    /// `destination.ip`, without the white space that may be around its dots.
    Name(String),
    /// A text without its quotes.
    Text(String),
    Or,
    Equal,
    Open,
    Close,
    Comma,
    /// Anything else, as written.
    Other(String),
    End,
}

impl Kind {
    /// What it is, for messages.
    fn describe(&self) -> String {
        match self {
            Kind::Name(text) | Kind::Other(text) => format!("`{}`", shorten(text)),
            Kind::Text(text) => format!("`'{}'`", shorten(text)),
            Kind::Or => "`||`".into(),
            Kind::Equal => "`==`".into(),
            Kind::Open => "`(`".into(),
            Kind::Close => "`)`".into(),
            Kind::Comma => "`,`".into(),
            Kind::End => "the end".into(),
        }
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, MatchError> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        let start = at;
        let kind = match first {
            _ if first.is_whitespace() => {
                at += first.len_utf8();
                continue;
            }
            '\'' | '"' => {
                let Some(length) = rest[1..].find(first) else {
                    let message = format!("a text begins with {first} and does not end");
                    return Err(MatchError::new(start..text.len(), message, format!("add {first} behind the address")));
                };
                at += length + 2;
                Kind::Text(rest[1..=length].to_owned())
            }
            _ if is_word(first) => {
                let (name, length) = name(rest);
                at += length;
                // An address without quotes, for one, is not a name.
                if first.is_ascii_digit() { Kind::Other(name) } else { Kind::Name(name) }
            }
            _ => {
                let known =
                    ["||", "==", "&&", "!=", "<=", ">="].into_iter().find(|operator| rest.starts_with(operator));
                at += known.map_or(first.len_utf8(), str::len);
                match (known, first) {
                    (Some("||"), _) => Kind::Or,
                    (Some("=="), _) => Kind::Equal,
                    (None, '(') => Kind::Open,
                    (None, ')') => Kind::Close,
                    (None, ',') => Kind::Comma,
                    _ => Kind::Other(text[start..at].to_owned()),
                }
            }
        };
        tokens.push(Token { kind, part: start..at });
    }
    tokens.push(Token { kind: Kind::End, part: text.len()..text.len() });
    Ok(tokens)
}

/// What names, numbers and addresses without quotes consist of, but for dots.
fn is_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '_' | ':' | '/')
}

/// Words joined by dots, without the white space around them, and how many bytes they take.
fn name(text: &str) -> (String, usize) {
    let mut name = String::new();
    let mut end = 0;
    loop {
        let word = text[end..].trim_start();
        let start = text.len() - word.len();
        let length = word.find(|character| !is_word(character)).unwrap_or(word.len());
        name.push_str(&word[..length]);
        end = start + length;
        let dot = text[end..].trim_start();
        let follows = dot.strip_prefix('.').map(str::trim_start).is_some_and(|word| word.starts_with(is_word));
        if !follows {
            return (name, end);
        }
        name.push('.');
        end = text.len() - dot.len() + 1;
    }
}

struct Parser {
    tokens: Vec<Token>,
    next: usize,
    /// What the conditions so far look at, and where the first of them says so.
    attribute: Option<(Attribute, Range<usize>)>,
    ranges: Vec<MatchedRange>,
}

impl Parser {
    fn peek(&self) -> &Token {
        &self.tokens[self.next]
    }

    /// The next token; the end comes again and again.
    fn take(&mut self) -> Token {
        let token = self.tokens[self.next].clone();
        self.next = (self.next + 1).min(self.tokens.len() - 1);
        token
    }

    /// With `||` alone, parentheses group nothing: it is enough that each is closed.
    fn expression(&mut self) -> Result<(), MatchError> {
        let mut open = Vec::new();
        loop {
            while self.peek().kind == Kind::Open {
                open.push(self.take().part);
            }
            self.condition()?;
            while self.peek().kind == Kind::Close {
                let close = self.take();
                if open.pop().is_none() {
                    return Err(MatchError::new(close.part, "found `)`, and none is open", "remove it"));
                }
            }
            let token = self.take();
            match token.kind {
                Kind::Or => {}
                Kind::End => break,
                _ => return Err(not_or(&token)),
            }
        }
        match open.pop() {
            Some(part) => Err(MatchError::new(part, "this `(` is not closed", "add `)`")),
            None => Ok(()),
        }
    }

    fn condition(&mut self) -> Result<(), MatchError> {
        let token = self.take();
        match &token.kind {
            Kind::Name(name) if name == "inIpRange" => self.in_ip_range(),
            Kind::Name(name) if self.peek().kind == Kind::Open => {
                let message = format!("found the function `{}`, expected `inIpRange`", shorten(name));
                Err(MatchError::new(token.part, message, ONLY))
            }
            Kind::Name(_) => {
                self.attribute(&token)?;
                self.equals()?;
                let address = self.take();
                self.address(&address)
            }
            Kind::Text(_) => {
                self.equals()?;
                let attribute = self.take();
                self.attribute(&attribute)?;
                self.address(&token)
            }
            Kind::End if self.tokens.len() == 1 => {
                Err(MatchError::new(token.part, "the match is empty, expected a condition", EXAMPLE))
            }
            kind => {
                let message = format!("found {}, expected a condition", kind.describe());
                let help = if matches!(kind, Kind::Other(text) if text == "!") { not_help() } else { EXAMPLE.into() };
                Err(MatchError::new(token.part, message, help))
            }
        }
    }

    fn in_ip_range(&mut self) -> Result<(), MatchError> {
        self.expect(Kind::Open)?;
        let attribute = self.take();
        self.attribute(&attribute)?;
        self.expect(Kind::Comma)?;
        let range = self.take();
        self.range(&range)?;
        self.expect(Kind::Close)
    }

    fn expect(&mut self, wanted: Kind) -> Result<(), MatchError> {
        let token = self.take();
        if token.kind == wanted {
            return Ok(());
        }
        let message = format!("found {}, expected {}", token.kind.describe(), wanted.describe());
        Err(MatchError::new(token.part, message, "write it as `inIpRange(destination.ip, '198.51.100.0/28')`"))
    }

    fn equals(&mut self) -> Result<(), MatchError> {
        let token = self.take();
        let message = format!("found {}, expected `==`", token.kind.describe());
        let help = match &token.kind {
            Kind::Equal => return Ok(()),
            Kind::Other(text) if text == "=" => "write `==`".into(),
            Kind::Other(text) if text == "!=" => not_help(),
            _ => ONLY.into(),
        };
        Err(MatchError::new(token.part, message, help))
    }

    fn attribute(&mut self, token: &Token) -> Result<(), MatchError> {
        let attribute = match &token.kind {
            Kind::Name(name) if name == "destination.ip" => Attribute::Destination,
            Kind::Name(name) if name == "source.ip" => Attribute::Source,
            Kind::Name(name) if name.starts_with("nexthop.") => {
                let message = format!("found `{}`, which only rules of a Private NAT look at", shorten(name));
                let help = "a Public NAT rule looks at `destination.ip` or `source.ip`";
                return Err(MatchError::new(token.part.clone(), message, help));
            }
            kind => {
                let message = format!("found {}, expected `destination.ip` or `source.ip`", kind.describe());
                let near = match kind {
                    Kind::Name(name) if !name.ends_with("port") => nearest(name, ["destination.ip", "source.ip"]),
                    _ => None,
                };
                let help = match near {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "a NAT rule looks at addresses only, not at ports or protocols".into(),
                };
                return Err(MatchError::new(token.part.clone(), message, help));
            }
        };
        match &self.attribute {
            Some((first, place)) if *first != attribute => Err(MatchError {
                code: "nat-rule-mixed-match",
                message: format!("found {} in a rule that looks at {}", attribute.name(), first.name()),
                part: token.part.clone(),
                related: Some((place.clone(), "it looks here")),
                help: "make two rules of it: one looks at sources or at destinations".into(),
            }),
            Some(_) => Ok(()),
            None => {
                self.attribute = Some((attribute, token.part.clone()));
                Ok(())
            }
        }
    }

    /// The address that `==` compares with.
    fn address(&mut self, token: &Token) -> Result<(), MatchError> {
        let text = quoted(token, "an IPv4 address")?;
        let wrong = |found: &str, help: String| {
            let message = format!("found {found}`{}`, expected an IPv4 address", shorten(text));
            MatchError::new(token.part.clone(), message, help)
        };
        match IpAddr::from_str(text) {
            Ok(IpAddr::V4(address)) => {
                self.ranges.push(MatchedRange {
                    net: Ipv4Net::from(address),
                    with_host_bits: None,
                    part: token.part.clone(),
                });
                Ok(())
            }
            Ok(IpAddr::V6(_)) => Err(wrong("the IPv6 address ", ipv6_help())),
            Err(_) if IpNet::from_str(text).is_ok() => {
                let attribute = self.attribute.as_ref().map_or(Attribute::Destination, |(attribute, _)| *attribute);
                Err(wrong("the range ", format!("a range is matched by `inIpRange({}, '{text}')`", attribute.name())))
            }
            Err(_) => Err(wrong("", "write it as `198.51.100.7`: four numbers from 0 to 255".into())),
        }
    }

    /// The range of `inIpRange`. Host bits are no error: gcloud's own help gives `203.0.113.16/25` as an example, which can
    /// only mean 203.0.113.0/25 (<https://cloud.google.com/sdk/gcloud/reference/compute/routers/nats/rules/create>, 2025-05).
    fn range(&mut self, token: &Token) -> Result<(), MatchError> {
        let text = quoted(token, "an IPv4 range")?;
        let wrong = |found: &str, help: String| {
            let message = format!("found {found}`{}`, expected an IPv4 range", shorten(text));
            MatchError::new(token.part.clone(), message, help)
        };
        match IpNet::from_str(text) {
            Ok(IpNet::V4(net)) => {
                self.ranges.push(MatchedRange {
                    net: net.trunc(),
                    with_host_bits: (net != net.trunc()).then(|| text.to_owned()),
                    part: token.part.clone(),
                });
                Ok(())
            }
            Ok(IpNet::V6(_)) => Err(wrong("the IPv6 range ", ipv6_help())),
            Err(_) => match IpAddr::from_str(text) {
                Ok(IpAddr::V4(address)) => Err(wrong("the address ", format!("write `'{address}/32'`"))),
                Ok(IpAddr::V6(_)) => Err(wrong("the IPv6 address ", ipv6_help())),
                Err(_) => {
                    Err(wrong("", "write it as `198.51.100.0/28`: an address, a slash, a length up to 32".into()))
                }
            },
        }
    }
}

/// The text of a token that should be one.
fn quoted<'t>(token: &'t Token, expected: &str) -> Result<&'t str, MatchError> {
    match &token.kind {
        Kind::Text(text) => Ok(text),
        kind => {
            let message = format!("found {}, expected {expected} in quotes", kind.describe());
            let help = match kind {
                Kind::Other(text) => format!("write `'{}'`", shorten(text)),
                _ => EXAMPLE.into(),
            };
            Err(MatchError::new(token.part.clone(), message, help))
        }
    }
}

/// Something stands behind a condition that does not join it to another.
fn not_or(token: &Token) -> MatchError {
    let message = format!("found {}, expected `||` or the end", token.kind.describe());
    let help = match &token.kind {
        Kind::Other(text) if text == "&&" => {
            format!("{ONLY}: join addresses with `||`; a source and a destination together cannot be matched")
        }
        Kind::Other(text) if text == "|" => "write `||`".into(),
        Kind::Name(text) if text.eq_ignore_ascii_case("or") => "write `||`".into(),
        _ => ONLY.into(),
    };
    MatchError::new(token.part.clone(), message, help)
}

fn not_help() -> String {
    format!("{ONLY}: what no rule matches leaves from the gateway's own natIps")
}

fn ipv6_help() -> String {
    "NAT rules know IPv4 only".into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(text: &str) -> (Attribute, Vec<String>) {
        let parsed = parse(text).unwrap_or_else(|error| panic!("{text}: {}", error.message));
        (parsed.attribute, parsed.ranges.iter().map(|range| range.net.to_string()).collect())
    }

    /// What is marked, the message and the cure.
    fn error(text: &str) -> (&str, String, String) {
        let error = parse(text).expect_err(text);
        (&text[error.part], error.message, error.help)
    }

    #[test]
    fn googles_own_examples_are_read() {
        // gcloud's help, the API's reference, the page about rules.
        let destination = |nets: &[&str]| (Attribute::Destination, nets.iter().map(|net| (*net).to_owned()).collect());
        assert_eq!(ranges("inIpRange(destination.ip, \"203.0.113.0/24\")"), destination(&["203.0.113.0/24"]));
        assert_eq!(ranges("destination.ip == \"203.0.113.7\""), destination(&["203.0.113.7/32"]));
        assert_eq!(
            ranges("destination.ip == \"203.0.113.7\" || inIpRange(destination.ip, \"203.0.113.16/25\")"),
            destination(&["203.0.113.7/32", "203.0.113.0/25"])
        );
        assert_eq!(
            ranges("inIpRange(destination.ip, '1.1.0.0/16') || inIpRange(destination.ip, '2.2.0.0/16')"),
            destination(&["1.1.0.0/16", "2.2.0.0/16"])
        );
        assert_eq!(
            ranges("source.ip == '10.0.0.25' || inIpRange(source.ip, '10.0.2.0/24')"),
            (Attribute::Source, vec!["10.0.0.25/32".to_owned(), "10.0.2.0/24".to_owned()])
        );
    }

    #[test]
    fn white_space_parentheses_and_the_order_around_equals_do_not_matter() {
        let plain = ranges("destination.ip == '1.2.3.4' || inIpRange(destination.ip, '5.0.0.0/8')");
        for text in [
            "destination.ip=='1.2.3.4'||inIpRange(destination.ip,'5.0.0.0/8')",
            "\n\tdestination . ip\n==  '1.2.3.4'\n || inIpRange (\tdestination.ip , '5.0.0.0/8' ) ",
            "'1.2.3.4' == destination.ip || (inIpRange(destination.ip, '5.0.0.0/8'))",
            "((destination.ip == '1.2.3.4') || inIpRange(destination.ip, '5.0.0.0/8'))",
        ] {
            assert_eq!(ranges(text), plain, "{text}");
        }
    }

    #[test]
    fn host_bits_are_kept_for_the_warning() {
        let parsed = parse("inIpRange(source.ip, '10.0.0.9/8')").expect("valid");
        assert_eq!(parsed.ranges[0].with_host_bits.as_deref(), Some("10.0.0.9/8"));
        assert_eq!(parse("inIpRange(source.ip, '10.0.0.0/8')").expect("valid").ranges[0].with_host_bits, None);
    }

    #[test]
    fn each_error_marks_what_is_wrong_and_says_how_it_is_right() {
        let cases = [
            ("destination.ip == '1.2.3.4' && source.ip == '10.0.0.1'", "&&", "expected `||`", "`inIpRange` and `||`"),
            ("destination.ip != '1.2.3.4'", "!=", "expected `==`", "the gateway's own natIps"),
            ("!inIpRange(destination.ip, '1.2.3.0/24')", "!", "expected a condition", "the gateway's own natIps"),
            ("destination.ip = '1.2.3.4'", "=", "expected `==`", "write `==`"),
            ("destination.ip == '1.2.3.4' | destination.ip == '1.2.3.5'", "|", "expected `||`", "write `||`"),
            ("destination.ip == '1.2.3.4' or destination.ip == '1.2.3.5'", "or", "expected `||`", "write `||`"),
            ("destination.ip == 1.2.3.4", "1.2.3.4", "in quotes", "write `'1.2.3.4'`"),
            ("destination.ip == '1.2.3.400'", "'1.2.3.400'", "`1.2.3.400`, expected an IPv4", "0 to 255"),
            ("destination.ip == '1.2.3.0/24'", "'1.2.3.0/24'", "the range", "inIpRange(destination.ip, '1.2.3.0/24')"),
            ("inIpRange(source.ip, '10.0.0.1')", "'10.0.0.1'", "the address", "write `'10.0.0.1/32'`"),
            ("inIpRange(source.ip, '10.0.0.0/33')", "'10.0.0.0/33'", "expected an IPv4 range", "a length up to 32"),
            ("destination.ip == '2001:db8::1'", "'2001:db8::1'", "IPv6", "IPv4 only"),
            ("inIpRange(destination.ip, '2001:db8::/32')", "'2001:db8::/32'", "IPv6", "IPv4 only"),
            (
                "destinaton.ip == '1.2.3.4'",
                "destinaton.ip",
                "expected `destination.ip`",
                "did you mean `destination.ip`?",
            ),
            ("destination.port == '443'", "destination.port", "expected `destination.ip`", "not at ports"),
            ("request.method == 'GET'", "request.method", "expected `destination.ip`", "addresses only"),
            ("nexthop.hub == '//x/hubs/h'", "nexthop.hub", "Private NAT", "`destination.ip` or `source.ip`"),
            ("inRange(destination.ip, '1.2.3.0/24')", "inRange", "expected `inIpRange`", "`inIpRange` and `||`"),
            ("inIpRange('1.2.3.0/24', destination.ip)", "'1.2.3.0/24'", "expected `destination.ip`", "addresses only"),
            ("inIpRange(destination.ip '1.2.3.0/24')", "'1.2.3.0/24'", "expected `,`", "inIpRange("),
            ("inIpRange(destination.ip, '1.2.3.0/24'", "", "found the end, expected `)`", "inIpRange("),
            ("(destination.ip == '1.2.3.4'", "(", "not closed", "add `)`"),
            ("destination.ip == '1.2.3.4')", ")", "none is open", "remove it"),
            ("destination.ip == '1.2.3.4", "'1.2.3.4", "does not end", "add '"),
            ("destination.ip == '1.2.3.4' ||", "", "found the end, expected a condition", "such as"),
            ("destination.ip", "", "found the end, expected `==`", "only"),
            ("'1.2.3.4' == '1.2.3.5'", "'1.2.3.5'", "expected `destination.ip`", "addresses only"),
            ("  ", "", "the match is empty", "such as"),
            ("destination.ip == 'ü' || größe", "'ü'", "`ü`, expected an IPv4 address", "0 to 255"),
        ];
        for (text, marked, message, help) in cases {
            let (part, said, cure) = error(text);
            assert_eq!(part, marked, "{text}: {said}");
            assert!(said.contains(message), "{text}: {said}");
            assert!(cure.contains(help), "{text}: {cure}");
        }
    }

    #[test]
    fn a_rule_looks_at_sources_or_at_destinations() {
        let text = "inIpRange(source.ip, '10.0.0.0/8') || destination.ip == '1.2.3.4'";
        let error = parse(text).expect_err("refused");
        assert_eq!((error.code, &text[error.part]), ("nat-rule-mixed-match", "destination.ip"));
        assert_eq!(error.related.map(|(part, _)| &text[part]), Some("source.ip"));
    }

    #[test]
    fn a_name_is_found_outside_of_quotes_only() {
        assert_eq!(find_name("nexthop.hub == 'destination.ip'", "destination.ip"), None);
        assert_eq!(find_name("nexthop.is_hybrid && destination.ip == 'x'", "destination.ip"), Some(21..35));
    }

    #[test]
    fn ten_thousand_parentheses_are_no_trouble() {
        let text = format!("{}destination.ip == '1.2.3.4'{}", "(".repeat(10_000), ")".repeat(10_000));
        assert!(parse(&text).is_ok());
    }
}
