//! Port blocks: how a gateway's ports are set aside for its endpoints.
//!
//! Google documents that ports are reserved in powers of two. Two observed gateways (one NAT IP, `minPortsPerVm` 32000)
//! show more: a VM got 16384-32767 and 32768-49151, the next one 49152-65535 only, the others nothing. So blocks are
//! aligned to their size, at most 16,384 ports long, and since ports 0 to 1023 are never used, the first block of 16,384
//! starts at 16384. A usable IP has `65536 - size` ports for blocks of 1,024 and more: 57,344 for blocks of 8,192, which is the
//! documented static maximum.
//!
//! ```text
//!   min 32000: block = 16384, ceil(32000 / 16384) = 2 blocks      min 64: block = 64, 1 block
//!   IP: |0..1023 never| 1024 .. 16383 too small | 16384 | 32768 | 49152 |
//! ```

use std::collections::BTreeSet;
use std::fmt;
use std::net::Ipv4Addr;

/// Ports below this are never given out (Google: 64,512 = 65,536 - 1,024 ports an IP).
const FIRST_PORT: u32 = 1024;
/// See [`ports_at_least`] (<https://docs.cloud.google.com/nat/docs/ports-and-addresses>, 2026-04).
const ALIAS_RANGE_PORTS: u32 = 1024;
/// Ports of an address that can be given out.
const PORTS_OF_AN_IP: u32 = 65_536 - FIRST_PORT;
/// The largest block observed.
const MAX_BLOCK: u32 = 16_384;
/// log2 of the number of ports of an address.
const ORDERS: usize = 17;

/// Ports set aside for one endpoint on one NAT IP. It comes from a [`PortPool`] and goes back to it by [`PortPool::release`].
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a block that is not released is lost to the pool"]
pub struct PortBlock {
    ip: Ipv4Addr,
    first: u16,
    /// Between 1 and 16,384, a power of two.
    size: u32,
}

impl PortBlock {
    /// NAT IP.
    pub fn ip(&self) -> Ipv4Addr {
        self.ip
    }

    /// First port.
    pub fn first(&self) -> u16 {
        self.first
    }

    /// Number of ports.
    pub fn size(&self) -> u32 {
        self.size
    }

    /// Parts with the upper half of its ports.
    pub fn halve(&mut self) -> PortBlock {
        self.size /= 2;
        PortBlock { ip: self.ip, first: self.first + self.size as u16, size: self.size }
    }

    /// Whether a NAT IP's port is one of these.
    pub fn contains(&self, ip: Ipv4Addr, port: u16) -> bool {
        self.ip == ip && u32::from(port).wrapping_sub(u32::from(self.first)) < self.size
    }
}

impl fmt::Display for PortBlock {
    /// `203.0.113.10:1024-1535`, as `natIpPortRanges` has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}-{}", self.ip, self.first, u32::from(self.first) + self.size - 1)
    }
}

/// The ports that an interface is to have at least. Google gives one that serves an alias range of more than one address (a
/// GKE node) 1,024 or more, with static allocation.
pub fn ports_at_least(min_ports: u32, dynamic: bool, serves_alias_range: bool) -> u32 {
    if serves_alias_range && !dynamic { min_ports.max(ALIAS_RANGE_PORTS) } else { min_ports }
}

/// How many blocks of what size a minimum of `ports` takes.
///
/// ```
/// use egressim::node::nat::block_shape;
///
/// assert_eq!(block_shape(64), (1, 64));
/// assert_eq!(block_shape(50), (2, 32));        // 64 ports: rounded up to the next multiple
/// assert_eq!(block_shape(32_000), (2, 16_384)); // 32,768 ports
/// assert_eq!(block_shape(57_344), (4, 16_384));
/// ```
pub fn block_shape(ports: u32) -> (u32, u32) {
    let ports = ports.max(1);
    let size = (1 << ports.ilog2()).min(MAX_BLOCK);
    (ports.div_ceil(size), size)
}

