//! Functions of prefixes. <https://developer.hashicorp.com/terraform/language/functions/cidrsubnet>

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::super::value::Value;
use super::{Arguments, Outcome};

pub(super) fn call(name: &str, arguments: Arguments<'_>) -> Option<Outcome> {
    Some(match name {
        "cidrsubnet" => subnet(arguments),
        "cidrsubnets" => subnets(arguments),
        "cidrhost" => host(arguments),
        "cidrnetmask" => netmask(arguments),
        _ => return None,
    })
}

/// A prefix as a number.
#[derive(Clone, Copy)]
struct Prefix {
    /// 32 or 128.
    width: u32,
    bits: u128,
    length: u32,
}

impl Prefix {
    fn parse(text: &str) -> Option<Prefix> {
        let (address, length) = text.split_once('/')?;
        let (width, bits) = match address.parse().ok()? {
            IpAddr::V4(address) => (32, u128::from(address.to_bits())),
            IpAddr::V6(address) => (128, address.to_bits()),
        };
        let length = length.parse().ok().filter(|length| *length <= width)?;
        let prefix = Prefix { width, bits, length };
        Some(Prefix { bits: bits & !prefix.hosts(), ..prefix })
    }

    /// The bits behind the prefix.
    fn hosts(self) -> u128 {
        let free = self.width - self.length;
        if free == 128 { u128::MAX } else { (1 << free) - 1 }
    }

    fn address(self, bits: u128) -> String {
        match self.width {
            32 => Ipv4Addr::from_bits(bits as u32).to_string(),
            _ => Ipv6Addr::from_bits(bits).to_string(),
        }
    }

    fn subnet(self, more: u32, number: u128) -> Option<Prefix> {
        let length = self.length.checked_add(more).filter(|length| *length <= self.width)?;
        if more < 128 && number >> more != 0 {
            return None;
        }
        let shift = self.width - length;
        let number = if shift == 128 { 0 } else { number << shift };
        Some(Prefix { bits: self.bits | number, length, ..self })
    }

    fn value(self) -> Value {
        Value::from(format!("{}/{}", self.address(self.bits), self.length))
    }
}

fn prefix(arguments: Arguments<'_>) -> Result<Prefix, Value> {
    Prefix::parse(&arguments.text(0)?).ok_or_else(|| arguments.fail("the first argument is not a prefix"))
}

fn subnet(arguments: Arguments<'_>) -> Outcome {
    let prefix = prefix(arguments)?;
    let (more, number) = (arguments.whole(1)?, arguments.whole(2)?);
    let subnet = prefix.subnet(u32::try_from(more).unwrap_or(u32::MAX), number as u128);
    subnet.map(Prefix::value).ok_or_else(|| arguments.fail("there is no such subnet of the prefix"))
}

/// Subnets one after the other, each at the next boundary of its size.
fn subnets(arguments: Arguments<'_>) -> Outcome {
    let whole = prefix(arguments)?;
    let mut next = Some(whole.bits);
    let mut all = Vec::new();
    for at in 1..arguments.len() {
        let full = || arguments.fail("the prefix is too small for these subnets");
        let more = u32::try_from(arguments.whole(at)?).unwrap_or(u32::MAX);
        let length = whole.length.checked_add(more).filter(|length| *length <= whole.width).ok_or_else(full)?;
        let hosts = Prefix { length, ..whole }.hosts();
        let from = next.ok_or_else(full)?;
        let bits = from.checked_add(hosts).ok_or_else(full)? & !hosts;
        if bits & !whole.hosts() != whole.bits {
            return Err(full());
        }
        all.push(Prefix { bits, length, ..whole }.value());
        next = bits.checked_add(hosts).and_then(|last| last.checked_add(1));
    }
    Ok(Value::list(all))
}

/// An address of the prefix; negative numbers count from its end.
fn host(arguments: Arguments<'_>) -> Outcome {
    let prefix = prefix(arguments)?;
    let number = arguments.number(1)?;
    let outside = || arguments.fail("there is no such address in the prefix");
    if number.fract() != 0.0 || number.abs() > 9e15 {
        return Err(outside());
    }
    let host =
        if number < 0.0 { prefix.hosts().saturating_add(1).checked_sub(-number as u128) } else { Some(number as u128) };
    let host = host.filter(|host| *host <= prefix.hosts()).ok_or_else(outside)?;
    Ok(Value::from(prefix.address(prefix.bits | host)))
}

fn netmask(arguments: Arguments<'_>) -> Outcome {
    let prefix = prefix(arguments)?;
    if prefix.width != 32 {
        return Err(arguments.fail("only IPv4 prefixes have a mask"));
    }
    Ok(Value::from(prefix.address(!prefix.hosts() & u128::from(u32::MAX))))
}
