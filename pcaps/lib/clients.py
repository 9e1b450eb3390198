#!/usr/bin/env python3
"""One client machine of a lab: what it does in a case, at which second.

    clients.py CASE INDEX

The plan is the same every time (one seed a client); the packets' times and port numbers are the kernel's.
"""

import asyncio
import random
import socket
import struct
import sys

DNS_SERVER = ("198.51.100.53", 53)
DNS_TTL = 6.0
WEB = [  # name, address, port, weight
    ("shop.example", "192.0.2.10", 80, 3),
    ("shop.example", "192.0.2.10", 443, 5),
    ("media.example", "192.0.2.20", 443, 4),
    ("api.partner.example", "198.51.100.7", 443, 8),
    ("files.example", "198.51.100.20", 80, 2),
    ("files.example", "198.51.100.20", 8080, 2),
    ("status.example", "198.51.100.33", 443, 2),
    ("status.example", "198.51.100.33", 8080, 2),
]
CLOSED_PORT = ("198.51.100.7", 8080)
SIZES = [(100, 30), (400, 20), (1200, 15), (3000, 10), (9000, 2)]


async def at(second, action):
    await asyncio.sleep(second)
    await action


def request(name, size, close=False):
    head = f"GET /bytes/{size} HTTP/1.1\r\nHost: {name}\r\nUser-Agent: lab\r\nAccept: */*\r\n"
    return (head + ("Connection: close\r\n" if close else "") + "\r\n").encode()


async def response(reader):
    head = await reader.readuntil(b"\r\n\r\n")
    size = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    await reader.readexactly(size)


async def resolve(name):
    """One query from a port of its own, as a resolver library sends it."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as query:
        query.setblocking(False)
        query.connect(DNS_SERVER)
        labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
        number = random.randrange(65536)
        await loop.sock_sendall(query, struct.pack("!HHHHHH", number, 0x0100, 1, 0, 0, 0) + labels + b"\0\0\1\0\1")
        await asyncio.wait_for(loop.sock_recv(query, 512), 5)


async def ping(address, count, identifier=0):
    """Echo requests through the kernel's ping socket; 0 leaves the identifier to the kernel."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP) as echo:
        echo.setblocking(False)
        echo.bind(("0.0.0.0", identifier))
        echo.connect((address, 0))
        for sequence in range(1, count + 1):
            await loop.sock_sendall(echo, struct.pack("!BBHHH", 8, 0, 0, 0, sequence) + bytes(range(48)))
            await asyncio.wait_for(loop.sock_recv(echo, 512), 5)
            await asyncio.sleep(1)


async def exchange(name, address, port, sizes, ending, think=0.0):
    """One connection: a request for each size, then the ending."""
    reader, writer = await asyncio.open_connection(address, port)
    for number, size in enumerate(sizes):
        if number:
            await asyncio.sleep(think)
        writer.write(request(name, size, close=ending == "server closes" and number == len(sizes) - 1))
        if ending == "client resets":
            await reader.readuntil(b"\r\n\r\n")
        else:
            await response(reader)
    if ending in ("server closes", "server closes when idle"):
        await reader.read()
    elif ending == "client resets":
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.close()


async def refused():
    try:
        await asyncio.open_connection(*CLOSED_PORT)
    except ConnectionRefusedError:
        return
    raise RuntimeError(f"{CLOSED_PORT} accepted a connection")