/// Sizes of the blocks that are set aside for an endpoint that has `have` ports and is to have at least `ports`. A new
/// endpoint gets those of [`block_shape`]. One that has some gets what it lacks in powers of two, so that in the end it
/// has as many as a new one.
///
/// ```
/// use egressim::node::nat::blocks_lacking;
///
/// assert_eq!(blocks_lacking(0, 32_000).collect::<Vec<_>>(), [16_384, 16_384]);
/// assert_eq!(blocks_lacking(64, 1024).collect::<Vec<_>>(), [512, 256, 128, 64]);
/// assert_eq!(blocks_lacking(128, 64).count(), 0);
/// ```
pub fn blocks_lacking(have: u32, ports: u32) -> impl Iterator<Item = u32> {
    let (blocks, size) = block_shape(ports);
    let mut lacking = if have < ports { blocks * size - have } else { 0 };
    std::iter::from_fn(move || {
        let largest = if have == 0 { size } else { MAX_BLOCK };
        let next = (1 << lacking.checked_ilog2()?).min(largest);
        lacking -= next;
        Some(next)
    })
}

/// What goes of an endpoint's last block when its minimum is lowered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Excess {
    /// All of it.
    Block,
    /// The upper half.
    Half,
}

/// What goes next of `ports` ports, the last block of which has `last`, so that at least `floor` stay. To be asked again
/// until nothing goes.
pub fn excess(ports: u32, last: u32, floor: u32) -> Option<Excess> {
    if ports - last >= floor {
        Some(Excess::Block)
    } else {
        (last > 1 && ports - last / 2 >= floor).then_some(Excess::Half)
    }
}

/// Blocks of this size that fit on one NAT IP.
pub fn blocks_per_ip(size: u32) -> u32 {
    (65_536 - FIRST_PORT.max(size)) / size
}

/// One NAT IP's free ports, as maximal aligned blocks: a buddy allocator.
#[derive(Debug, Clone)]
struct FreePorts {
    ip: Ipv4Addr,
    /// Free blocks by log2 of their size, by first port.
    by_order: [BTreeSet<u32>; ORDERS],
}

impl FreePorts {
    fn new(ip: Ipv4Addr) -> Self {
        let mut by_order: [BTreeSet<u32>; ORDERS] = Default::default();
        // 1024..2048, 2048..4096, …, 32768..65536.
        for (order, blocks) in by_order.iter_mut().enumerate().skip(10).take(6) {
            blocks.insert(1 << order);
        }
        FreePorts { ip, by_order }
    }

    /// First fit: the lowest aligned place for `2^order` ports.
    fn take(&mut self, order: usize) -> Option<u32> {
        let found = (order..ORDERS).filter_map(|o| self.by_order[o].first().map(|&first| (first, o))).min()?;
        let (first, mut have) = found;
        self.by_order[have].remove(&first);
        while have > order {
            have -= 1;
            self.by_order[have].insert(first + (1 << have));
        }
        Some(first)
    }

    fn give(&mut self, mut first: u32, mut order: usize) {
        loop {
            let buddy = first ^ (1 << order);
            // Blocks never merge across 1024 (below it nothing is free), nor beyond half of the address.
            if order + 1 >= ORDERS - 1 || !self.by_order[order].remove(&buddy) {
                break;
            }
            first = first.min(buddy);
            order += 1;
        }
        let fresh = self.by_order[order].insert(first);
        debug_assert!(fresh, "a block is free only once");
    }

    /// Takes this very place out, splitting the free block that holds it.
    fn claim(&mut self, first: u32, order: usize) {
        let holder = (order..ORDERS).find_map(|o| {
            let start = first >> o << o;
            self.by_order[o].contains(&start).then_some((start, o))
        });
        let (mut start, mut have) = holder.expect("a held block's place is free on a fresh address");
        self.by_order[have].remove(&start);
        while have > order {
            have -= 1;
            let half = start + (1 << have);
            if first >= half {
                self.by_order[have].insert(start);
                start = half;
            } else {
                self.by_order[have].insert(half);
            }
        }
    }

