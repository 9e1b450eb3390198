//! One side of a TCP connection with a real stack: smoltcp's, in virtual time. smoltcp lives here and nowhere else.
//!
//! Each side has an interface and a socket of its own, because smoltcp looks at all sockets of an interface for every packet.
//! It sends and takes whole packets; what is in them is zeros, as nobody reads it. Where smoltcp is not what Cloud Run's
//! clients are, which is Linux:
//!
//! - *Retransmission timeout.* smoltcp's is one second at least (RFC 6298), Linux' 200 ms. Its clock runs five times as fast
//!   as the simulation's, so that a second of it is 200 ms; nothing else of Reno depends on the length of a second. Its longest
//!   timeout is 12 s then, where Linux' is 120 s.
//! - *SYN and SYN-ACK.* smoltcp repeats them like data. Here they are repeated by the client's and the server's schedule
//!   (`model.client.synSchedule`), and smoltcp's own repetitions are thrown away.
//! - *Congestion control.* smoltcp's Reno begins with 2 KB in flight, Linux with ten segments, and doubles at each round
//!   trip. Here nothing but the buffers, 64 KB at most, limits a side until it loses a segment; from then on it is Reno.
//! - *Delayed acknowledgements.* 40 ms, as Linux', but not adaptive.
//! - *Giving up.* smoltcp never does; whoever drives it does ([`GIVES_UP`]).
//! - *TIME_WAIT.* The driver ends a connection when it gets there.
//! - *Path MTU.* What a router says of it counts for what is sent from then on; what was lost comes again when its timer goes
//!   off, where Linux sends it again at once.
//!
//! Not there: SACK-based recovery, window scaling beyond the buffers. Draw no conclusions about throughput.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet, SocketStorage};
use smoltcp::phy::{Checksum, ChecksumCapabilities, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp::{CongestionControl, Socket, SocketBuffer, State};
use smoltcp::time::{Duration as StackDuration, Instant};
use smoltcp::wire::{HardwareAddress, IpCidr, IpEndpoint, IpListenEndpoint};

use super::half::SMALLEST_PATH_MTU;
use crate::time::SimTime;
use crate::wire::{Flow, Packet};

/// How many times as fast as the simulation's smoltcp's clock runs: its second is Linux' 200 ms.
const SPEED: u64 = 5;
/// Linux' delayed acknowledgement.
const ACK_DELAY: Duration = Duration::from_millis(40);
/// The VPC's MTU.
const MTU: usize = 1460;
/// Linux' 15 retransmissions (`tcp_retries2`) take so long.
pub(super) const GIVES_UP: Duration = Duration::from_millis(924_600);

/// Buffers of one side.
#[derive(Debug, Clone, Copy)]
pub(super) struct Buffers {
    /// For what it sends.
    pub(super) send: usize,
    /// For what it receives.
    pub(super) receive: usize,
}

impl Buffers {
    /// As small as the messages allow: at least two segments, at most Linux' first window.
    pub(super) fn for_messages(send: u64, receive: u64) -> Buffers {
        let size = |bytes: u64| usize::try_from(bytes.clamp(2 * MTU as u64, 65_535)).unwrap_or(65_535);
        Buffers { send: size(send), receive: size(receive) }
    }
}

/// What has become of a side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// The handshake is under way.
    Connecting,
    /// Data can be sent, or something of it is still to be acknowledged.
    Open,
    /// Both sides have closed, and all of it was acknowledged.
    Done,
    /// It was reset, or never came to be.
    Gone,
}

/// One side.
pub(super) struct End {
    interface: Interface,
    sockets: SocketSet<'static>,
    socket: SocketHandle,
    wire: Wire,
    /// Bytes that the application has written and the socket has not taken yet.
    unwritten: u64,
    /// The application has closed.
    closing: bool,
    /// Bytes received in order.
    pub(super) received: u64,
    /// The other side has closed, and all before that was received.
    pub(super) peer_closed: bool,
    /// The latest packet of the handshake, to be repeated by schedule.
    handshake: Option<Vec<u8>>,
    /// Both sides have closed in the end.
    ended_well: bool,
    /// Behind the last byte that was ever sent, once something was.
    sent_to: Option<u32>,
    /// A segment had to be sent again.
    has_lost: bool,
    /// When its next timer is asked for.
    pub(super) wakes_at: SimTime,
}

impl std::fmt::Debug for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("End").field("state", &self.state()).field("received", &self.received).finish_non_exhaustive()
    }
}

