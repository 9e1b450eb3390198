//! What a translator remembers of a TCP connection: enough to choose the timer, nothing more.
//!
//! Google names the timers (established, transitory, TIME_WAIT) but not the transitions. These follow RFC 5382 and the
//! reference's model: a SYN starts the transitory timer; SYN-ACK and the ACK after it make the connection established; the
//! first FIN makes it transitory again; a FIN from both sides, or an RST from either, ends it. Sequence numbers are
//! not looked at: no source says that Cloud NAT does, and the Linux kernel's conntrack, which does, lets what it calls
//! invalid pass untranslated.
//!
//! ```text
//!            SYN out              SYN-ACK in            ACK out
//!   (none) ──────────> SynSent ──────────> SynAcked ──────────> Established
//!      │ no SYN (midstream)                                       │ FIN      │ RST
//!      └──────────────> Midstream ── any answer ──────────────────┤          v
//!                                                    FinOut/FinIn ┴─ FIN ─> Closed
//! ```

use crate::wire::{Direction, tcp_flags};

/// Where a connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// UDP and ICMP: no connection, only idle time.
    Datagram,
    /// A SYN went out.
    SynSent,
    /// The SYN-ACK came.
    SynAcked,
    /// Data without a SYN went out: the connection is older than the mapping.
    Midstream,
    /// Open.
    Established,
    /// The inside has sent its FIN.
    FinOut,
    /// The outside has sent its FIN.
    FinIn,
    /// Both have, or one has sent an RST: the port rests.
    TimeWait,
}

/// Which timer runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Timer {
    /// `udpIdleTimeoutSec`
    Udp = 0,
    /// `icmpIdleTimeoutSec`
    Icmp = 1,
    /// `tcpTransitoryIdleTimeoutSec`
    TcpTransitory = 2,
    /// `tcpEstablishedIdleTimeoutSec`
    TcpEstablished = 3,
    /// `tcpTimeWaitTimeoutSec`
    TcpTimeWait = 4,
}

impl Timer {
    /// How many there are.
    pub const COUNT: usize = 5;
}

impl Phase {
    /// The phase of a connection whose first packet, outbound, has these flags.
    pub fn of_first_packet(flags: u8) -> Phase {
        if flags & tcp_flags::RST != 0 {
            Phase::TimeWait
        } else if flags & tcp_flags::SYN != 0 {
            Phase::SynSent
        } else if flags & tcp_flags::FIN != 0 {
            Phase::FinOut
        } else {
            Phase::Midstream
        }
    }

    /// Whether it was closed before it was forgotten.
    pub const fn is_open(self) -> bool {
        !matches!(self, Phase::TimeWait)
    }

    /// The phase after a packet with these flags.
    #[inline]
    pub fn after(self, direction: Direction, flags: u8) -> Phase {
        use Direction::{Inbound, Outbound};
        if self == Phase::Datagram || self == Phase::TimeWait {
            return self;
        }
        if flags & tcp_flags::RST != 0 {
            return Phase::TimeWait;
        }
        let fin = flags & tcp_flags::FIN != 0;
        match (self, direction) {
            (Phase::FinOut, Inbound) | (Phase::FinIn, Outbound) if fin => Phase::TimeWait,
            (Phase::FinOut | Phase::FinIn, _) => self,
            (_, Outbound) if fin => Phase::FinOut,
            (_, Inbound) if fin => Phase::FinIn,
            (Phase::SynSent, Inbound) if flags & tcp_flags::SYN != 0 => Phase::SynAcked,
            (Phase::SynAcked, Outbound) if flags & tcp_flags::SYN == 0 => Phase::Established,
            (Phase::Midstream, Inbound) => Phase::Established,
            _ => self,
        }
    }

    /// The timer that runs in this phase of a TCP connection.
    #[inline]
    pub const fn timer(self) -> Timer {
        match self {
            Phase::Datagram => Timer::Udp,
            Phase::SynSent | Phase::SynAcked | Phase::Midstream | Phase::FinOut | Phase::FinIn => Timer::TcpTransitory,
            Phase::Established => Timer::TcpEstablished,
            Phase::TimeWait => Timer::TcpTimeWait,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Direction::{Inbound, Outbound};
    use tcp_flags::{ACK, FIN, RST, SYN};

    fn run(packets: &[(Direction, u8)]) -> Phase {
        let first = Phase::of_first_packet(packets[0].1);
        packets[1..].iter().fold(first, |phase, &(direction, flags)| phase.after(direction, flags))
    }

    const OPEN: [(Direction, u8); 3] = [(Outbound, SYN), (Inbound, SYN | ACK), (Outbound, ACK)];

    #[test]
    fn the_handshake_establishes() {
        assert_eq!(run(&OPEN[..1]), Phase::SynSent);
        assert_eq!(run(&OPEN[..2]), Phase::SynAcked);
        assert_eq!(run(&OPEN), Phase::Established);
    }

    #[test]
    fn retransmitted_handshake_packets_change_nothing() {
        assert_eq!(run(&[(Outbound, SYN), (Outbound, SYN)]), Phase::SynSent);
        assert_eq!(run(&[OPEN[0], OPEN[1], (Inbound, SYN | ACK)]), Phase::SynAcked);
        assert_eq!(run(&[OPEN[0], OPEN[1], (Outbound, SYN)]), Phase::SynAcked);
    }

    #[test]
    fn either_side_may_close_first_and_the_end_is_the_same() {
        for (first, second) in [(Outbound, Inbound), (Inbound, Outbound)] {
            let half = [&OPEN[..], &[(first, FIN | ACK)]].concat();
            assert_eq!(run(&half).timer(), Timer::TcpTransitory);
            assert_eq!(
                run(&[&half[..], &[(first, FIN | ACK)]].concat()).timer(),
                Timer::TcpTransitory,
                "a repeated FIN"
            );
            assert_eq!(run(&[&half[..], &[(second, FIN | ACK)]].concat()), Phase::TimeWait);
        }
    }

    #[test]
    fn a_reset_from_either_side_ends_it_and_nothing_revives_it() {
        for side in [Outbound, Inbound] {
            assert_eq!(run(&[OPEN[0], (side, RST)]), Phase::TimeWait);
            assert_eq!(run(&[OPEN[0], (side, RST), (Outbound, ACK)]), Phase::TimeWait);
        }
        assert_eq!(run(&[(Outbound, RST)]), Phase::TimeWait);
    }

    #[test]
    fn a_connection_seen_from_the_middle_is_established_once_answered() {
        assert_eq!(run(&[(Outbound, ACK)]), Phase::Midstream);
        assert_eq!(run(&[(Outbound, ACK), (Inbound, ACK)]), Phase::Established);
    }
}