    fn free(&self) -> u32 {
        self.by_order.iter().enumerate().map(|(order, set)| (set.len() as u32) << order).sum()
    }
}

/// The ports of all active NAT IPs of a gateway.
#[derive(Debug, Clone, Default)]
pub struct PortPool {
    ips: Vec<FreePorts>,
    /// By log2 of a block's size: no address before this one has room for it, so that full ones are passed over at once.
    first_with_room: [usize; ORDERS],
}

impl PortPool {
    /// A pool over these addresses, in configured order.
    pub fn new(ips: impl IntoIterator<Item = Ipv4Addr>) -> Self {
        PortPool { ips: ips.into_iter().map(FreePorts::new).collect(), ..PortPool::default() }
    }

    /// Active addresses, in order.
    pub fn ips(&self) -> impl Iterator<Item = Ipv4Addr> + '_ {
        self.ips.iter().map(|free| free.ip)
    }

    /// Whether this address is active.
    pub fn has(&self, ip: Ipv4Addr) -> bool {
        self.ips.iter().any(|free| free.ip == ip)
    }

    /// Adds an address with all its ports free, unless it is there.
    pub fn add_ip(&mut self, ip: Ipv4Addr) {
        if !self.has(ip) {
            self.ips.push(FreePorts::new(ip));
        }
    }

    /// Takes an address out of the pool. Blocks on it that are still held are simply not taken back.
    pub fn remove_ip(&mut self, ip: Ipv4Addr) {
        self.ips.retain(|free| free.ip != ip);
        self.first_with_room = Default::default();
    }

    /// Takes out the addresses of which no port is set aside.
    pub(super) fn remove_unused_ips(&mut self) {
        self.ips.retain(|free| free.free() < PORTS_OF_AN_IP);
        self.first_with_room = Default::default();
    }

    /// Puts the active addresses into this order; addresses not listed keep their place behind them.
    pub fn reorder(&mut self, order: &[Ipv4Addr]) {
        self.ips.sort_by_key(|free| order.iter().position(|ip| *ip == free.ip).unwrap_or(usize::MAX));
        self.first_with_room = Default::default();
    }

    /// Sets aside `size` ports (a power of two up to 16,384): the lowest free aligned block of the first IP that has one.
    pub fn reserve(&mut self, size: u32) -> Option<PortBlock> {
        debug_assert!(size.is_power_of_two() && size <= MAX_BLOCK);
        let order = size.ilog2() as usize;
        let at = &mut self.first_with_room[order];
        while let Some(free) = self.ips.get_mut(*at) {
            if let Some(first) = free.take(order) {
                return Some(PortBlock { ip: free.ip, first: first as u16, size });
            }
            *at += 1;
        }
        None
    }

    /// Whether there is a free block of this size.
    pub fn has_room(&self, size: u32) -> bool {
        let order = size.ilog2() as usize;
        let perhaps = self.ips.iter().skip(self.first_with_room[order]);
        perhaps.map(|free| &free.by_order[order..]).any(|free| free.iter().any(|blocks| !blocks.is_empty()))
    }

    /// Sets aside a block that is already held, on an address that has come back.
    pub(super) fn claim(&mut self, block: &PortBlock) {
        if let Some(free) = self.ips.iter_mut().find(|free| free.ip == block.ip) {
            free.claim(u32::from(block.first), block.size.ilog2() as usize);
        }
    }

    /// Takes a block back.
    pub fn release(&mut self, block: PortBlock) {
        if let Some(free) = self.ips.iter_mut().find(|free| free.ip == block.ip) {
            free.give(u32::from(block.first), block.size.ilog2() as usize);
            self.first_with_room = Default::default();
        }
    }

    /// Free ports over all addresses.
    pub fn free(&self) -> u32 {
        self.ips.iter().map(FreePorts::free).sum()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const IP: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);

    fn pool(ips: u8) -> PortPool {
        PortPool::new((0..ips).map(|i| Ipv4Addr::new(203, 0, 113, 10 + i)))
    }

    #[test]
    fn the_sizing_table_of_googles_ports_page_comes_out() {
        // floor(64,512 / ports) for one IP; 2,016 = 2 × 1,008 for two.
        for (ports, vms) in [(64, 1008), (1024, 63), (2048, 31), (4096, 15), (8192, 7), (16_384, 3), (32_768, 1)] {
            let mut pool = pool(1);
            let (blocks, size) = block_shape(ports);
            let mut count = 0;
            while (0..blocks).all(|_| pool.reserve(size).is_some()) {
                count += 1;
            }
            assert_eq!(count, vms, "{ports} ports a VM");
        }
        let mut pool = pool(2);
        assert_eq!(std::iter::from_fn(|| pool.reserve(64)).count(), 2016);
    }

    #[test]
    fn blocks_of_32000_ports_are_those_that_were_observed() {
        let mut pool = pool(1);
        let (blocks, size) = block_shape(32_000);
        assert_eq!((blocks, size), (2, 16_384));
        let ranges: Vec<_> = std::iter::from_fn(|| pool.reserve(size)).map(|block| block.to_string()).collect();
        assert_eq!(ranges, ["203.0.113.10:16384-32767", "203.0.113.10:32768-49151", "203.0.113.10:49152-65535"]);
        assert_eq!(blocks_per_ip(size), 3);
    }

    #[test]
    fn the_first_port_is_1024_and_the_last_is_65535() {
        let mut pool = pool(1);
        let blocks: Vec<_> = std::iter::from_fn(|| pool.reserve(1024)).collect();
        assert_eq!(blocks.first().unwrap().to_string(), format!("{IP}:1024-2047"));
        assert_eq!(blocks.last().unwrap().to_string(), format!("{IP}:64512-65535"));
    }

    #[test]
    fn a_full_address_spills_to_the_next() {
        let mut pool = pool(2);
        let ips: Vec<_> = std::iter::from_fn(|| pool.reserve(16_384)).map(|block| block.ip()).collect();
        assert_eq!(ips.len(), 6);
        assert!(ips[..3].iter().all(|ip| *ip == IP) && ips[3..].iter().all(|ip| *ip != IP));
    }

    #[test]
    fn a_block_of_a_removed_address_is_not_taken_back() {
        let mut pool = pool(2);
        let block = pool.reserve(64).unwrap();
        pool.remove_ip(IP);
        pool.release(block);
        assert_eq!(pool.free(), 64_512);
    }

    proptest! {
        /// Reserved blocks never overlap, are aligned, and all ports come back.
        #[test]
        fn reserved_plus_free_is_all_there_is(steps in prop::collection::vec((any::<bool>(), 0u32..15), 1..200)) {
            let mut pool = pool(2);
            let mut held: Vec<PortBlock> = Vec::new();
            for (reserve, order) in steps {
                if reserve {
                    held.extend(pool.reserve(1 << order));
                } else if !held.is_empty() {
                    pool.release(held.swap_remove(order as usize % held.len()));
                }
                let in_use: u32 = held.iter().map(PortBlock::size).sum();
                prop_assert_eq!(in_use + pool.free(), 2 * 64_512);
                for (i, a) in held.iter().enumerate() {
                    prop_assert_eq!(u32::from(a.first()) % a.size(), 0);
                    prop_assert!(a.first() >= 1024);
                    for b in &held[i + 1..] {
                        let (a0, b0) = (u32::from(a.first()), u32::from(b.first()));
                        prop_assert!(a.ip() != b.ip() || a0 + a.size() <= b0 || b0 + b.size() <= a0);
                    }
                }
            }
            for block in held { pool.release(block); }
            prop_assert_eq!(pool.reserve(16_384).unwrap().first(), 16_384);
        }
    }
}
