//! The extension headers of IPv6, which stand between the IP header and the transport (RFC 8200 §4, RFC 7045).
//!
//! They are walked to find the transport and not looked into otherwise: a routing header's final destination and a
//! mobile host's home address do not count, a flow is what a router on the way sees in the IP header. What is no extension
//! header known to IANA's registry ends the chain, as do encrypted payload (ESP) and "no next header".

use super::layout::IPV6_HEADER;
use super::rewrite::word_at;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
/// RFC 4302.
const AUTHENTICATION: u8 = 51;
const DESTINATION_OPTIONS: u8 = 60;
/// RFC 6275.
const MOBILITY: u8 = 135;
/// RFC 7401.
const HOST_IDENTITY: u8 = 139;
/// RFC 5533.
const SHIM6: u8 = 140;

/// Which part of a packet a fragment is. An atomic fragment is all of it, and none of these (RFC 6946).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fragment {
    /// The one with the transport header.
    First,
    /// One from further behind.
    Later,
}

/// Where the extension headers of a packet lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chain {
    /// Where the header behind them starts; at most the number of bytes.
    pub at: usize,
    /// That header's number. What a later fragment starts with is in the middle of something; the number is then that of
    /// the first header of the part that was taken to pieces.
    pub protocol: u8,
    /// Set for fragments that are not atomic.
    pub fragment: Option<Fragment>,
    /// The header at `at` is an extension header that is not all there.
    pub cut: bool,
}

impl Chain {
    /// Walks the extension headers of a packet, which has at least its IP header. Each is at least 8 bytes long, so the
    /// longest chain of a packet of 65,575 bytes has 8,191 of them.
    pub(super) fn of(packet: &[u8]) -> Chain {
        let mut chain = Chain { at: IPV6_HEADER, protocol: packet[6], fragment: None, cut: false };
        while chain.fragment != Some(Fragment::Later) && is_extension(chain.protocol, chain.at) {
            let rest = &packet[chain.at..];
            let Some(header) = length(chain.protocol, rest).and_then(|length| rest.get(..length)) else {
                chain.cut = true;
                break;
            };
            if chain.protocol == FRAGMENT {
                // 13 bits of offset, 2 reserved, "more fragments".
                let word = word_at(header, 2);
                chain.fragment = match (word >> 3, word & 1) {
                    (0, 0) => chain.fragment,
                    (0, _) => Some(Fragment::First),
                    _ => Some(Fragment::Later),
                };
            }
            chain.protocol = header[0];
            chain.at += header.len();
        }
        chain
    }
}

/// RFC 8200 §4.1: hop-by-hop options stand right behind the IP header or are not recognised; all else comes in any order.
fn is_extension(protocol: u8, at: usize) -> bool {
    match protocol {
        HOP_BY_HOP => at == IPV6_HEADER,
        ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION_OPTIONS | MOBILITY | HOST_IDENTITY | SHIM6 => true,
        _ => false,
    }
}

/// What an extension header says of its own length, in bytes: at least 8.
fn length(protocol: u8, bytes: &[u8]) -> Option<usize> {
    let units = usize::from(*bytes.get(1)?);
    Some(match protocol {
        // Where others have their length it has a reserved byte.
        FRAGMENT => 8,
        // In 4 bytes, less 2 (RFC 4302 §2.2).
        AUTHENTICATION => (units + 2) * 4,
        // In 8 bytes, not counting the first 8.
        _ => (units + 1) * 8,
    })
}
