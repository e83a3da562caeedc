import subprocess
import sys

from ntkviz.studies.lock import hold

_HOLD = """
import sys
from pathlib import Path
from ntkviz.studies.lock import hold
with hold(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_one_process_at_a_time_and_the_dead_hold_nothing(tmp_path):
    path = tmp_path / "deep" / "queue.lock"
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with hold(path, wait=False) as held:
            assert not held
        other.kill()
        other.wait()
        with hold(path, wait=False) as held:
            assert held
    with hold(path) as held:
        assert held
