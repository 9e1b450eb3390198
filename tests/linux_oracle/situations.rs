//! All situations, and where egressim differs from the kernel in them: which packets, how, and why.

use crate::comparison::Kind::{
    self, AnotherPort, KernelFragments, KernelLeaks, OnlyEgressimForwards, OnlyKernelAnswers, OnlyKernelForwards,
};
use egressim::trace::DropCause::{OutOfResources, SimFragmentUnsupported};

/// Why it is right that there is a difference, or at least known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    FalseExhaustion,
    EarlyReuse,
    Reopened,
    Invalid,
    TransportChecksum,
    HeaderChecksum,
    OwnAddress,
    Mtu,
    Fragments,
}

impl Why {
    pub const ALL: [Why; 9] = [
        Why::FalseExhaustion,
        Why::EarlyReuse,
        Why::Reopened,
        Why::Invalid,
        Why::TransportChecksum,
        Why::HeaderChecksum,
        Why::OwnAddress,
        Why::Mtu,
        Why::Fragments,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Why::FalseExhaustion => "false exhaustion",
            Why::EarlyReuse => "port reused before TIME_WAIT is over",
            Why::Reopened => "socket reopened in TIME_WAIT",
            Why::Invalid => "INVALID",
            Why::TransportChecksum => "transport checksum",
            Why::HeaderChecksum => "header checksum",
            Why::OwnAddress => "the kernel's own address",
            Why::Mtu => "MTU",
            Why::Fragments => "fragments",
        }
    }

    pub fn text(self) -> &'static str {
        match self {
            Why::FalseExhaustion => {
                "The kernel looks at 128 ports from a random one on, then at 64, 32 and 16 from others, and drops the \
                 packet when all of these are taken. egressim finds the last free port: Google promises a number of \
                 ports, and names no drop while one of them is free."
            }
            Why::EarlyReuse => {
                "For a SYN with a higher sequence number than the old connection had, the kernel throws out an entry \
                 in TIME_WAIT or CLOSE, and takes its port. Google documents that the port of a closed connection \
                 cannot be used for that destination until TIME_WAIT is over; that a reset counts as a close is \
                 assumed (model.nat.rst)."
            }
            Why::Reopened => {
                "The kernel lets a SYN of the same socket begin its entry anew. Here the old connection's NAT IP and \
                 port are barred for this destination until TIME_WAIT is over, so it gets another port."
            }
            Why::Invalid => {
                "Conntrack tracks sequence numbers and flags. What does not fit is INVALID, is not translated, and is \
                 forwarded with its private source unless a filter drops it. egressim looks at neither, and lets no \
                 private source out: it translates."
            }
            Why::TransportChecksum => {
                "Conntrack verifies TCP and UDP checksums, and wrong ones are INVALID, as above. egressim looks at no \
                 checksum: it translates, and leaves it as wrong as it was."
            }
            Why::HeaderChecksum => {
                "The kernel discards a packet whose IP header checksum is wrong, as RFC 1812 (5.2.2) demands of \
                 routers. egressim forwards it, as wrong as it was: a capture made where a network card fills in \
                 checksums holds packets without them, which were right on the wire."
            }
            Why::OwnAddress => {
                "The NAT IP is the kernel's own address, where it is a host, too: what nobody has asked for gets an \
                 ICMP error or a reset. Behind a NAT IP of Cloud NAT there is no host, and it is dropped in silence."
            }
            Why::Mtu => {
                "The kernel's link to the server has an MTU of 1280. egressim's links have none: it neither cuts \
                 packets into fragments, nor refuses those that may not be cut."
            }
            Why::Fragments => {
                "The kernel puts fragments together, translates, and cuts again. Cloud NAT does not support fragments."
            }
        }
    }
}

/// A difference that is known.
pub struct Declared {
    pub kind: Kind,
    pub count: usize,
    /// The packets' IP identifications, numbers and ranges; fragments of one packet share theirs.
    pub packets: &'static str,
    pub why: Why,
}

pub struct Situation {
    pub name: &'static str,
    pub differences: &'static [Declared],
}

const fn same(name: &'static str) -> Situation {
    Situation { name, differences: &[] }
}

