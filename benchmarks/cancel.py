"""How long does it take until a cancelled job has really stopped? ``python benchmarks/cancel.py [--times 40]``.

A long study is started and cancelled at a random moment of its first seconds: while it waits, while its worker loads torch, in the middle of the kernel. The time runs from asking
to the moment at which the job is said to be cancelled and no process of it is left.
"""

import argparse
import os
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.machine import keep
from ntkviz.studies import jobs
from ntkviz.studies.job import is_gone
from ntkviz.studies.spec import StudySpec


def main() -> None:
    """Cancel, and time.

    Raises:
        SystemExit: when a job does not stop.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--times", type=int, default=40)
    arguments = parser.parse_args()
    rng, seconds, stages = random.Random(0), [], Counter()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        os.environ["NTKVIZ_HOME"] = folder
        for i in range(arguments.times):
            job = jobs.start([StudySpec(sample="mnist-cnn", n_train=3000, n_test=500, kernel="proj_trntk", seed=i)], home)
            time.sleep(rng.uniform(0.0, 12.0))
            before = jobs.status(job.id, home)
            began = time.perf_counter()
            ended = jobs.cancel(job.id, home)
            gone = is_gone(before, seconds=10.0)
            seconds.append(time.perf_counter() - began)
            stages[before.stage or before.state] += 1
            if ended.state != "cancelled" or not gone:
                raise SystemExit(f"The job was {ended.state}, its process {'gone' if gone else 'there'}: {before}")
    p50, p95 = (statistics.quantiles(seconds, n=100, method="inclusive")[p - 1] for p in (50, 95))
    row = {
        "times": len(seconds),
        "p50_s": round(p50, 3),
        "p95_s": round(p95, 3),
        "largest_s": round(max(seconds), 3),
        "stages": dict(stages),
    }
    print(row)
    keep("cancel", [row])


if __name__ == "__main__":
    main()
