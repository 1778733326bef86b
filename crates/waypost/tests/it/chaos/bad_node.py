"""A SOCKS5 server that misbehaves on purpose: `bad_node.py reset|tls-silent PORT`."""

import asyncio
import socket
import struct
import sys


async def pump(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.write_eof()


async def serve(reader, writer):
    behaviour = sys.argv[1]
    if behaviour == "reset":
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.close()
        return
    _, count = await reader.readexactly(2)
    await reader.readexactly(count)
    writer.write(b"\x05\x00")
    _, _, _, kind = await reader.readexactly(4)
    if kind == 1:
        host = socket.inet_ntop(socket.AF_INET, await reader.readexactly(4))
    elif kind == 4:
        host = socket.inet_ntop(socket.AF_INET6, await reader.readexactly(16))
    else:
        host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
    port = int.from_bytes(await reader.readexactly(2), "big")
    up_reader, up_writer = await asyncio.open_connection(host, port)
    writer.write(b"\x05\x00\x00\x01" + bytes(6))
    first = await reader.read(65536)
    if first[:1] == b"\x16":
        # Swallows whatever comes, and says nothing, until the client has had enough.
        while await reader.read(65536):
            pass
        up_writer.close()
        writer.close()
        return
    up_writer.write(first)
    await asyncio.gather(pump(reader, up_writer), pump(up_reader, writer))
    up_writer.close()
    writer.close()


async def guarded(reader, writer):
    try:
        await serve(reader, writer)
    except (OSError, asyncio.IncompleteReadError):
        writer.close()


async def main():
    server = await asyncio.start_server(guarded, "127.0.0.1", int(sys.argv[2]))
    await server.serve_forever()


asyncio.run(main())
