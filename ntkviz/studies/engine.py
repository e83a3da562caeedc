"""Where large kernels are computed: in the process of the job, or by the cluster that ``NTKVIZ_ENGINE`` names.

Whoever reaches the scheduler of a Dask cluster may run code there. So a cluster without encryption is taken on this machine only, and
``tls://`` everywhere else: both sides show a certificate that the other one knows.
"""

import ipaddress
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ntkviz.studies.errors import ClusterUnavailable

if TYPE_CHECKING:
    from distributed import Security

VARIABLE = "NTKVIZ_ENGINE"
#: Files of the certificate, its key, and (where another one signed it) the authority's certificate; one pair serves all machines.
CERTIFICATE, KEY, AUTHORITY = "NTKVIZ_TLS_CERT", "NTKVIZ_TLS_KEY", "NTKVIZ_TLS_CA"
LOCAL = "dask://127.0.0.1:8786"
INSTALL = "Install it with `pip install -r requirements-cluster.txt`"


@dataclass(frozen=True)
class Engine:
    """The address of a cluster's scheduler.

    Attributes:
        tls: whether connections are encrypted and both sides show a certificate.
        host: name or number.
        port: of the scheduler.
    """

    tls: bool
    host: str
    port: int

    def __str__(self) -> str:
        return f"{'tls' if self.tls else 'dask'}://{self._host}:{self.port}"

    @property
    def address(self) -> str:
        """As Dask writes it."""
        return f"{'tls' if self.tls else 'tcp'}://{self._host}:{self.port}"

    @property
    def _host(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host

    def security(self) -> "Security | None":
        """The certificates to show and to ask for; None without encryption.

        Raises:
            ClusterUnavailable: when they are not there, or Dask is not installed.
        """
        if not self.tls:
            return None
        try:
            from distributed import Security
        except ImportError as error:
            raise ClusterUnavailable(f"{self} needs Dask, which is not installed here. {INSTALL}.") from error
        certificate, key = _file(CERTIFICATE), _file(KEY)
        authority = _file(AUTHORITY) if os.environ.get(AUTHORITY) else certificate
        roles = {f"tls_{role}_{what}": file for role in ROLES for what, file in (("cert", certificate), ("key", key))}
        return Security(require_encryption=True, tls_ca_file=authority, **roles)


ROLES = ("client", "scheduler", "worker")


def chosen_engine() -> Engine | None:
    """What ``NTKVIZ_ENGINE`` names; None when it is not set, and kernels are computed in the process of the job.

    Raises:
        ClusterUnavailable: when it is no address, or one without encryption on another machine.
    """
    text = os.environ.get(VARIABLE, "").strip()
    return engine_at(text, f"{VARIABLE} is") if text else None


def engine_at(text: str, who: str = "The address is") -> Engine:
    """The cluster at an address.

    Args:
        text: ``dask://host:port`` on this machine, or ``tls://host:port``.
        who: says where the text comes from, in the messages.

    Raises:
        ClusterUnavailable: when it is no address, or one without encryption on another machine.
    """
    parts, port = urlsplit(text), None
    with suppress(ValueError):
        port = parts.port
    plain = parts.netloc.rpartition(":")[0].strip("[]").lower() == parts.hostname
    if parts.scheme not in {"dask", "tls"} or not parts.hostname or not port or not plain or parts.path + parts.query:
        raise ClusterUnavailable(f"{who} {text!r}; expected {LOCAL} or tls://host:port. Correct it, or unset {VARIABLE}.")
    found = Engine(parts.scheme == "tls", parts.hostname, port)
    if not found.tls and not is_loopback(found.host):
        raise ClusterUnavailable(
            f"{who} {text!r}, which is not this machine: without encryption anybody on the way could run code on the cluster. "
            f"Give tls://{found.host}:{port} and the certificate in {CERTIFICATE} and {KEY}."
        )
    return found


def is_loopback(host: str) -> bool:
    """Whether a name or number is this machine and cannot be reached from another one."""
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def _file(variable: str) -> str:
    """The file that a variable names.

    Raises:
        ClusterUnavailable: when there is none.
    """
    path = Path(os.environ.get(variable, ""))
    if not (path.is_absolute() and path.is_file()):
        said = f"is {str(path)!r}" if os.environ.get(variable) else "is not set"
        raise ClusterUnavailable(
            f"A cluster over tls:// needs a certificate: {variable} {said}; expected the full path of a file. See docs/cluster.md."
        )
    return str(path)
