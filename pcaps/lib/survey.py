#!/usr/bin/env python3
"""Counts what is in a capture and checks that it is fit to be kept.

    survey.py CAPTURE...                    print the counts
    survey.py CAPTURE --readme README.md    also put them between the README's `counts` markers

Exit status 1 when a packet has a wrong checksum, is longer than the MTU or was cut short. Reads what record.sh writes
and no more: pcap and pcapng in this machine's byte order, Ethernet and Linux SLL2.
"""

import argparse
import collections
import datetime
import platform
import re
import socket
import struct
import sys

MTU = 1500
ETHERNET, SLL2 = 1, 276
FIN, SYN, RST, ACK = 1, 2, 4, 16


def records(path):
    """Yields (interface, link type, time in ns, bytes, original length)."""
    with open(path, "rb") as file:
        data = file.read()
    magic = struct.unpack_from("<I", data)[0]
    if magic in (0xA1B2C3D4, 0xA1B23C4D):
        unit = 1000 if magic == 0xA1B2C3D4 else 1
        link_type = struct.unpack_from("<I", data, 20)[0]
        at = 24
        while at < len(data):
            seconds, fraction, captured, original = struct.unpack_from("<IIII", data, at)
            yield 0, link_type, seconds * 10**9 + fraction * unit, data[at + 16 : at + 16 + captured], original
            at += 16 + captured
    elif magic == 0x0A0D0D0A:
        interfaces = []
        at = 0
        while at < len(data):
            kind, length = struct.unpack_from("<II", data, at)
            if kind == 1:
                resolution = 1000  # ns; the format's default is µs
                link_type, option = struct.unpack_from("<H", data, at + 8)[0], at + 16
                while option < at + length - 4:
                    code, size = struct.unpack_from("<HH", data, option)
                    if code == 9:
                        resolution = 10 ** (9 - data[option + 4])
                    option += 4 + (size + 3) // 4 * 4
                interfaces.append((link_type, resolution))
            elif kind == 6:
                which, high, low, captured, original = struct.unpack_from("<IIIII", data, at + 8)
                link_type, resolution = interfaces[which]
                yield which, link_type, ((high << 32) + low) * resolution, data[at + 28 : at + 28 + captured], original
            at += length
    else:
        raise SystemExit(f"{path}: neither pcap nor pcapng in this machine's byte order")


