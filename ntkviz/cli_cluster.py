"""``python -m ntkviz cluster``."""

import argparse
import os

from ntkviz.cli_export import count


def add_cluster_arguments(command: argparse.ArgumentParser) -> None:
    """The options of the command."""
    command.add_argument("--workers", type=count, default=2, metavar="N", help="processes on this machine (default %(default)s)")
    command.add_argument("--at", metavar="ADDRESS", help="dask://127.0.0.1:PORT or tls://HOST:PORT; default NTKVIZ_ENGINE")
    command.add_argument("--join", action="store_true", help="only workers, for the scheduler at that address")


def cluster(options: argparse.Namespace) -> int:
    """Serve until it is stopped."""
    from ntkviz.studies.cluster_server import serve
    from ntkviz.studies.engine import LOCAL, VARIABLE, engine_at

    serve(engine_at(options.at or os.environ.get(VARIABLE) or LOCAL), workers=options.workers, join=options.join)
    return 0
