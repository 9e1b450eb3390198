#!/usr/bin/env python3
"""The servers of a lab, all in one process.

    servers.py KIND=ADDRESS:PORT...

KIND is `http` (GET /bytes/N answers N bytes, closes when asked to or after three idle seconds), `dns` (A records of the
lab's names, NXDOMAIN for others), `line-tcp` or `line-udp` (answers each message at once; a message `later N` is answered
after N seconds, so that the server is the one who breaks the silence).
"""

import asyncio
import struct
import sys

NAMES = {
    "shop.example": "192.0.2.10",
    "media.example": "192.0.2.20",
    "api.partner.example": "198.51.100.7",
    "files.example": "198.51.100.20",
    "status.example": "198.51.100.33",
}
HTTP_IDLE = 3.0
TEXT = b"The quick brown fox jumps over the lazy dog. "


async def http(reader, writer):
    try:
        while True:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), HTTP_IDLE)
            size = int(head.split(b" ", 2)[1].rsplit(b"/", 1)[1])
            close = b"connection: close" in head.lower()
            writer.write(
                b"HTTP/1.1 200 OK\r\nServer: lab\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: %s\r\n\r\n"
                % (size, b"close" if close else b"keep-alive")
                + (TEXT * (size // len(TEXT) + 1))[:size]
            )
            await writer.drain()
            if close:
                break
    except (asyncio.IncompleteReadError, asyncio.TimeoutError, ConnectionError):
        pass
    writer.close()


def later(message):
    return float(message.split()[1]) if message.startswith(b"later ") else 0.0


async def line(reader, writer):
    try:
        while message := await reader.readline():
            await asyncio.sleep(later(message))
            writer.write(b"heard: " + message)
            await writer.drain()
    except ConnectionError:
        pass
    writer.close()


class Datagrams(asyncio.DatagramProtocol):
    def __init__(self, answer):
        self.answer = answer

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        reply, delay = self.answer(data)
        asyncio.get_running_loop().call_later(delay, self.transport.sendto, reply, address)


def line_datagram(message):
    return b"heard: " + message, later(message)


def dns(query):
    """A DNS answer with one A record, or NXDOMAIN. The question is copied, its name read as labels."""
    at, labels = 12, []
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode())
        at += 1 + query[at]
    question = query[12 : at + 5]
    address = NAMES.get(".".join(labels))
    flags = 0x8180 if address else 0x8183
    reply = query[:2] + struct.pack("!HHHHH", flags, 1, 1 if address else 0, 0, 0) + question
    if address:
        reply += struct.pack("!HHHIH4B", 0xC00C, 1, 1, 6, 4, *map(int, address.split(".")))
    return reply, 0.0


async def main():
    loop = asyncio.get_running_loop()
    for argument in sys.argv[1:]:
        kind, endpoint = argument.split("=")
        address, port = endpoint.split(":")
        if kind in ("http", "line-tcp"):
            await asyncio.start_server({"http": http, "line-tcp": line}[kind], address, int(port), backlog=1024)
        else:
            answer = {"dns": dns, "line-udp": line_datagram}[kind]
            await loop.create_datagram_endpoint(lambda answer=answer: Datagrams(answer), local_addr=(address, int(port)))
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