impl End {
    /// The side that connects. `flow` is as it sends it.
    pub(super) fn client(flow: Flow, buffers: Buffers, seed: u64, now: SimTime) -> End {
        let mut end = End::new(flow, buffers, seed, now);
        let (remote, local) = (endpoint(flow.dst(), flow.dst_port()), endpoint(flow.src(), flow.src_port()));
        let End { interface, sockets, socket, .. } = &mut end;
        let connected = sockets.get_mut::<Socket<'_>>(*socket).connect(interface.context(), remote, local);
        connected.expect("a new socket connects to any address and port");
        end
    }

    /// The side that listens. `flow` is as it sends it: the reverse of what has come.
    pub(super) fn server(flow: Flow, buffers: Buffers, seed: u64, now: SimTime) -> End {
        let mut end = End::new(flow, buffers, seed, now);
        let local = IpListenEndpoint { addr: Some(flow.src().into()), port: flow.src_port() };
        end.socket_mut().listen(local).expect("a new socket listens at any port");
        end
    }

    fn new(flow: Flow, buffers: Buffers, seed: u64, now: SimTime) -> End {
        let mut wire = Wire { mtu: MTU, ..Wire::default() };
        let interface = interface(flow.src(), seed, &mut wire, now);
        let mut socket =
            Socket::new(SocketBuffer::new(vec![0; buffers.receive]), SocketBuffer::new(vec![0; buffers.send]));
        socket.set_congestion_control(CongestionControl::None);
        socket.set_ack_delay(Some(StackDuration::from_micros(ACK_DELAY.as_micros() as u64 * SPEED)));
        socket.set_nagle_enabled(false);
        let mut sockets = SocketSet::new(vec![SocketStorage::EMPTY]);
        let socket = sockets.add(socket);
        End {
            interface,
            sockets,
            socket,
            wire,
            unwritten: 0,
            closing: false,
            received: 0,
            peer_closed: false,
            handshake: None,
            ended_well: false,
            sent_to: None,
            has_lost: false,
            wakes_at: SimTime::NEVER,
        }
    }

    fn state(&self) -> State {
        self.sockets.get::<Socket<'_>>(self.socket).state()
    }

    fn socket_mut(&mut self) -> &mut Socket<'static> {
        self.sockets.get_mut(self.socket)
    }

    /// What has become of it.
    pub(super) fn standing(&self) -> Standing {
        match self.state() {
            State::Listen | State::SynSent | State::SynReceived => Standing::Connecting,
            State::TimeWait => Standing::Done,
            State::Closed if self.ended_well => Standing::Done,
            State::Closed => Standing::Gone,
            _ => Standing::Open,
        }
    }

    /// The application writes so many bytes.
    pub(super) fn write(&mut self, bytes: u64) {
        self.unwritten += bytes;
    }

    /// The application closes: what it has written is sent before.
    pub(super) fn close(&mut self) {
        self.closing = true;
    }

    /// The application ends the connection at once: a reset is sent.
    pub(super) fn abort(&mut self) {
        self.socket_mut().abort();
    }

    /// A router says how large a packet may be: what was lost for that is sent again in smaller ones, when its timer goes off.
    pub(super) fn limit_packet(&mut self, mtu: u32, now: SimTime) {
        let Some(own) = self.interface.ip_addrs().first().map(|own| own.address().into()) else { return };
        let mtu = mtu.max(SMALLEST_PATH_MTU) as usize;
        if mtu < self.wire.mtu {
            // An interface keeps the MTU that it was made with; what is known of the connection is in the socket.
            self.wire.mtu = mtu;
            self.interface = interface(own, 0, &mut self.wire, now);
        }
    }

    /// Whether the application has closed.
    pub(super) fn is_closing(&self) -> bool {
        self.closing
    }

    /// A packet arrives. It is looked at by the next [`End::run`].
    pub(super) fn take(&mut self, packet: &Packet) {
        self.wire.arrived.push_back(packet.bytes().to_vec());
    }

    /// Lets the stack and the application do what they can now, and takes what it sends.
    pub(super) fn run(&mut self, now: SimTime) -> Vec<Vec<u8>> {
        let at = stack_time(now);
        loop {
            let before = (self.state(), self.wire.sent.len(), self.received, self.unwritten);
            self.interface.poll(at, &mut self.wire, &mut self.sockets);
            self.be_the_application();
            let after = (self.state(), self.wire.sent.len(), self.received, self.unwritten);
            // Once more, for what the application has done.
            if before == after {
                break;
            }
        }
        let connecting = matches!(self.state(), State::SynSent | State::SynReceived);
        let mut sent = std::mem::take(&mut self.wire.sent);
        if connecting {
            // The first packet of the handshake goes out, repetitions do not: they come by schedule.
            if self.handshake.is_some() {
                sent.clear();
            } else {
                self.handshake = sent.first().cloned();
                sent.truncate(1);
            }
        } else {
            self.handshake = None;
            self.notice_loss(&sent);
        }
        sent
    }

    /// Data that was sent before was lost: from now on there is congestion control.
    fn notice_loss(&mut self, sent: &[Vec<u8>]) {
        for packet in sent {
            let Some((seq, _, payload)) = Packet::parse(packet).ok().and_then(|packet| packet.tcp_numbers()) else {
                continue;
            };
            if payload == 0 {
                continue;
            }
            let again = self.sent_to.is_some_and(|sent_to| (seq.wrapping_sub(sent_to) as i32) < 0);
            if again && !std::mem::replace(&mut self.has_lost, true) {
                self.socket_mut().set_congestion_control(CongestionControl::Reno);
            }
            let end = seq.wrapping_add(payload);
            if self.sent_to.is_none_or(|sent_to| (end.wrapping_sub(sent_to) as i32) > 0) {
                self.sent_to = Some(end);
            }
        }
    }

    /// The packet of the handshake, once more.
    pub(super) fn repeat_handshake(&self) -> Option<Vec<u8>> {
        self.handshake.clone()
    }

    /// When the stack's next timer goes off.
    pub(super) fn next_timer(&mut self, now: SimTime) -> Option<SimTime> {
        // Handshakes are repeated by others.
        if matches!(self.state(), State::Listen | State::SynSent | State::SynReceived) {
            return None;
        }
        let at = self.interface.poll_at(stack_time(now), &self.sockets)?;
        let nanos = (at.total_micros().max(0) as u64).saturating_mul(1000).div_ceil(SPEED);
        Some(SimTime::from_nanos(nanos).max(now))
    }

    /// Reads what has come, and writes what is to be sent.
    fn be_the_application(&mut self) {
        let before = self.state();
        let End { sockets, socket, unwritten, received, closing, peer_closed, .. } = self;
        let socket = sockets.get_mut::<Socket<'_>>(*socket);
        while socket.can_recv() {
            *received += socket.recv(|bytes| (bytes.len(), bytes.len())).map_or(0, |bytes| bytes as u64);
        }
        while *unwritten > 0 && socket.can_send() {
            // The buffer holds zeros already.
            let taken = socket.send(|buffer| {
                let taken = (buffer.len() as u64).min(*unwritten) as usize;
                (taken, taken)
            });
            *unwritten -= taken.map_or(0, |taken| taken as u64);
        }
        *peer_closed |= matches!(before, State::CloseWait | State::LastAck | State::Closing | State::TimeWait);
        if *closing && *unwritten == 0 && matches!(before, State::Established | State::CloseWait) {
            socket.close();
        }
        // From there on only the last acknowledgement is missing.
        self.ended_well |= matches!(self.state(), State::LastAck | State::Closing | State::TimeWait);
    }
}

