"""One port for several processes that draw pages: each lives below a path of its own, ``/p1/``, ``/p2/``, ..., and a visitor stays where he came in.

Streamlit keeps a person's session in one process, and what it uploads and shows there, too; so a visitor must not be sent to another one. The path
says which one it is: no cookies, no memory. Whoever asks for anything else is sent on to the process with the fewest open sessions.
"""

import asyncio
import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

_HEAD_BYTES = 64 * 1024
_HEAD_SECONDS = 30.0
_PIECE = 64 * 1024
_REQUEST = re.compile(rb"(?P<method>[A-Z]{1,10}) (?P<target>/[!-~]*) HTTP/1\.[01]\r\n")
#: Headers of one hop, which the door writes itself.
_OF_THIS_HOP = re.compile(rb"(?im)^(connection|keep-alive|proxy-connection):[^\r\n]*\r\n")
_UPGRADE = re.compile(rb"(?im)^upgrade:[ \t]*websocket[ \t]*\r$")


@dataclass
class Process:
    """One that draws pages.

    Attributes:
        name: first segment of its addresses.
        port: on the loopback.
        sessions: open WebSockets.
    """

    name: str
    port: int
    sessions: int = 0


class Door:
    """Takes connections and passes each on to the process that its path names.

    Args:
        processes: behind the door.
    """

    def __init__(self, processes: Sequence[Process]) -> None:
        self.processes = {process.name: process for process in processes}

    async def serve(self, host: str, port: int) -> None:
        """Take connections until cancelled.

        Args:
            host: to listen on.
            port: likewise.
        """
        server = await asyncio.start_server(self._connected, host, port, limit=_HEAD_BYTES)
        async with server:
            await server.serve_forever()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request, and what follows it on its connection."""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, TimeoutError):
            try:
                head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _HEAD_SECONDS)
                request = _REQUEST.match(head)
                if request is None:
                    await _answer(writer, "400 Bad Request")
                else:
                    await self._pass_on(head, request["target"].decode(), reader, writer)
            except asyncio.LimitOverrunError:
                await _answer(writer, "431 Request Header Fields Too Large")
            finally:
                writer.close()

    async def _pass_on(self, head: bytes, target: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Send the visitor to a process, or the request to the one that it names."""
        process = self.processes.get(target.split("/", 2)[1].partition("?")[0])
        if process is None:
            least = min(self.processes.values(), key=lambda one: one.sessions)
            await _answer(writer, "307 Temporary Redirect", f"Location: /{least.name}{target}\r\nCache-Control: no-store\r\n")
            return
        try:
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", process.port)
        except OSError:
            await _answer(writer, "503 Service Unavailable", "Retry-After: 2\r\n")
            return
        session = _UPGRADE.search(head) is not None
        process.sessions += session
        try:
            inner_writer.write(head if session else _one_request(head))
            await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))
        finally:
            process.sessions -= session
            inner_writer.close()


def _one_request(head: bytes) -> bytes:
    """The head for a connection that ends after the answer: the next request may be for another process."""
    return _OF_THIS_HOP.sub(b"", head)[:-2] + b"Connection: close\r\n\r\n"


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """Copy until the source ends, then close the target: either side's end is the end of both."""
    with contextlib.suppress(ConnectionError):
        while piece := await source.read(_PIECE):
            target.write(piece)
            await target.drain()
    target.close()


async def _answer(writer: asyncio.StreamWriter, status: str, headers: str = "") -> None:
    """An answer without a body, and the end of the connection."""
    writer.write(f"HTTP/1.1 {status}\r\n{headers}Content-Length: 0\r\nConnection: close\r\n\r\n".encode("latin-1"))
    await writer.drain()
