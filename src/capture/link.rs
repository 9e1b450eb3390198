//! From a captured frame to the IP packet in it: the link layers that captures of cloud and host traffic come with.
//!
//! Only headers are stripped. Nothing behind the IP version nibble is looked at, and what follows the packet (Ethernet
//! padding, a frame check sequence) stays: the packet's own length tells where it ends. PPPoE, MPLS and tunnels are
//! reported by their EtherType instead of being opened.

use std::fmt;

/// VLAN tags that are stripped; real frames carry one or two.
const VLAN_TAGS_MAX: usize = 8;

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_ARP: u16 = 0x0806;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const ETHERTYPE_LLDP: u16 = 0x88cc;
/// 802.1Q, 802.1ad, and the two that were used for stacked tags before 802.1ad.
const ETHERTYPES_VLAN: [u16; 4] = [0x8100, 0x88a8, 0x9100, 0x9200];
/// Smaller values of an EtherType field are an 802.3 length.
const ETHERTYPE_MIN: u16 = 0x0600;
/// Linux marks an LLC frame so in the protocol field of its cooked captures (`ETH_P_802_2`).
const LINUX_PROTOCOL_LLC: u16 = 0x0004;

const ADDRESS_FAMILY_IPV4: u32 = 2;
/// The systems disagree about AF_INET6: Linux 10, NetBSD and OpenBSD 24, FreeBSD 28, macOS 30.
const ADDRESS_FAMILIES_IPV6: [u32; 4] = [10, 24, 28, 30];

/// What a captured frame begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LinkType {
    /// Ethernet II or 802.3 (1).
    Ethernet,
    /// No link header, the IP version nibble comes first (101; 12 and 14 in files of the BSDs; 228 and 229).
    Raw,
    /// Linux cooked capture, from `tcpdump -i any` (113).
    LinuxSll,
    /// Linux cooked capture, version 2 (276).
    LinuxSll2,
    /// BSD loopback: an address family in the byte order of the capturing machine (0).
    Null,
    /// OpenBSD loopback: an address family in network byte order (108).
    Loop,
    /// Any other, by its number.
    Unsupported(u16),
}

impl LinkType {
    /// The link type of a file's number. The upper 16 bits, where pcap keeps the length of the frame check sequence,
    /// are no part of it.
    pub fn from_number(number: u32) -> Self {
        match number as u16 {
            1 => LinkType::Ethernet,
            12 | 14 | 101 | 228 | 229 => LinkType::Raw,
            113 => LinkType::LinuxSll,
            276 => LinkType::LinuxSll2,
            0 => LinkType::Null,
            108 => LinkType::Loop,
            other => LinkType::Unsupported(other),
        }
    }
}

/// Why a frame has no IP packet to give. Its text is fixed for each kind, fit to count frames by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NotIp {
    /// Address resolution.
    Arp,
    /// Link layer discovery.
    Lldp,
    /// An 802.3 frame with an LLC header, such as spanning tree.
    Llc,
    /// Another protocol, by EtherType.
    EtherType(u16),
    /// A loopback frame of another address family.
    AddressFamily(u32),
    /// The link layer says IP, the first nibble is neither 4 nor 6.
    Version(u8),
    /// More VLAN tags than any network stacks.
    VlanDepth,
    /// The frame ends within its link header.
    TruncatedLinkHeader,
    /// The frame ends with its link header.
    NoPayload,
    /// A link type that is not read here.
    UnsupportedLinkType(u16),
}

impl fmt::Display for NotIp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotIp::Arp => f.write_str("ARP"),
            NotIp::Lldp => f.write_str("LLDP"),
            NotIp::Llc => f.write_str("802.3 LLC"),
            NotIp::EtherType(number) => write!(f, "ethertype {number:#06x}"),
            NotIp::AddressFamily(number) => write!(f, "address family {number}"),
            NotIp::Version(number) => write!(f, "IP version {number}"),
            NotIp::VlanDepth => write!(f, "more than {VLAN_TAGS_MAX} VLAN tags"),
            NotIp::TruncatedLinkHeader => f.write_str("truncated link header"),
            NotIp::NoPayload => f.write_str("no payload"),
            NotIp::UnsupportedLinkType(number) => write!(f, "unsupported link type {number}"),
        }
    }
}

