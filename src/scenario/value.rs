//! The small values of a scenario file: references, ranges, durations, rates, sizes, ports; and [`At`], a value with its
//! place. Each is read from text, says plainly what is wrong with a text it refuses, and prints what it reads.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::Deref;
use std::str::FromStr;
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};
use serde::{Serialize, Serializer};

use super::decode::{AT_TOKEN, RawPlace};
use super::diagnostic::Place;
use super::tree::shorten;

/// A value with the place where it is written. It reads, prints and compares like the value alone.
#[derive(Debug, Clone, Copy)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// Where it is written; [`Place::NOWHERE`] if no text holds it.
    pub place: Place,
}

impl<T> From<T> for At<T> {
    fn from(value: T) -> Self {
        At { value, place: Place::NOWHERE }
    }
}

impl<T> Deref for At<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: PartialEq> PartialEq for At<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Serialize> Serialize for At<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for At<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AtVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for AtVisitor<T> {
            type Value = At<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<At<T>, D::Error> {
                T::deserialize(deserializer).map(At::from)
            }

            /// Our own deserializer hands over the place, then the value.
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<At<T>, A::Error> {
                let missing = |_| de::Error::custom("a located value is a place and a value");
                let place: RawPlace = seq.next_element()?.ok_or(0).map_err(missing)?;
                let value = seq.next_element()?.ok_or(1).map_err(missing)?;
                Ok(At { value, place: place.into() })
            }
        }

        deserializer.deserialize_newtype_struct(AT_TOKEN, AtVisitor(PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for At<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// A text that is not the value it should be: what it is, and how it is written right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}\n{help}")]
pub struct BadValue {
    message: String,
    help: &'static str,
}

impl BadValue {
    fn new(text: &str, expected: &str, help: &'static str) -> BadValue {
        BadValue { message: format!("found `{}`, expected {expected}", shorten(text)), help }
    }
}

/// Reads from text, prints as text; in the schema a string (or a number, where `$numbers` says so) with examples.
macro_rules! text_value {
    ($type:ident, $description:literal, $types:tt, $examples:tt) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({"description": $description, "type": $types, "examples": $examples})
            }
        }
    };
}

/// A reference to a resource: a bare name, a `projects/…` path or a full URL. The last segment is the name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reference(String);

impl Reference {
    /// The reference as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The resource's own name: the last segment.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// The project that a path names.
    pub fn project(&self) -> Option<&str> {
        self.segment_after("projects")
    }

    /// The region that a path names with `regions/R` or `locations/R`.
    pub fn region(&self) -> Option<&str> {
        self.segment_after("regions").or_else(|| self.segment_after("locations"))
    }

    /// The zone that a path names.
    pub fn zone(&self) -> Option<&str> {
        self.segment_after("zones")
    }

    fn segment_after(&self, word: &str) -> Option<&str> {
        let mut segments = self.0.split('/');
        segments.find(|segment| *segment == word)?;
        segments.next()
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Reference {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        if text.is_empty() || text.ends_with('/') || text.contains(char::is_whitespace) {
            let help = "write a bare name, a `projects/…` path or the resource's URL";
            return Err(BadValue::new(text, "the name of a resource", help));
        }
        Ok(Reference(text.to_owned()))
    }
}

text_value!(
    Reference,
    "A reference to a resource: a bare name, a `projects/…` path or a full URL.",
    "string",
    ["my-vpc", "projects/my-project/global/networks/my-vpc"]
);

/// An address range as written: `10.8.0.0/28`. A bare address is a range of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr(IpNet);

impl Cidr {
    /// The IPv4 range without host bits; `None` for IPv6.
    pub fn v4(self) -> Option<Ipv4Net> {
        match self.0 {
            IpNet::V4(net) => Some(net.trunc()),
            IpNet::V6(_) => None,
        }
    }

    /// The range of either version, without host bits.
    pub fn net(self) -> IpNet {
        self.0.trunc()
    }

