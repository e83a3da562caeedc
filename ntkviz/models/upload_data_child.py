"""What the limited child does with a data file; as :mod:`ntkviz.models.upload_child`, without torch."""

import json
from pathlib import Path
from typing import Any

from ntkviz.data.options import Limits, ReadOptions
from ntkviz.data.readers import read_dataset
from ntkviz.data.save import save_dataset


def main(arguments: list[str]) -> dict[str, Any]:
    """Read the file that ``request.json`` in the working folder names, and write it to ``out/data``.

    Args:
        arguments: none are expected.

    Returns:
        The notes of the data set.

    Raises:
        UploadRejected: when the file cannot be used.
    """
    request = json.loads(Path("request.json").read_text(encoding="ascii"))
    dataset = read_dataset(Path(request["dataset"]), options=ReadOptions(limits=Limits.for_mode(request["mode"])))
    save_dataset(dataset, Path("out/data"))
    return {"notes": list(dataset.notes)}
