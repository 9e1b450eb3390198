#!/usr/bin/env python3
"""Makes a capture for measuring speed: UDP packets of one size, in as many flows as asked for.

    synthesize.py --packets 1000000 --flows 1000 --destinations 16 OUT.pcap

Clients are 10.x.y.z, destinations 198.51.100.1 to .N, port 443, Ethernet, valid checksums, one packet a microsecond. The
same arguments make the same bytes.
"""

import argparse
import ipaddress
import os
import random
import struct
import sys

FIRST_CLIENT = int(ipaddress.ip_address("10.0.0.1"))
FIRST_DESTINATION = int(ipaddress.ip_address("198.51.100.1"))
PORTS = range(1024, 65536)
DESTINATION_PORT = 443
START = 1_767_225_600  # 2026-01-01T00:00:00Z
ETHERNET, IPV4, UDP = 14, 20, 8
GATEWAY_MAC, CLIENT_MAC_PREFIX = bytes.fromhex("020000000001"), bytes.fromhex("0202")
CHUNK = 100_000  # packets written at a time


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def frame(client, source_port, destination, size):
    """One Ethernet frame of `size` bytes (without the frame check sequence, which captures do not hold)."""
    src, dst = client.to_bytes(4, "big"), destination.to_bytes(4, "big")
    payload = bytes(i & 0xFF for i in range(size - ETHERNET - IPV4 - UDP))
    udp = struct.pack("!HHHH", source_port, DESTINATION_PORT, UDP + len(payload), 0) + payload
    # A sum of zero is sent as all ones: zero would say that there is none.
    udp_sum = checksum(src + dst + struct.pack("!HH", 17, len(udp)) + udp) or 0xFFFF
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, IPV4 + len(udp), 0, 0x4000, 64, 17, 0, src, dst)
    ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
    ethernet = GATEWAY_MAC + CLIENT_MAC_PREFIX + src + b"\x08\x00"
    return ethernet + ip + udp[:6] + struct.pack("!H", udp_sum) + udp[8:]


def endpoints(flow, clients, destinations):
    """Flow number to (client, source port, destination), all different, evenly spread over both.

    Each client goes through its ports, and each port of it through all destinations before the next. Starting a client
    at the destination of its own number spreads few flows over many clients evenly too:
    2 clients, 2 destinations: flow 0 -> (0, 1024, 0), 1 -> (1, 1024, 1), 2 -> (0, 1024, 1), 3 -> (1, 1024, 0), 4 -> (0, 1025, 0).
    """
    turn, client = divmod(flow, clients)
    port, destination = divmod(turn, destinations)
    return FIRST_CLIENT + client, PORTS[port], FIRST_DESTINATION + (destination + client) % destinations


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", metavar="OUT.pcap")
    parser.add_argument("--packets", type=int, default=1_000_000)
    parser.add_argument("--flows", type=int, default=1000, help="different (client, source port, destination) (default: 1000)")
    parser.add_argument("--destinations", type=int, default=16, help="1 to 254 (default: 16)")
    parser.add_argument("--clients", type=int, default=1, help="client addresses (default: 1)")
    parser.add_argument("--size", type=int, default=64, help="bytes of a frame, 42 to 1514 (default: 64)")
    parser.add_argument("--order", choices=["round-robin", "random"], default="round-robin")
    parser.add_argument("--seed", type=int, default=1, help="of the random order (default: 1)")
    parser.add_argument("--nanoseconds", action="store_true", help="timestamps in ns; the default is µs")
    arguments = parser.parse_args()
    for name, low, high in [
        ("packets", 1, 10**9),
        ("destinations", 1, 254),
        ("clients", 1, 2**24 - 2),
        ("size", ETHERNET + IPV4 + UDP, ETHERNET + 1500),
    ]:
        if not low <= getattr(arguments, name) <= high:
            parser.error(f"--{name} {getattr(arguments, name)}: from {low} to {high}")
    most = arguments.clients * arguments.destinations * len(PORTS)
    if not 1 <= arguments.flows <= most:
        parser.error(f"--flows {arguments.flows}: from 1 to {most} with these clients and destinations")

    length = struct.pack("<II", arguments.size, arguments.size)
    packets = [
        length + frame(*endpoints(flow, arguments.clients, arguments.destinations), arguments.size)
        for flow in range(arguments.flows)
    ]
    if arguments.order == "random":
        pick = random.Random(arguments.seed)
        choose = lambda number: packets[int(pick.random() * len(packets))]
    else:
        choose = lambda number: packets[number % len(packets)]
    tick = 1000 if arguments.nanoseconds else 1
    stamp = struct.Struct("<II").pack

    partial = arguments.output + ".partial"
    with open(partial, "wb") as file:
        magic = 0xA1B23C4D if arguments.nanoseconds else 0xA1B2C3D4
        file.write(struct.pack("<IHHiIII", magic, 2, 4, 0, 0, 65535, 1))
        for begin in range(0, arguments.packets, CHUNK):
            parts = []
            for number in range(begin, min(begin + CHUNK, arguments.packets)):
                second, microsecond = divmod(number, 1_000_000)
                parts.append(stamp(START + second, microsecond * tick))
                parts.append(choose(number))
            file.write(b"".join(parts))
    os.replace(partial, arguments.output)


if __name__ == "__main__":
    sys.exit(main())