def checksum(data):
    """The Internet checksum: 0 over anything that carries a right one."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Survey:
    def __init__(self, path):
        self.faults = []
        self.protocols = collections.Counter()
        self.connections = {}  # (src, sport, dst, dport, initial sequence number) -> what became of it
        self.newest = {}  # the same without the sequence number -> the key of the newest connection
        self.udp_flows, self.echo_ids = set(), set()
        self.echo_requests = self.echo_replies = self.keep_alives = self.backwards = 0
        self.interfaces = set()
        self.servers, self.clients = collections.Counter(), set()
        self.first = self.last = None
        self.next_sequence = {}
        for number, record in enumerate(records(path), 1):
            self.take(number, *record)
        self.packets = sum(self.protocols.values())

    def take(self, number, interface, link_type, time, frame, original):
        self.interfaces.add(interface)
        if len(frame) != original:
            self.faults.append(f"packet {number} was cut short")
        self.first = time if self.first is None else self.first
        self.backwards += self.last is not None and time < self.last
        self.last = time if self.last is None else max(self.last, time)
        if link_type == ETHERNET:
            ether_type, ip = struct.unpack_from("!H", frame, 12)[0], frame[14:]
        elif link_type == SLL2:
            ether_type, ip = struct.unpack_from("!H", frame)[0], frame[20:]
        else:
            raise SystemExit(f"packet {number}: link type {link_type}")
        if ether_type == 0x0806:
            self.protocols["ARP"] += 1
            return
        if ether_type != 0x0800:
            self.protocols[f"EtherType {ether_type:#06x}"] += 1
            return
        header, length, protocol = (ip[0] & 15) * 4, struct.unpack_from("!H", ip, 2)[0], ip[9]
        if length > MTU:
            self.faults.append(f"packet {number} has {length} bytes")
        if checksum(ip[:header]):
            self.faults.append(f"packet {number} has a wrong IP checksum")
        src, dst, payload = ip[12:16], ip[16:20], ip[header:length]
        pseudo = src + dst + struct.pack("!HH", protocol, len(payload))
        if checksum(pseudo + payload if protocol in (socket.IPPROTO_TCP, socket.IPPROTO_UDP) else payload):
            self.faults.append(f"packet {number} has a wrong transport checksum")
        src, dst = socket.inet_ntoa(src), socket.inet_ntoa(dst)
        if protocol == socket.IPPROTO_TCP:
            self.protocols["TCP"] += 1
            self.take_tcp(src, dst, payload)
        elif protocol == socket.IPPROTO_UDP:
            self.protocols["UDP"] += 1
            sport, dport = struct.unpack_from("!HH", payload)
            if (dst, dport, src, sport) not in self.udp_flows and (src, sport, dst, dport) not in self.udp_flows:
                self.udp_flows.add((src, sport, dst, dport))
                self.clients.add(src)
                self.servers[f"{dst}:{dport}/udp"] += 1
        elif protocol == socket.IPPROTO_ICMP:
            self.protocols["ICMP"] += 1
            kind, _, _, echo_id = struct.unpack_from("!BBHH", payload)
            self.echo_requests += kind == 8
            self.echo_replies += kind == 0
            if kind == 8:
                if (src, echo_id, dst) not in self.echo_ids:
                    self.servers[f"{dst}/icmp"] += 1
                self.echo_ids.add((src, echo_id, dst))
                self.clients.add(src)
        else:
            self.protocols[f"IP protocol {protocol}"] += 1

    def take_tcp(self, src, dst, segment):
        sport, dport, sequence = struct.unpack_from("!HHI", segment)
        data = len(segment) - (segment[12] >> 4) * 4
        flags = segment[13]
        forward, backward = (src, sport, dst, dport), (dst, dport, src, sport)
        if flags & SYN and not flags & ACK:
            key = (*forward, sequence)
            self.newest[forward] = key
            if key not in self.connections:
                self.connections[key] = {"syns": 0, "state": "unanswered", "closed by": "nobody"}
                self.servers[f"{dst}:{dport}/tcp"] += 1
                self.clients.add(src)
            self.connections[key]["syns"] += 1
        elif forward in self.newest or backward in self.newest:
            from_client = forward in self.newest
            connection = self.connections[self.newest[forward if from_client else backward]]
            who = "client" if from_client else "server"
            if connection["state"] == "unanswered":
                if flags & RST and not from_client:
                    connection["state"] = "refused"
                elif flags & SYN:
                    connection["state"] = "answered"
            elif connection["state"] == "answered" and from_client and flags & ACK:
                connection["state"] = "established"
            if connection["state"] == "established":
                if flags & RST and "reset" not in connection["closed by"]:
                    connection["closed by"] = f"{who}, by reset"
                elif flags & FIN and connection["closed by"] == "nobody":
                    connection["closed by"] = who
                # A keep-alive probe repeats the byte before the next one, without data.
                if data == 0 and not flags & (SYN | FIN | RST) and sequence + 1 == self.next_sequence.get(forward):
                    self.keep_alives += 1
                    return
        self.next_sequence[forward] = sequence + data + bool(flags & SYN) + bool(flags & FIN)

    def rows(self):
        """(what, how many) pairs, in the order a reader asks."""
        states = collections.Counter(connection["state"] for connection in self.connections.values())
        closed = collections.Counter(c["closed by"] for c in self.connections.values() if c["state"] == "established")
        yield "Seconds from first to last packet", f"{(self.last - self.first) / 1e9:.1f}"
        yield "Interfaces", len(self.interfaces)
        yield "Packets", self.packets
        yield "Packets older than one before them", self.backwards
        for protocol, count in sorted(self.protocols.items()):
            yield f"Packets, {protocol}", count
        yield "Client addresses", len(self.clients)
        yield "TCP connections", len(self.connections)
        for state, count in sorted(states.items()):
            yield f"TCP connections, {state}", count
        for who, count in sorted(closed.items()):
            yield f"TCP connections closed first by {who}", count
        yield "SYNs sent again", sum(connection["syns"] - 1 for connection in self.connections.values())
        yield "TCP keep-alive probes", self.keep_alives
        yield "UDP flows", len(self.udp_flows)
        yield "Pings (echo requests, replies)", f"{self.echo_requests}, {self.echo_replies}"
        yield "Ping identifiers", len(self.echo_ids)

    def markdown(self):
        lines = [f"| {what} | {count} |" for what, count in self.rows() if count not in (0, "0, 0")]
        lines += ["", "| Flows to | |", "|---|---|"]
        lines += [f"| {server} | {count} |" for server, count in sorted(self.servers.items())]
        return "\n".join(["| Counted | |", "|---|---|", *lines])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("captures", metavar="CAPTURE", nargs="+")
    parser.add_argument("--readme", help="put the counts between this file's `counts` markers")
    arguments = parser.parse_args()
    failed = False
    for path in arguments.captures:
        survey = Survey(path)
        text = survey.markdown()
        print(f"{path}\n\n{text}\n")
        for fault in survey.faults[:10]:
            print(f"{path}: {fault}", file=sys.stderr)
        failed |= bool(survey.faults)
        if arguments.readme and not survey.faults:
            recorded = datetime.datetime.fromtimestamp(survey.first / 1e9, datetime.timezone.utc)
            kernel = re.match(r"[0-9.]*[0-9]", platform.release())[0]
            text = f"Recorded on {recorded:%Y-%m-%d} with the TCP of Linux {kernel}.\n\n{text}"
            with open(arguments.readme, encoding="utf-8") as file:
                readme = file.read()
            readme, found = re.subn(
                r"(<!-- counts -->\n).*?(<!-- /counts -->)", lambda m: f"{m[1]}{text}\n{m[2]}", readme, flags=re.DOTALL
            )
            if not found:
                raise SystemExit(f"{arguments.readme}: no `counts` markers")
            with open(arguments.readme, "w", encoding="utf-8") as file:
                file.write(readme)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