/// The IP packet in a frame, from its version nibble (4 or 6) to the end of the frame.
///
/// # Errors
///
/// [`NotIp`] when the frame carries something else, is too short for its link header, or the link type is not known.
#[inline]
pub fn network_layer(link: LinkType, frame: &[u8]) -> Result<&[u8], NotIp> {
    let payload = match link {
        LinkType::Ethernet => {
            let (header, rest) = split::<14>(frame)?;
            ethertype_payload(u16::from_be_bytes([header[12], header[13]]), rest)?
        }
        LinkType::Raw => frame,
        LinkType::LinuxSll => {
            let (header, rest) = split::<16>(frame)?;
            linux_payload(u16::from_be_bytes([header[14], header[15]]), rest)?
        }
        LinkType::LinuxSll2 => {
            let (header, rest) = split::<20>(frame)?;
            linux_payload(u16::from_be_bytes([header[0], header[1]]), rest)?
        }
        LinkType::Null | LinkType::Loop => loopback_payload(frame)?,
        LinkType::Unsupported(number) => return Err(NotIp::UnsupportedLinkType(number)),
    };
    match payload.first().map(|byte| byte >> 4) {
        Some(4 | 6) => Ok(payload),
        Some(version) => Err(NotIp::Version(version)),
        None => Err(NotIp::NoPayload),
    }
}

#[inline]
fn split<const N: usize>(frame: &[u8]) -> Result<(&[u8; N], &[u8]), NotIp> {
    frame.split_first_chunk().ok_or(NotIp::TruncatedLinkHeader)
}

#[inline]
fn ethertype_payload(ethertype: u16, payload: &[u8]) -> Result<&[u8], NotIp> {
    match ethertype {
        ETHERTYPE_IPV4 | ETHERTYPE_IPV6 => Ok(payload),
        other => unusual_payload(other, payload),
    }
}

/// Tags, SNAP, and everything that is not IP.
fn unusual_payload(mut ethertype: u16, mut payload: &[u8]) -> Result<&[u8], NotIp> {
    for _ in 0..=VLAN_TAGS_MAX {
        match ethertype {
            ETHERTYPE_IPV4 | ETHERTYPE_IPV6 => return Ok(payload),
            ETHERTYPE_ARP => return Err(NotIp::Arp),
            ETHERTYPE_LLDP => return Err(NotIp::Lldp),
            tag if ETHERTYPES_VLAN.contains(&tag) => {
                let (header, rest) = split::<4>(payload)?;
                ethertype = u16::from_be_bytes([header[2], header[3]]);
                payload = rest;
            }
            length if length < ETHERTYPE_MIN => return snap_payload(payload),
            other => return Err(NotIp::EtherType(other)),
        }
    }
    Err(NotIp::VlanDepth)
}

/// IP in an 802.3 frame stands behind LLC and SNAP headers (RFC 1042): `aa aa 03`, a zero organisation, the EtherType.
fn snap_payload(payload: &[u8]) -> Result<&[u8], NotIp> {
    match payload.split_first_chunk() {
        Some(([0xaa, 0xaa, 0x03, 0, 0, 0, high, low], rest)) => match u16::from_be_bytes([*high, *low]) {
            ETHERTYPE_IPV4 | ETHERTYPE_IPV6 => Ok(rest),
            ETHERTYPE_ARP => Err(NotIp::Arp),
            other => Err(NotIp::EtherType(other)),
        },
        _ => Err(NotIp::Llc),
    }
}

/// Linux's protocol field is an EtherType, or a small number of the kernel's own where Ethernet has a length.
fn linux_payload(protocol: u16, payload: &[u8]) -> Result<&[u8], NotIp> {
    match protocol {
        LINUX_PROTOCOL_LLC => snap_payload(payload),
        other if other < ETHERTYPE_MIN => Err(NotIp::EtherType(other)),
        ethertype => ethertype_payload(ethertype, payload),
    }
}

