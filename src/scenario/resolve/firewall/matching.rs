//! What rules of networks and of policies look at: protocols, ports and ranges.

use ipnet::IpNet;

use super::super::Resolver;
use crate::scenario::ProtocolMatch;
use crate::scenario::decode::nearest;
use crate::scenario::diagnostic::Diagnostic;
use crate::scenario::value::{At, Cidr};

/// Names that the API knows for protocols.
const PROTOCOLS: [(&str, u8); 7] =
    [("tcp", 6), ("udp", 17), ("icmp", 1), ("esp", 50), ("ah", 51), ("sctp", 132), ("ipip", 94)];

/// Protocols that have ports.
const WITH_PORTS: [u8; 3] = [6, 17, 132];

impl Resolver<'_> {
    /// The ranges of a list, with a warning for bits beyond a prefix.
    pub(super) fn ip_ranges(&mut self, list: Option<&At<Vec<At<Cidr>>>>) -> Vec<IpNet> {
        let ranges = list.into_iter().flat_map(|list| list.value.iter());
        ranges
            .map(|range| {
                let net = range.net();
                if range.has_host_bits() {
                    let message = format!("{} has bits set beyond its prefix, {net} is taken", range.value);
                    let help = format!("write {net}");
                    self.push(Diagnostic::warning("host-bits", message).at(range.place).help(help));
                }
                net
            })
            .collect()
    }

    pub(super) fn protocol_match(
        &mut self,
        protocol: &At<String>,
        ports: Option<&[At<String>]>,
    ) -> Option<ProtocolMatch> {
        let name = protocol.to_ascii_lowercase();
        let number = match PROTOCOLS.iter().find(|(known, _)| *known == name) {
            Some((_, number)) => Some(*number),
            None if name == "all" => None,
            None => match name.parse() {
                Ok(number) => Some(number),
                Err(_) => {
                    let known: Vec<&str> = PROTOCOLS.iter().map(|(known, _)| *known).chain(["all"]).collect();
                    let message = format!("found `{}`, expected a protocol", protocol.value);
                    let help = match nearest(&name, known.iter().copied()) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => format!("one of {}, or a number from 0 to 255", known.join(", ")),
                    };
                    self.push(Diagnostic::unusable("unknown-value", message).at(protocol.place).help(help));
                    return None;
                }
            },
        };
        let mut ranges = Vec::new();
        for text in ports.into_iter().flatten() {
            if !number.is_some_and(|number| WITH_PORTS.contains(&number)) {
                let message = format!("protocol `{name}` has no ports");
                self.push(Diagnostic::rejected("bad-port", message).at(text.place).help("remove `ports`"));
                break;
            }
            match parse_ports(text) {
                Some(range) => ranges.push(range),
                None => self.push(
                    Diagnostic::rejected(
                        "bad-port",
                        format!("found `{}`, expected a port or a range of ports", text.value),
                    )
                    .at(text.place)
                    .help("write `443` or `8000-8999`, from 0 to 65535, the lower first"),
                ),
            }
        }
        Some(ProtocolMatch { protocol: number, ports: ranges })
    }
}

/// `443` or `8000-8999`.
pub(in crate::scenario::resolve) fn parse_ports(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (first <= last).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use super::parse_ports;

    #[test]
    fn ports_are_single_or_a_rising_range() {
        assert_eq!(parse_ports("443"), Some((443, 443)));
        assert_eq!(parse_ports("8000-8999"), Some((8000, 8999)));
        for text in ["9-8", "70000", "http", "1-2-3", ""] {
            assert_eq!(parse_ports(text), None, "{text}");
        }
    }
}
