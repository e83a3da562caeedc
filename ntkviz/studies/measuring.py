"""The process that measures what a subject costs: one request as JSON on its input, one answer as the last line of its output."""

import json
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ntkviz.errors import NtkvizError
from ntkviz.kernels.cost import KernelProfile, Rates
from ntkviz.kernels.stopwatch import Stopwatch
from ntkviz.studies.costs import kernel_id
from ntkviz.studies.machine import peak_memory_mb, reset_peak_memory
from ntkviz.studies.pipeline import PROBE_POINTS
from ntkviz.studies.retraining_run import measure
from ntkviz.studies.subjects import find_subject, load_subject_model, subject_data

#: Points that are looked at, at most: one batch of a small network.
_POINTS = 512
_FORWARD_POINTS = 256
_MB = 2**20


def answer(request: Mapping[str, Any]) -> dict[str, Any]:
    """Measure the stages of a study on a subject, in their order, and the kernels asked for; or a recipe for it.

    Args:
        request: "subject", "home", "kernels" (kind and options of each), "memory_mb", and "rates" where they are known; or "subject",
            "home" and "training".

    Returns:
        The fields of :class:`ntkviz.studies.costs.SubjectCosts`, with "rates"; for a recipe the answer of
        :func:`ntkviz.studies.retraining_run.measure`; or "error".
    """
    try:
        return dict(measure(request)) if "training" in request else _measure(request)
    except NtkvizError as error:
        return {"error": {"type": type(error).__name__, "message": str(error)}}


def _measure(request: Mapping[str, Any]) -> dict[str, Any]:
    seconds: dict[str, float] = {}
    home = Path(request["home"])
    reset_peak_memory()
    with _timed(seconds, "load"):
        subject = find_subject(request["subject"], home=home)
        data = subject_data(subject.id, home=subject.home)
        model = load_subject_model(subject.id, home=subject.home)
    x = data.x_train[:_POINTS]
    with _timed(seconds, "probe"):  # a part of each stage is what it imports
        from ntkviz.models.probes import logits_of, require_sound

        require_sound(model, x[:PROBE_POINTS])
    with _timed(seconds, "self_check"):
        from ntkviz.gradients.selfcheck import self_check

        self_check(model, x)
    base_mb = peak_memory_mb()
    from ntkviz.kernels.calibrate import best, rates

    seconds["forward"] = best(lambda: logits_of(model, x[:_FORWARD_POINTS])) / len(x[:_FORWARD_POINTS])
    known = Rates.from_dict(request["rates"]) if request.get("rates") else rates()
    kernels = {
        kernel_id((kind, options)): _kernel(model, x, kind, options, known, int(request["memory_mb"]))
        for kind, options in request["kernels"]
    }
    return {**seconds, "base_mb": base_mb, "input_bytes": float(x[0].nbytes), "rates": asdict(known), "kernels": kernels}


def _kernel(model: Any, x: Any, kind: str, options: Mapping[str, Any], rates: Rates, memory_mb: int) -> dict[str, Any]:
    """A kernel's profile, or why there is none."""
    from ntkviz.kernels.profile import profile_kernel

    reset_peak_memory()
    before = peak_memory_mb()
    try:
        profile: KernelProfile = profile_kernel(model, x, kind, options, rates=rates, memory_mb=memory_mb)
    except NtkvizError as error:
        return {"error": {"type": type(error).__name__, "message": str(error)}}
    except ValueError as error:  # an option; the study would say so, too
        return {"error": {"type": "InvalidStudy", "message": str(error)}}
    except Exception as error:  # a quote that lacks a figure must not stop a study
        traceback.print_exc()
        return {
            "error": {
                "type": "NtkvizError",
                "message": f"The kernel {kind!r} could not be measured ({type(error).__name__}: {error}).",
            }
        }
    held = len(x) * max(layout.point_bytes for layout in profile.layouts) / _MB
    return replace(profile, working_mb=max(0.0, peak_memory_mb() - before - held)).to_dict()


@contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    watch = Stopwatch()
    yield
    seconds[name] = watch.seconds()


if __name__ == "__main__":
    print(json.dumps(answer(json.loads(sys.stdin.read()))))
