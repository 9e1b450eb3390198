//! How fast a link is, and how much waits for it.

use std::fmt;
use std::str::FromStr;

use super::*;

/// Bits a second: `100Mbps`. `None` is `unlimited`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BitRate(pub Option<u64>);

/// Units with their bits a second, the largest first.
const BIT_RATES: [(&str, u64); 4] = [("Gbps", 1_000_000_000), ("Mbps", 1_000_000), ("kbps", 1_000), ("bps", 1)];

impl FromStr for BitRate {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let help = "write a number of bits and its unit: `64kbps`, `100Mbps`, `1.5Gbps`, or `unlimited`";
        if text == "unlimited" {
            return Ok(BitRate(None));
        }
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').len();
        let number: Option<f64> = text[..digits].parse().ok();
        let unit = match text[digits..].trim() {
            "Kbps" => Some(1_000),
            unit => BIT_RATES.iter().find(|(name, _)| *name == unit).map(|(_, bits)| *bits),
        };
        let (Some(number), Some(unit)) = (number, unit) else {
            return Err(BadValue::new(text, "a number of bits a second", help));
        };
        let rate = (number * unit as f64).round();
        // One packet of 1,500 bytes a minute, and faster than any link of today.
        if !(200.0..=1e13).contains(&rate) {
            return Err(BadValue::new(text, "a rate from 200bps to 10000Gbps", help));
        }
        Ok(BitRate(Some(rate as u64)))
    }
}

impl fmt::Display for BitRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(rate) = self.0 else { return f.write_str("unlimited") };
        let (name, unit) = BIT_RATES.into_iter().find(|(_, unit)| rate.is_multiple_of(*unit)).unwrap_or(("bps", 1));
        write!(f, "{}{name}", rate / unit)
    }
}

text_value!(BitRate, "Bits a second, or `unlimited`.", "string", ["64kbps", "100Mbps", "1.5Gbps", "unlimited"]);

/// What waits at most: for some time, or some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueSize {
    /// So long.
    Time(Dur),
    /// So many.
    Bytes(ByteSize),
}

impl FromStr for QueueSize {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let bytes = text.parse().map(QueueSize::Bytes);
        bytes.or_else(|_| text.parse().map(QueueSize::Time)).map_err(|_: BadValue| {
            BadValue::new(text, "a duration or a number of bytes", "write it as `50ms`, `0s`, `64KiB` or `150000`")
        })
    }
}

impl fmt::Display for QueueSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            QueueSize::Time(time) => time.fmt(f),
            QueueSize::Bytes(bytes) => bytes.fmt(f),
        }
    }
}

text_value!(
    QueueSize,
    "The length of a queue: a duration or a number of bytes.",
    ["integer", "string"],
    ["50ms", "64KiB", 150_000]
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bit_rates_have_a_unit_and_print_as_they_are_read() {
        for (text, bits) in [("64kbps", 64_000), ("100Mbps", 100_000_000), ("1.5Gbps", 1_500_000_000), ("200bps", 200)]
        {
            let rate: BitRate = text.parse().expect("valid");
            assert_eq!(rate.0, Some(bits));
            assert_eq!(rate.to_string().parse(), Ok(rate), "{rate}");
        }
        assert_eq!(BitRate(Some(100_000_000)).to_string(), "100Mbps");
        assert_eq!("unlimited".parse::<BitRate>().map(|rate| rate.to_string()).as_deref(), Ok("unlimited"));
        for text in ["", "100", "100MB", "Mbps", "0Mbps", "-1Mbps", "1.2.3Mbps", "NaNbps", "99999999Gbps", "100mbps"] {
            assert!(text.parse::<BitRate>().is_err(), "{text}");
        }
    }

    #[test]
    fn queues_are_of_time_or_of_bytes() {
        assert_eq!("50ms".parse(), Ok(QueueSize::Time(Dur(Duration::from_millis(50)))));
        assert_eq!("64KiB".parse(), Ok(QueueSize::Bytes(ByteSize(65_536))));
        assert_eq!("1500".parse(), Ok(QueueSize::Bytes(ByteSize(1_500))));
        for text in ["", "50", "1000p", "-5ms", "five"] {
            assert_eq!(text.parse::<QueueSize>().is_err(), text != "50", "{text}");
        }
    }
}