const fn differs(name: &'static str, differences: &'static [Declared]) -> Situation {
    Situation { name, differences }
}

const fn declared(kind: Kind, count: usize, packets: &'static str, why: Why) -> Declared {
    Declared { kind, count, packets, why }
}

pub const SITUATIONS: &[Situation] = &[
    same("a01_udp64_1dst"),
    same("a02_udp64_100dst"),
    same("a03_tcp64_1dst"),
    same("a04_tcp64_100dst"),
    same("a05_udp64_10dst_1000flows"),
    same("a06_tcp_udp_share"),
    same("b01_preserve_in_range"),
    same("b02_one_socket_100dst"),
    same("b03_same_sport_2clients"),
    same("b04_low_ports"),
    same("b05_masq_fully_random"),
    same("b05_masq_persistent"),
    same("b05_masq_random"),
    differs(
        "c01_fill_1024_t0",
        &[declared(OnlyEgressimForwards, 7, "935 961 992-993 999 1006 1020", Why::FalseExhaustion)],
    ),
    same("c01_fill_128_t0"),
    differs("c01_fill_256_t0", &[declared(OnlyEgressimForwards, 2, "245 257", Why::FalseExhaustion)]),
    differs("c01_fill_4096_t0", &[declared(OnlyEgressimForwards, 47, FILL_4096, Why::FalseExhaustion)]),
    differs("c01_fill_512_t0", &[declared(OnlyEgressimForwards, 6, "495-496 504 507 512-513", Why::FalseExhaustion)]),
    same("d01_udp_timeout_reuse"),
    differs(
        "d02_tcp_fin_higher_isn",
        &[declared(OnlyKernelForwards(OutOfResources), 63, "386-447 449", Why::EarlyReuse)],
    ),
    same("d02_tcp_fin_lower_isn"),
    same("d02_tcp_open_higher_isn"),
    same("d02_tcp_open_lower_isn"),
    differs("d02_tcp_rst_higher_isn", &[declared(OnlyKernelForwards(OutOfResources), 64, "258-321", Why::EarlyReuse)]),
    same("d02_tcp_rst_lower_isn"),
    differs(
        "d02_tcp_srst_higher_isn",
        &[declared(OnlyKernelForwards(OutOfResources), 62, "258-318 321", Why::EarlyReuse)],
    ),
    same("d02_tcp_srst_lower_isn"),
    differs("d03_same_tuple_reopen", &[declared(AnotherPort, 1, "8", Why::Reopened)]),
    same("d04_syn_retry_after_exhaustion"),
    same("e01_icmp_echo"),
    same("e02_icmp_error_back"),
    differs("e03_icmp_error_unknown", &[declared(OnlyKernelAnswers, 3, "5-7", Why::OwnAddress)]),
    same("e04_ttl"),
    differs(
        "e05_mtu",
        &[
            declared(OnlyEgressimForwards, 1, "2", Why::Mtu),
            declared(OnlyKernelAnswers, 1, "2", Why::Mtu),
            declared(KernelFragments, 1, "3", Why::Mtu),
        ],
    ),
    differs("f01_fragments", &[declared(OnlyKernelForwards(SimFragmentUnsupported), 9, "2-3 6", Why::Fragments)]),
    differs(
        "f02_udp_csum0",
        &[
            declared(KernelLeaks, 2, "3-4", Why::TransportChecksum),
            declared(OnlyEgressimForwards, 1, "5", Why::HeaderChecksum),
        ],
    ),
    differs("g01_invalid_leak", &[declared(KernelLeaks, 9, "4-9 13-15", Why::Invalid)]),
    same("h01_snat_4ip"),
    same("h01_snat_4ip_fully_random"),
    same("h01_snat_4ip_persistent"),
    same("h01_snat_4ip_random"),
    same("h02_multi_ip_exhaust"),
];

const FILL_4096: &str = "3858 3889 3894 3905 3921 3949 3952 3958 3980-3981 3986 3989 3997 4005 4014-4015 4017-4018 \
    4027 4037-4038 4045 4048-4049 4055 4057-4059 4061-4063 4066 4069-4070 4073-4074 4076 4078 4080-4081 4087-4088 4090 \
    4092 4094 4096-4097";