    /// Whether bits are set beyond the prefix: `10.8.0.5/28` means `10.8.0.0/28`.
    pub fn has_host_bits(self) -> bool {
        self.0 != self.0.trunc()
    }
}

impl From<Ipv4Net> for Cidr {
    fn from(net: Ipv4Net) -> Self {
        Cidr(IpNet::V4(net))
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Cidr {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let bad = |help| BadValue::new(text, "an address range", help);
        let Some((address, length)) = text.split_once('/') else {
            let address = IpAddr::from_str(text).map_err(|_| bad("write it as `10.8.0.0/28`"))?;
            return Ok(Cidr(IpNet::from(address)));
        };
        let address = IpAddr::from_str(address)
            .map_err(|_| bad("write it as `10.8.0.0/28`: four numbers from 0 to 255, a slash, a length"))?;
        let longest = "the number after the slash counts the fixed bits: 0 to 32, for IPv6 0 to 128";
        let length = length.parse().map_err(|_| bad(longest))?;
        IpNet::new(address, length).map(Cidr).map_err(|_| bad(longest))
    }
}

text_value!(
    Cidr,
    "An address range in CIDR form. A bare address is a range of one; bits beyond the prefix are cleared with a warning.",
    "string",
    ["10.8.0.0/28", "203.0.113.7"]
);

/// An IP address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address(IpAddr);

impl Address {
    /// The IPv4 address; `None` for IPv6.
    pub fn v4(self) -> Option<Ipv4Addr> {
        match self.0 {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        }
    }
}

impl Address {
    /// The address of either version.
    pub fn ip(self) -> IpAddr {
        self.0
    }
}

impl From<Ipv4Addr> for Address {
    fn from(address: Ipv4Addr) -> Self {
        Address(IpAddr::V4(address))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Address {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let help = "write it as `203.0.113.7`: four numbers from 0 to 255, without leading zeros";
        text.parse().map(Address).map_err(|_| BadValue::new(text, "an IP address", help))
    }
}

text_value!(Address, "An IP address.", "string", ["203.0.113.7"]);

/// A span of time: `250ms`, `30s`, `10m`, `1h`, `1m30s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dur(pub Duration);

impl fmt::Display for Dur {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = humantime::format_duration(self.0).to_string();
        f.write_str(&text.replace(' ', ""))
    }
}

impl FromStr for Dur {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let help = "write a number with its unit: `250ms`, `30s`, `10m`, `1h`, `1m30s`";
        let bad = || BadValue::new(text, "a duration", help);
        let duration = humantime::parse_duration(text).map_err(|_| bad())?;
        // A simulated clock counts nanoseconds in 64 bits; a century is far beyond any run and keeps sums of three safe.
        if duration > Duration::from_secs(100 * 365 * 86_400) {
            return Err(BadValue::new(text, "a duration of at most a century", help));
        }
        Ok(Dur(duration))
    }
}

text_value!(
    Dur,
    "A span of time with its unit: `250ms`, `30s`, `10m`, `1h`, `1m30s`.",
    "string",
    ["250ms", "30s", "1m30s"]
);

/// A span of time, or `auto`: what the data tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DurOrAuto {
    /// What the data tell.
    Auto,
    /// This long.
    Is(Dur),
}

impl fmt::Display for DurOrAuto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DurOrAuto::Auto => f.write_str("auto"),
            DurOrAuto::Is(duration) => duration.fmt(f),
        }
    }
}

impl FromStr for DurOrAuto {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        if text == "auto" { Ok(DurOrAuto::Auto) } else { text.parse().map(DurOrAuto::Is) }
    }
}

text_value!(DurOrAuto, "A span of time with its unit, or `auto`.", "string", ["auto", "30s"]);

/// A rate a second: `200/s`, `30/m`, `100/h`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate(pub f64);

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", self.0)
    }
}

impl FromStr for Rate {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let bad = || BadValue::new(text, "a rate", "write a number and a unit of time: `200/s`, `30/m`, `100/h`");
        let (number, unit) = text.split_once('/').ok_or_else(bad)?;
        let number: f64 = number.trim().parse().map_err(|_| bad())?;
        let seconds = match unit.trim() {
            "s" | "sec" => 1.0,
            "m" | "min" => 60.0,
            "h" => 3600.0,
            _ => return Err(bad()),
        };
        let rate = number / seconds;
        if !(0.0..=1e9).contains(&rate) {
            return Err(BadValue::new(text, "a rate from 0 to 1,000,000,000 a second", "write it as `200/s`"));
        }
        Ok(Rate(rate))
    }
}

text_value!(Rate, "A rate: a number and a unit of time.", "string", ["200/s", "30/m", "100/h"]);

/// A number of bytes: `512`, `4KiB`, `1MB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteSize(pub u64);

