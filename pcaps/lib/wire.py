#!/usr/bin/env python3
"""The distance between a lab's router and its servers: a wire with delay, and nothing lost or reordered on it.

    wire.py ROUTER_NAMESPACE SERVER_NAMESPACE ADDRESS=RTT_MS...

Both namespaces have a TUN device `wan`; what one writes the other reads half a round trip later. The round trip is that
of the server's address, 20 ms for one that is not named. Without it a server would answer within microseconds, which no
server on the internet does. (`tc netem` would do the same; not every kernel has it.)
"""

import ctypes
import fcntl
import heapq
import os
import select
import struct
import sys
import time

TUNSETIFF, IFF_TUN, IFF_NO_PI, CLONE_NEWNET = 0x400454CA, 0x0001, 0x1000, 0x40000000
DEFAULT_RTT_MS = 20.0


def open_tun(namespace):
    libc = ctypes.CDLL(None, use_errno=True)
    handle = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    if libc.setns(handle, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), f"namespace {namespace}")
    os.close(handle)
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", b"wan", IFF_TUN | IFF_NO_PI))
    return tun


def main():
    router, servers = open_tun(sys.argv[1]), open_tun(sys.argv[2])
    delays = {}
    for argument in sys.argv[3:]:
        address, rtt = argument.split("=")
        delays[bytes(map(int, address.split(".")))] = float(rtt) / 2000
    # A direction is (read from, write to, where the server's address is in the IP header).
    directions = {router: (servers, 16), servers: (router, 12)}
    waiting, sequence = [], 0
    print("ready", flush=True)
    while True:
        wait = max(0, waiting[0][0] - time.monotonic()) if waiting else None
        for source in select.select([router, servers], [], [], wait)[0]:
            destination, server_at = directions[source]
            try:
                while True:
                    packet = os.read(source, 65536)
                    delay = delays.get(packet[server_at : server_at + 4], DEFAULT_RTT_MS / 2000)
                    sequence += 1
                    heapq.heappush(waiting, (time.monotonic() + delay, sequence, destination, packet))
            except BlockingIOError:
                pass
        now = time.monotonic()
        while waiting and waiting[0][0] <= now:
            _, _, destination, packet = heapq.heappop(waiting)
            os.write(destination, packet)


if __name__ == "__main__":
    main()
