"""Is everything in place to make a study? One line a part, with the next step where something is broken."""

import os
import platform
import secrets
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module, metadata
from pathlib import Path

import psutil

from ntkviz.errors import NtkvizError
from ntkviz.models.sandbox_layers import require_layers, sandbox_layers
from ntkviz.models.sandbox_selftest import try_escapes
from ntkviz.studies.engine import VARIABLE, chosen_engine
from ntkviz.studies.errors import ClusterUnavailable
from ntkviz.studies.machine import available_memory_mb, gemm_rate, memory_limit_mb, n_threads
from ntkviz.studies.server import VARIABLES, server
from ntkviz.studies.store import Store

_PACKAGES = ("numpy", "scipy", "pandas", "scikit-learn", "torch", "safetensors", "pydantic", "umap-learn", "plotly", "streamlit")
#: Below this a kernel of a thousand points beside torch itself does not fit.
_LEAST_MEMORY_MB = 1500
_LEAST_DISK_MB = 200


@dataclass(frozen=True)
class Finding:
    """One part that was looked at.

    Attributes:
        name: the part.
        ok: whether it is in order.
        found: what was found.
        next_step: what to do when it is not in order, otherwise empty.
    """

    name: str
    ok: bool
    found: str
    next_step: str = ""


def examine(store: Store) -> Iterator[Finding]:
    """Look at each part, one after the other: loading torch and the samples takes seconds.

    Yields:
        What was found, as soon as it was.
    """
    looks: list[tuple[str, Callable[[], Finding]]] = [
        ("python", _python),
        ("packages", _packages),
        ("torch", _torch),
        ("threads", _threads),
        ("matrix products", _gemm),
        ("memory", _memory),
        ("disk", lambda: _disk(store)),
        ("NTKVIZ_HOME", lambda: _home(store)),
        ("NTKVIZ_ENGINE", _engine),
        ("sandbox", _sandbox),
        ("mode", _mode),
        ("escape attempts", _escapes),
        ("samples", _samples),
        ("store", lambda: _store(store)),
    ]
    for name, look in looks:
        try:
            yield look()
        except (NtkvizError, OSError, ImportError, ValueError) as error:
            yield Finding(name, False, f"{type(error).__name__}: {error}", "Mend this and run `python -m ntkviz doctor` again.")


def _python() -> Finding:
    version = platform.python_version_tuple()
    ok = (int(version[0]), int(version[1])) >= (3, 11)
    return Finding(
        "python", ok, f"{platform.python_version()} on {platform.platform()}", "" if ok else "Install Python 3.11 or later."
    )


def _packages() -> Finding:
    found, missing = [], []
    for package in _PACKAGES:
        try:
            found.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            missing.append(package)
    step = f"Install what is missing ({', '.join(missing)}): pip install -r requirements.txt" if missing else ""
    return Finding("packages", not missing, ", ".join(found), step)


def _torch() -> Finding:
    version = metadata.version("torch")
    import_module("torch")  # only to learn whether it loads: this room does not compute with it
    build = "the CPU build" if version.endswith("+cpu") else "no CPU build (it works, and takes several GB on disk)"
    return Finding("torch", True, f"{version}, {build}, imports")


def _threads() -> Finding:
    set_to = os.environ.get("OMP_NUM_THREADS")
    note = f"OMP_NUM_THREADS={set_to}" if set_to else "OMP_NUM_THREADS is not set"
    return Finding("threads", True, f"{n_threads()} for numeric work; {psutil.cpu_count() or 1} logical processors; {note}")


def _gemm() -> Finding:
    return Finding("matrix products", True, f"{gemm_rate() / 1e9:,.0f} GFLOP/s in float32, {_blas()}")


def _blas() -> str:
    with suppress(ImportError):
        from threadpoolctl import threadpool_info

        names = {f"{pool['internal_api']} {pool.get('version') or ''}".strip() for pool in threadpool_info()}
        return "BLAS and threads: " + ", ".join(sorted(names))
    return "BLAS not known"


def _memory() -> Finding:
    available, limit = available_memory_mb(), memory_limit_mb()
    ok = available >= _LEAST_MEMORY_MB
    step = "" if ok else f"Close other programs: a study wants {_LEAST_MEMORY_MB:,} MB at least."
    return Finding("memory", ok, f"{available:,.0f} MB free; a study may take {limit:,.0f} MB (NTKVIZ_MEMORY_MB)", step)


