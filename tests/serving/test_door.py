"""The door sends a visitor to one process and lets him stay there."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

from ntkviz.serving.door import Door, Process

Talk = Callable[[int], Awaitable[None]]


async def _behind(name: str, seen: list[bytes]) -> tuple[asyncio.Server, int]:
    """A process that answers with its name and, on a WebSocket, echoes."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        seen.append(head)
        if b"Upgrade: websocket" in head:
            writer.write(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
            while piece := await reader.read(100):
                writer.write(name.encode() + b":" + piece)
        else:
            body = name.encode()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    return server, server.sockets[0].getsockname()[1]


def at_the_door(talk: Callable[[int, list[bytes], Door], Awaitable[None]], *, gone: bool = False) -> None:
    """Two processes behind a door; ``talk(port, heads seen, door)``."""

    async def run() -> None:
        seen: list[bytes] = []
        behind = [await _behind(name, seen) for name in ("p1", "p2")]
        door = Door([Process(f"p{i + 1}", port) for i, (_, port) in enumerate(behind)])
        if gone:
            behind[1][0].close()
        server = await asyncio.start_server(door._connected, "127.0.0.1", 0, limit=64 * 1024)
        try:
            await asyncio.wait_for(talk(server.sockets[0].getsockname()[1], seen, door), 20)
        finally:
            server.close()
            for one, _ in behind:
                one.close()

    # In a thread of its own: the browser tests of the same process leave an event loop running in the main one.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, run()).result()


async def said(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    with contextlib.suppress(ConnectionError):
        answer = await reader.read()
        writer.close()
        return answer
    return b""


def test_a_path_names_its_process_and_a_connection_carries_one_request():
    async def talk(port: int, seen: list[bytes], _: Door) -> None:
        for name in (b"p1", b"p2", b"p1"):
            request = (
                b"GET /%s/explain?point=3 HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nX-Own: connection: no\r\n\r\n" % name
            )
            assert (await said(port, request)).endswith(name)
            assert seen[-1].count(b"onnection: close") == 1
            assert b"keep-alive" not in seen[-1]
            assert b"X-Own: connection: no" in seen[-1]

    at_the_door(talk)


def test_whoever_names_none_is_sent_to_the_one_with_the_fewest_sessions():
    async def talk(port: int, _: list[bytes], door: Door) -> None:
        door.processes["p1"].sessions = 3
        answer = await said(port, b"GET /explain?study=a&point=3 HTTP/1.1\r\nHost: a\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 307")
        assert b"Location: /p2/explain?study=a&point=3\r\n" in answer
        assert b"Location: /p2/\r\n" in await said(port, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"Location: /p2//evil.example/\r\n" in await said(port, b"GET //evil.example/ HTTP/1.1\r\nHost: a\r\n\r\n")

    at_the_door(talk)


def test_a_session_stays_open_and_is_counted():
    async def talk(port: int, _: list[bytes], door: Door) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /p2/_stcore/stream HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        for word in (b"one", b"two"):
            writer.write(word)
            assert await reader.readexactly(6) == b"p2:" + word
        assert door.processes["p2"].sessions == 1
        writer.close()
        for _turn in range(200):
            await asyncio.sleep(0.01)
            if not door.processes["p2"].sessions:
                break
        assert door.processes["p2"].sessions == 0

    at_the_door(talk)


def test_what_is_no_request_is_refused_and_nobody_else_notices():
    async def talk(port: int, seen: list[bytes], _: Door) -> None:
        assert (await said(port, b"\x16\x03\x01 TLS?\r\n\r\n")).startswith(b"HTTP/1.1 400")
        assert (await said(port, b"GET http://evil.example/ HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 400")
        assert (await said(port, b"GET /p1/ HTTP/1.1\r\nX: " + b"a" * 100_000 + b"\r\n\r\n"))[:12] in (b"HTTP/1.1 431", b"")
        assert seen == []
        assert (await said(port, b"GET /p1/ HTTP/1.1\r\n\r\n")).endswith(b"p1")

    at_the_door(talk)


def test_a_process_that_is_gone_is_told_as_busy():
    async def talk(port: int, _: list[bytes], __: Door) -> None:
        answer = await said(port, b"GET /p2/ HTTP/1.1\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 503")
        assert b"Retry-After" in answer

    at_the_door(talk, gone=True)