impl FromStr for ByteSize {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let bad = || BadValue::new(text, "a number of bytes", "write it as `512`, `4KiB`, `1MiB` or `1kB`");
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let number: u64 = text[..digits].parse().map_err(|_| bad())?;
        let unit = match text[digits..].trim() {
            "" | "B" => 1,
            "kB" | "KB" => 1_000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => return Err(bad()),
        };
        number.checked_mul(unit).filter(|bytes| *bytes <= 1 << 40).map(ByteSize).ok_or_else(bad)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

text_value!(ByteSize, "A number of bytes, at most 1 TiB.", ["integer", "string"], [512, "4KiB"]);

/// A port of a host: `443` is TCP, `udp/53` is UDP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostPort {
    /// UDP instead of TCP.
    pub udp: bool,
    /// The port.
    pub port: u16,
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.udp { write!(f, "udp/{}", self.port) } else { write!(f, "{}", self.port) }
    }
}

impl FromStr for HostPort {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let (udp, port) = match text.split_once('/') {
            None => (false, text),
            Some(("tcp", port)) => (false, port),
            Some(("udp", port)) => (true, port),
            Some((_, port)) => (false, if port.is_empty() { port } else { "" }),
        };
        match port.parse() {
            Ok(port) if port > 0 => Ok(HostPort { udp, port }),
            _ => Err(BadValue::new(text, "a port from 1 to 65535", "write `443` for TCP, `udp/53` for UDP")),
        }
    }
}

text_value!(HostPort, "A port: `443` is TCP, `udp/53` is UDP.", ["integer", "string"], [443, "udp/53"]);

mod link;

pub use link::{BitRate, QueueSize};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_a_name_a_path_or_a_url() {
        for text in [
            "conn-a",
            "projects/p/locations/us-west2/connectors/conn-a",
            "https://x.googleapis.com/v1/projects/p/locations/us-west2/connectors/conn-a",
        ] {
            assert_eq!(text.parse::<Reference>().expect("valid").name(), "conn-a");
        }
        let path: Reference = "projects/p/regions/us-west2/subnetworks/s".parse().expect("valid");
        assert_eq!(path.region(), Some("us-west2"));
        assert!("".parse::<Reference>().is_err());
        assert!("projects/p/".parse::<Reference>().is_err());
    }

    #[test]
    fn a_range_with_host_bits_is_known_by_them() {
        let range: Cidr = "10.8.0.5/28".parse().expect("valid");
        assert!(range.has_host_bits());
        assert_eq!(range.v4().map(|net| net.to_string()).as_deref(), Some("10.8.0.0/28"));
        assert_eq!("10.8.0.5".parse::<Cidr>().expect("valid").to_string(), "10.8.0.5/32");
    }

    #[test]
    fn a_range_with_leading_zeros_or_a_long_prefix_is_refused() {
        for text in ["010.0.0.0/8", "10.0.0.0/33", "10.0.0/8", "10.0.0.0/", "300.0.0.0/8", "10.0.0.0/-1"] {
            assert!(text.parse::<Cidr>().is_err(), "{text}");
        }
    }

    #[test]
    fn durations_need_a_unit_and_print_as_they_are_read() {
        assert_eq!("1m30s".parse::<Dur>().expect("valid").0, Duration::from_secs(90));
        assert_eq!("250ms".parse::<Dur>().expect("valid").to_string(), "250ms");
        assert_eq!(
            "90s".parse::<Dur>().expect("valid").to_string().parse::<Dur>().expect("valid").0,
            Duration::from_secs(90)
        );
        for text in ["30", "30 parsecs", "-1s", "9999999999h", ""] {
            assert!(text.parse::<Dur>().is_err(), "{text}");
        }
    }

    #[test]
    fn rates_are_a_second_a_minute_or_an_hour() {
        assert_eq!("30/m".parse::<Rate>(), Ok(Rate(0.5)));
        assert_eq!("7200/h".parse::<Rate>(), Ok(Rate(2.0)));
        for text in ["30", "x/s", "-1/s", "NaN/s", "1/d", "inf/s"] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_bytes_or_have_a_unit() {
        assert_eq!("4KiB".parse::<ByteSize>(), Ok(ByteSize(4096)));
        assert_eq!("512".parse::<ByteSize>(), Ok(ByteSize(512)));
        for text in ["", "-1", "4 parsecs", "99999999999999GiB"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
    }

    #[test]
    fn ports_are_tcp_unless_they_say_udp() {
        assert_eq!("443".parse::<HostPort>(), Ok(HostPort { udp: false, port: 443 }));
        assert_eq!("udp/53".parse::<HostPort>(), Ok(HostPort { udp: true, port: 53 }));
        for text in ["0", "65536", "icmp/8", "udp/", "http"] {
            assert!(text.parse::<HostPort>().is_err(), "{text}");
        }
    }
}