/// The family word is in the capturing machine's byte order, which the file does not have to share; known families
/// are below 256, so one look tells which order it is. OpenBSD's fixed order is read the same way.
fn loopback_payload(frame: &[u8]) -> Result<&[u8], NotIp> {
    let (header, rest) = split::<4>(frame)?;
    let family = u32::from_be_bytes(*header).min(u32::from_le_bytes(*header));
    if family == ADDRESS_FAMILY_IPV4 || ADDRESS_FAMILIES_IPV6.contains(&family) {
        Ok(rest)
    } else {
        Err(NotIp::AddressFamily(family))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IPV4: [u8; 3] = [0x45, 1, 2];
    const IPV6: [u8; 3] = [0x60, 3, 4];

    fn ethernet(ethertypes: &[u16], payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![0xee; 12];
        for (depth, ethertype) in ethertypes.iter().enumerate() {
            if depth > 0 {
                frame.extend([0, 7]); // VLAN 7
            }
            frame.extend(ethertype.to_be_bytes());
        }
        frame.extend(payload);
        frame
    }

    fn cooked(header: &[u8], payload: &[u8]) -> Vec<u8> {
        [header, payload].concat()
    }

    #[test]
    fn ethernet_gives_ipv4_and_ipv6() {
        assert_eq!(network_layer(LinkType::Ethernet, &ethernet(&[0x0800], &IPV4)), Ok(&IPV4[..]));
        assert_eq!(network_layer(LinkType::Ethernet, &ethernet(&[0x86dd], &IPV6)), Ok(&IPV6[..]));
    }

    #[test]
    fn vlan_tags_are_stripped_to_a_depth() {
        for tags in [&[0x8100][..], &[0x88a8, 0x8100], &[0x9100, 0x8100], &[0x8100; VLAN_TAGS_MAX]] {
            let frame = ethernet(&[tags, &[0x0800]].concat(), &IPV4);
            assert_eq!(network_layer(LinkType::Ethernet, &frame), Ok(&IPV4[..]), "{tags:04x?}");
        }
        let frame = ethernet(&[&[0x8100; VLAN_TAGS_MAX + 1][..], &[0x0800]].concat(), &IPV4);
        assert_eq!(network_layer(LinkType::Ethernet, &frame), Err(NotIp::VlanDepth));
    }

    #[test]
    fn snap_frames_carry_ip_too() {
        let snap = |ethertype: [u8; 2]| [&[0xaa, 0xaa, 3, 0, 0, 0][..], &ethertype, &IPV4].concat();
        let frame = ethernet(&[11], &snap([8, 0]));
        assert_eq!(network_layer(LinkType::Ethernet, &frame), Ok(&IPV4[..]));
        let frame = ethernet(&[11], &snap([8, 6]));
        assert_eq!(network_layer(LinkType::Ethernet, &frame), Err(NotIp::Arp));
        // Cisco's organisation, 00000c, has protocol numbers of its own.
        let frame = ethernet(&[11], &[0xaa, 0xaa, 3, 0, 0, 0x0c, 0x20, 0]);
        assert_eq!(network_layer(LinkType::Ethernet, &frame), Err(NotIp::Llc));
    }

    #[test]
    fn other_protocols_have_a_fixed_name() {
        for (ethertype, name) in [
            (0x0806, "ARP"),
            (0x88cc, "LLDP"),
            (0x0026, "802.3 LLC"),
            (0x8847, "ethertype 0x8847"),
            (0x8864, "ethertype 0x8864"),
        ] {
            let reason = network_layer(LinkType::Ethernet, &ethernet(&[ethertype], &[0x42; 8])).unwrap_err();
            assert_eq!(reason.to_string(), name);
        }
        let reason = network_layer(LinkType::from_number(105), &IPV4).unwrap_err();
        assert_eq!(reason.to_string(), "unsupported link type 105");
    }

    #[test]
    fn linux_cooked_captures() {
        let sll =
            |protocol: [u8; 2]| cooked(&[0, 4, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0, protocol[0], protocol[1]], &IPV4);
        assert_eq!(network_layer(LinkType::LinuxSll, &sll([0x08, 0x00])), Ok(&IPV4[..]));
        assert_eq!(network_layer(LinkType::LinuxSll, &sll([0x08, 0x06])), Err(NotIp::Arp));
        assert_eq!(network_layer(LinkType::LinuxSll, &sll([0, 4])), Err(NotIp::Llc));
        assert_eq!(network_layer(LinkType::LinuxSll, &sll([0, 12])), Err(NotIp::EtherType(12)));

        let header = [0x86, 0xdd, 0, 0, 0, 0, 0, 2, 0, 1, 4, 6, 1, 2, 3, 4, 5, 6, 0, 0];
        assert_eq!(network_layer(LinkType::LinuxSll2, &cooked(&header, &IPV6)), Ok(&IPV6[..]));
        let header = [0x81, 0x00, 0, 0, 0, 0, 0, 2, 0, 1, 4, 6, 1, 2, 3, 4, 5, 6, 0, 0];
        let tagged = [&[0, 7, 8, 0][..], &IPV4].concat();
        assert_eq!(network_layer(LinkType::LinuxSll2, &cooked(&header, &tagged)), Ok(&IPV4[..]));
    }

    #[test]
    fn loopback_families_are_read_in_both_byte_orders() {
        for family in [2, 10, 24, 28, 30_u32] {
            for header in [family.to_be_bytes(), family.to_le_bytes()] {
                assert_eq!(network_layer(LinkType::Null, &cooked(&header, &IPV6)), Ok(&IPV6[..]));
                assert_eq!(network_layer(LinkType::Loop, &cooked(&header, &IPV6)), Ok(&IPV6[..]));
            }
        }
        assert_eq!(network_layer(LinkType::Null, &[7, 0, 0, 0, 0x45]), Err(NotIp::AddressFamily(7)));
    }

    #[test]
    fn raw_needs_a_known_version() {
        assert_eq!(network_layer(LinkType::Raw, &IPV4), Ok(&IPV4[..]));
        assert_eq!(network_layer(LinkType::Raw, &[0x55]), Err(NotIp::Version(5)));
        assert_eq!(network_layer(LinkType::Raw, &[]), Err(NotIp::NoPayload));
    }

    #[test]
    fn every_shortened_frame_is_refused_without_a_panic() {
        let frames = [
            (LinkType::Ethernet, ethernet(&[0x88a8, 0x8100, 0x0800], &[])),
            (LinkType::Ethernet, ethernet(&[0x0026], &[])),
            (LinkType::LinuxSll, vec![0; 16]),
            (LinkType::LinuxSll2, vec![8; 20]),
            (LinkType::Null, vec![2, 0, 0, 0]),
            (LinkType::Loop, vec![0, 0, 0, 2]),
        ];
        for (link, frame) in frames {
            for length in 0..=frame.len() {
                assert!(network_layer(link, &frame[..length]).is_err(), "{link:?} of {length} bytes");
            }
            assert_eq!(network_layer(link, &frame[..3]), Err(NotIp::TruncatedLinkHeader));
        }
    }

    #[test]
    fn numbers_map_to_link_types_without_the_check_sequence_bits() {
        assert_eq!(LinkType::from_number(0x1400_0001), LinkType::Ethernet);
        for number in [12, 14, 101, 228, 229] {
            assert_eq!(LinkType::from_number(number), LinkType::Raw);
        }
        assert_eq!(LinkType::from_number(113), LinkType::LinuxSll);
        assert_eq!(LinkType::from_number(276), LinkType::LinuxSll2);
        assert_eq!(LinkType::from_number(0), LinkType::Null);
        assert_eq!(LinkType::from_number(108), LinkType::Loop);
        assert_eq!(LinkType::from_number(147), LinkType::Unsupported(147));
    }
}