async def web(index):
    """Fifty connections over 18 seconds, a name looked up when it is older than its TTL, two rounds of pings."""
    plan = random.Random(f"web-{index}")
    random.seed(f"web-dns-{index}")
    known = {}

    async def visit(name, *rest):
        now = asyncio.get_running_loop().time()
        if now - known.get(name, -DNS_TTL) >= DNS_TTL:
            known[name] = now
            await resolve(name)
        await exchange(name, *rest)

    def size():
        return plan.choices([size for size, _ in SIZES], [weight for _, weight in SIZES])[0] + plan.randrange(100)

    jobs = []
    for number in range(50):
        second = plan.uniform(0, 18)
        name, address, port, _ = plan.choices(WEB, [weight for *_, weight in WEB])[0]
        if number in (5, 30):
            job = refused()
        elif number == 7:
            job = visit(name, address, port, [20_000], "client resets")
        elif number == 20:
            job = visit(name, address, port, [60_000], "server closes")
        elif number in (13, 40):
            job = visit(name, address, port, [size()], "server closes when idle")
        elif number % 4 == 0:
            sizes = [size() for _ in range(plan.randint(2, 5))]
            job = visit(name, address, port, sizes, "client closes", plan.uniform(0.1, 0.6))
        else:
            job = visit(name, address, port, [size()], plan.choice(["server closes", "client closes"]))
        jobs.append(at(second, job))
    jobs.append(at(plan.uniform(0, 18), resolve("missing.example")))
    jobs.append(at(plan.uniform(0, 14), ping(plan.choice(WEB)[1], 4)))
    jobs.append(at(plan.uniform(6, 8), ping("198.51.100.33", 4, identifier=7)))  # the same for all clients
    await asyncio.gather(*jobs)


async def burst(index):
    """Four hundred connections at once to one endpoint, each kept for two seconds after its answer."""
    async def one():
        reader, writer = await asyncio.open_connection("198.51.100.7", 443)
        writer.write(request("api.partner.example", 200))
        await response(reader)
        await asyncio.sleep(2)
        writer.close()

    await asyncio.gather(*(one() for _ in range(400)))


async def retries(index):
    """Five connections to an address that says nothing, next to six that succeed."""
    async def in_vain(patience):
        try:
            await asyncio.wait_for(asyncio.open_connection("192.0.2.99", 443), patience)
        except asyncio.TimeoutError:
            return
        raise RuntimeError("the black hole answered")

    jobs = [at(start, in_vain(patience)) for start, patience in [(0, 69), (0.5, 45), (1, 30), (2, 15), (3, 8)]]
    jobs += [
        at(start, exchange("shop.example", "192.0.2.10", 443, [400], "client closes"))
        for start in (0.2, 4, 12, 25, 38, 60)
    ]
    await asyncio.gather(*jobs)


async def long_lived(index):
    """Connections and UDP flows that fall silent; some keep themselves alive, some speak again, some are spoken to."""
    loop = asyncio.get_running_loop()

    async def tcp(messages, keep_alive, close_at):
        """messages: (second, text); each is answered."""
        reader, writer = await asyncio.open_connection("192.0.2.10", 8883)
        if keep_alive:
            connection = writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 5)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5)
        begun = loop.time()
        for second, text in messages:
            await asyncio.sleep(begun + second - loop.time())
            writer.write(text + b"\n")
            await reader.readline()
        await asyncio.sleep(begun + close_at - loop.time())
        writer.close()

    async def udp(messages):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as flow:
            flow.setblocking(False)
            flow.connect(("198.51.100.20", 7000))
            begun = loop.time()
            for second, text in messages:
                await asyncio.sleep(begun + second - loop.time())
                await loop.sock_sendall(flow, text)
                await loop.sock_recv(flow, 512)

    jobs = [  # both clients
        at(0.0, tcp([(0, b"hello"), (60, b"still here")], True, 68)),
        at(0.3, tcp([(0, b"hello"), (41, b"hello again")], False, 66)),
        at(0.6, udp([(0, b"hello"), (1, b"more"), (36, b"hello again"), (37, b"more")])),
    ]
    if index == 0:
        jobs += [
            at(0.9, tcp([(0, b"hello")], True, 67)),
            at(1.2, udp([(second, b"beat") for second in range(0, 70, 10)])),
        ]
    else:
        jobs += [
            at(0.9, tcp([(0, b"hello"), (1, b"later 40"), (45, b"thanks")], False, 65)),
            at(1.2, udp([(0, b"hello"), (1, b"later 36"), (40, b"thanks")])),
        ]
    await asyncio.gather(*jobs)


if __name__ == "__main__":
    case, index = sys.argv[1], int(sys.argv[2])
    asyncio.run({"web": web, "burst": burst, "retries": retries, "long-lived": long_lived}[case](index))
