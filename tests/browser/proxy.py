"""A stand-in for the proxy of deploy/nginx.conf: it names its one person in the header, whatever the browser says, and adds the policy."""

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.browser.conftest import ROOT

HEADER = "X-Auth-Email"
POLICY = re.search(r'Content-Security-Policy "([^"]+)"', (ROOT / "deploy" / "nginx.conf").read_text())[1]


@contextmanager
def proxy(upstream: int, email: str | None) -> Iterator[str]:
    """Serve one person; the address to come to.

    Args:
        upstream: port of the app.
        email: whom to name; None names nobody.
    """
    with socket.create_server(("127.0.0.1", 0)) as door:
        address = f"127.0.0.1:{door.getsockname()[1]}"
        policy = POLICY.replace("wss://ntkviz.example.org", f"ws://{address}")

        def take() -> None:
            with suppress(OSError):  # the door was closed
                while True:
                    visitor, _ = door.accept()
                    threading.Thread(target=_pass_on, args=(visitor, upstream, email, policy), daemon=True).start()

        threading.Thread(target=take, daemon=True).start()
        yield f"http://{address}"


def _pass_on(visitor: socket.socket, upstream: int, email: str | None, policy: str) -> None:
    """One request and its answer, or a WebSocket for as long as it lasts."""
    with suppress(OSError), visitor, socket.create_connection(("127.0.0.1", upstream)) as app:
        head, rest = _head(visitor)
        lines = [line for line in head.split("\r\n") if not line.lower().startswith((f"{HEADER.lower()}:", "connection:"))]
        lines.append("Connection: " + ("Upgrade" if "upgrade: websocket" in head.lower() else "close"))
        lines += [f"{HEADER}: {email}"] if email else []
        app.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + rest)
        threading.Thread(target=_pump, args=(visitor, app), daemon=True).start()
        head, rest = _head(app)
        visitor.sendall(f"{head}\r\nContent-Security-Policy: {policy}\r\n\r\n".encode() + rest)
        _pump(app, visitor)


def _head(source: socket.socket) -> tuple[str, bytes]:
    """The head of a message, and what came after it."""
    seen = b""
    while b"\r\n\r\n" not in seen:
        more = source.recv(65536)
        if not more:
            raise OSError("closed before a whole head came")
        seen += more
    head, _, rest = seen.partition(b"\r\n\r\n")
    return head.decode("latin-1"), rest


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
