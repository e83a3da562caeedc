"""The control that knows no network: a kernel of the inputs alone on a study's points, computed in a process of its own.

python -m ntkviz.studies.control      one request as JSON on its input; see :mod:`ntkviz.studies.child`
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ntkviz.kernels.registry import kernels
from ntkviz.studies.child import ask_arrays, give_arrays
from ntkviz.studies.faithfulness import WITHOUT_NETWORK, Candidate
from ntkviz.studies.store import ntkviz_home
from ntkviz.studies.study import Study
from ntkviz.studies.subjects import load_subject_model, subject_data

#: The longest that a page waits for it.
MAX_SECONDS = 600


def control_kernel(study: Study, *, kind: str = "rbf", home: Path | None = None) -> Candidate:
    """A kernel of the inputs alone, on the study's points.

    Args:
        study: the study.
        kind: one of :data:`ntkviz.studies.faithfulness.WITHOUT_NETWORK`.
        home: the folder with the uploads; None means the default one.

    Raises:
        ValueError: when the kernel uses the network.
        NtkvizError: when the subject's files are damaged, or the process fails or takes too long.
    """
    if kind not in WITHOUT_NETWORK:
        raise ValueError(f"A control knows no network: expected one of {', '.join(WITHOUT_NETWORK)}, got {kind!r}.")
    found = ask_arrays(
        "ntkviz.studies.control",
        {
            "home": str(home or ntkviz_home()),
            "subject": study.spec.subject_id,
            "kernel": kind,
            "train": study.train_index.tolist(),
            "test": study.test_index.tolist(),
        },
        seconds=MAX_SECONDS,
        too_slow=f"The kernel of the inputs was not computed within {MAX_SECONDS} s. Make a study with fewer training points.",
        failed="The kernel of the inputs could not be computed",
        advice="Ask again; `doctor` looks at the machine and the store.",
    )
    return Candidate(kind, kernels()[kind].title, found["train"], found["rows"], control=True)


def answer(request: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The cosine kernel, "train" ``[N, N]`` and "rows" ``[M, N]``.

    Args:
        request: "home", "subject", "kernel", "train" (ids), "test" (ids).
    """
    from ntkviz.kernels.matrix import kernel_blocks

    home = Path(request["home"])
    data = subject_data(request["subject"], home=home)
    model = load_subject_model(request["subject"], home=home)
    blocks = kernel_blocks(
        model, data.x_train[request["train"]], data.x_test[request["test"]], kind=request["kernel"]
    ).normalised()
    return {"train": blocks.train, "rows": blocks.rows}


if __name__ == "__main__":
    give_arrays(answer)