def _disk(store: Store) -> Finding:
    free = store.usage().free_bytes / 2**20
    ok = free >= _LEAST_DISK_MB
    step = "" if ok else f"Free {_LEAST_DISK_MB} MB at least, or set NTKVIZ_HOME to a larger disk."
    return Finding("disk", ok, f"{free:,.0f} MB free for {store.home}", step)


def _home(store: Store) -> Finding:
    probe: Path = store.home / f".tmp-doctor-{secrets.token_hex(4)}"
    try:
        store.home.mkdir(parents=True, exist_ok=True)
        probe.write_text("ntkviz", encoding="ascii")
        probe.unlink()
    except OSError as error:
        return Finding("NTKVIZ_HOME", False, f"{store.home} ({error})", "Set NTKVIZ_HOME to a folder that can be written.")
    return Finding("NTKVIZ_HOME", True, f"{store.home}, can be written")


def _engine() -> Finding:
    engine = chosen_engine()
    if engine is None:
        return Finding(VARIABLE, True, "not set: large kernels are made on this machine")
    from ntkviz.studies.cluster import count_workers

    try:
        workers = count_workers(engine)
    except ClusterUnavailable as error:
        return Finding(VARIABLE, False, str(error), "See docs/cluster.md.")
    step = "" if workers else f"Start workers with `python -m ntkviz cluster --join --at {engine}`."
    return Finding(VARIABLE, bool(workers), f"{engine} answers and has {workers} worker{'' if workers == 1 else 's'}", step)


def _sandbox() -> Finding:
    """The layers around the reading of uploads; one that is missing is told of and is no fault on a person's own machine."""
    layers = sandbox_layers()
    active = [f"{layer.name} (against {layer.stops})" for layer in layers if layer.active]
    missing = [f"{layer.name}: {layer.problem}" for layer in layers if not layer.active]
    return Finding(
        "sandbox", True, f"active: {', '.join(active) or 'none'}" + (f"; NOT active: {'; '.join(missing)}" * bool(missing))
    )


def _mode() -> Finding:
    """Whom a server with this environment would serve, and whether it may."""
    said = server()
    require_layers(said.mode)
    limits = {name: getattr(said, entry) for entry, name in VARIABLES.items() if entry not in {"mode", "auth"}}
    granted = ", ".join(f"{name}={limit:,.0f}" for name, limit in limits.items() if limit is not None)
    who = {
        "none": "one person",
        "oidc": "people who sign in by OpenID Connect",
        "header": "people whom a proxy names in a header",
    }
    return Finding("mode", True, f"{said.mode}: {who[said.auth]}; {granted or 'no limits'}")


def _escapes() -> Finding:
    """Every escape is tried; only one that an active layer promises to stop is a fault."""
    attempts = try_escapes()
    done = [attempt.deed for attempt in attempts if not attempt.stopped]
    broken = [attempt.deed for attempt in attempts if attempt.promised and not attempt.stopped]
    found = f"{len(done)} of {len(attempts)} succeeded" + (f": {', '.join(done)}" if done else "")
    if done and not broken:
        found += "; the layers that are not active would stop them"
    step = f"Take no files of others, and report that these are not stopped: {', '.join(broken)}." if broken else ""
    return Finding("escape attempts", not broken, found, step)


def _samples() -> Finding:
    from ntkviz.data.sample import samples
    from ntkviz.studies.subjects import load_subject_model, subject_data

    names = samples()
    if not names:
        return Finding("samples", False, "none", "Run ntkviz from a checkout of the project that has the folder sample_models.")
    for name in names:
        try:
            subject_data(name)
            load_subject_model(name)
        except (NtkvizError, OSError) as error:
            return Finding("samples", False, f"{name}: {error}", f"Restore sample_models/{name} from the repository.")
    return Finding("samples", True, f"{len(names)} load: {', '.join(names)}")


def _store(store: Store) -> Finding:
    usage = store.usage()
    faults = store.verify()
    found = f"{usage.n_studies} studies, {usage.n_kernels} kernels, {usage.n_bytes / 2**20:,.1f} MB; {len(faults)} damaged"
    step = f"{faults[0][1]}" if faults else ""
    return Finding("store", not faults, found, step)