/// An interface with one address.
fn interface(own: IpAddr, seed: u64, wire: &mut Wire, now: SimTime) -> Interface {
    let mut config = Config::new(HardwareAddress::Ip);
    config.random_seed = seed;
    let mut interface = Interface::new(config, wire, stack_time(now));
    let length = if own.is_ipv4() { 32 } else { 128 };
    interface.update_ip_addrs(|addresses| {
        addresses.push(IpCidr::new(own.into(), length)).expect("it has room for one address");
    });
    interface
}

fn endpoint(address: IpAddr, port: u16) -> IpEndpoint {
    IpEndpoint { addr: address.into(), port }
}

/// The simulation's time on smoltcp's clock.
fn stack_time(now: SimTime) -> Instant {
    Instant::from_micros((u128::from(now.as_nanos()) * u128::from(SPEED) / 1000) as i64)
}

/// What connects a side to the simulation: packets that have arrived, and those to be sent.
#[derive(Debug, Default)]
struct Wire {
    /// Bytes of the largest packet.
    mtu: usize,
    arrived: VecDeque<Vec<u8>>,
    sent: Vec<Vec<u8>>,
}

struct Arrived(Vec<u8>);

struct Sending<'a>(&'a mut Vec<Vec<u8>>);

impl Device for Wire {
    type RxToken<'a> = Arrived;
    type TxToken<'a> = Sending<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Arrived, Sending<'_>)> {
        let packet = self.arrived.pop_front()?;
        Some((Arrived(packet), Sending(&mut self.sent)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Sending<'_>> {
        Some(Sending(&mut self.sent))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = self.mtu;
        // What arrives was kept right on the way, or it was wrong from the start.
        let mut checksum = ChecksumCapabilities::default();
        checksum.ipv4 = Checksum::Tx;
        checksum.tcp = Checksum::Tx;
        capabilities.checksum = checksum;
        capabilities
    }
}

impl RxToken for Arrived {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(&self.0)
    }
}

impl TxToken for Sending<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, write: F) -> R {
        let mut packet = vec![0; length];
        let result = write(&mut packet);
        self.0.push(packet);
        result
    }
}
