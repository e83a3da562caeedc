"""What the limited child does with an upload: :func:`main` is called by :mod:`ntkviz.models.sandbox_entry`.

The working folder holds ``request.json`` and the snapshots; what passed goes into ``out``: ``weights.safetensors`` and
``architecture.json``, and ``data`` as :func:`ntkviz.data.save.save_dataset` writes it.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ntkviz.data.duplicates import DuplicateReport, drop_duplicates, find_duplicates
from ntkviz.data.options import Limits, ReadOptions
from ntkviz.data.readers import read_dataset
from ntkviz.data.sample import load_sample_data
from ntkviz.data.save import save_dataset
from ntkviz.data.text import Vocabulary
from ntkviz.errors import UploadRejected
from ntkviz.models.brought import Brought, bring
from ntkviz.models.limits import limits_of
from ntkviz.models.probes import probe_model
from ntkviz.models.report import ProbeReport
from ntkviz.types import Dataset

_OUT = Path("out")

#: Groups of equal points that a report names; the counts tell of the rest.
_MAX_GROUPS = 50


def main(arguments: list[str]) -> dict[str, Any]:
    """Do what ``request.json`` in the working folder asks for.

    Args:
        arguments: none are expected.

    Returns:
        What the parent is told, JSON types.

    Raises:
        UploadRejected: when the upload cannot be used.
        UnsupportedModel: when the network cannot be run.
    """
    request = json.loads(Path("request.json").read_text(encoding="ascii"))
    torch.set_num_threads(1)
    _OUT.mkdir()
    return {"model": _model, "subject": _subject}[request["task"]](request)


def _model(request: dict[str, Any]) -> dict[str, Any]:
    """A network, looked over on made-up inputs."""
    brought = _bring(request)
    inputs = brought.example()
    report = None if inputs is None else probe_model(brought.model, inputs)
    notes = list(brought.notes)
    if report is None:
        notes.append("The network was not tried out: the architecture does not tell the shape of its inputs.")
    brought.write(_OUT)
    return {"notes": notes, "architecture": brought.architecture, "report": None if report is None else report.as_dict()}


def _subject(request: dict[str, Any]) -> dict[str, Any]:
    """A network, looked over on the data that came with it, if any.

    Raises:
        UploadRejected: when the network cannot be tried out.
    """
    brought = _bring(request)
    dataset, notes = _data(request, brought)
    found: dict[str, Any] = {"architecture": brought.architecture}
    if dataset is None:
        inputs = brought.example()
        if inputs is None:
            raise UploadRejected(
                "The network can be read, but nothing tells which inputs it takes, so it cannot be tried out. Bring data with it."
            )
        report = probe_model(brought.model, inputs)
        notes.append("Without data the network was tried out on random inputs only.")
    else:
        report = _probe_on(brought, dataset, found)
        duplicates = find_duplicates(dataset)
        if request["drop_duplicates"]:
            dataset, duplicates = drop_duplicates(dataset)
        found |= {"dataset": _described(dataset), "duplicates": _counted(duplicates)}
        notes += dataset.notes
        save_dataset(dataset, _OUT / "data")
    brought.write(_OUT)
    found |= {"n_parameters": report.n_parameters, "n_classes": report.n_classes}
    return found | {"rows": report.as_dict()["rows"], "notes": [*brought.notes, *notes]}


def _bring(request: dict[str, Any]) -> Brought:
    return bring(Path(request["model"]), request["architecture"], limits_of(request["mode"]))


def _data(request: dict[str, Any], brought: Brought) -> tuple[Dataset | None, list[str]]:
    """The data that came along or were named, read so that they fit a network of texts, and notes on that.

    Raises:
        UploadRejected: when there is no such sample, or the options or the file are faulty.
    """
    if request["sample"] is not None:
        try:
            return load_sample_data(request["sample"]), []
        except ValueError as error:
            raise UploadRejected(str(error)) from error
    if "dataset" not in request:
        return None, []
    try:
        options = _options(request, brought)
    except ValueError as error:
        raise UploadRejected(str(error)) from error
    notes = []
    if brought.reads_tokens and options.vocabulary is None:
        notes.append(
            "No vocabulary came with the network: the token ids were made from this file, and are those of the training only if it "
            "was trained on the same file. The accuracy shows it."
        )
    return read_dataset(Path(request["dataset"]), options=options), notes


def _options(request: dict[str, Any], brought: Brought) -> ReadOptions:
    """How to read the data: as asked, within the mode's caps, and to the length that a named network of texts has."""
    fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in request["options"].items()}
    fields["vocabulary"] = Vocabulary(fields["vocabulary"]) if fields.get("vocabulary") else None
    options = ReadOptions(**fields, limits=Limits.for_mode(request["mode"]))
    if brought.text is None:
        return options
    length, vocabulary = brought.text
    text_length = options.text_length or min(length, options.limits.text_length)
    return replace(options, text_length=text_length, vocabulary_size=min(options.vocabulary_size, vocabulary))


def _probe_on(brought: Brought, dataset: Dataset, found: dict[str, Any]) -> ProbeReport:
    """The probes on test points (training points when there are none), and both accuracies.

    Raises:
        UploadRejected: when the network does not take these data, or has other classes.
    """
    if not len(dataset.x_train) and not len(dataset.x_test):
        raise UploadRejected("The data hold no points; expected some to study the network on. Bring others.")
    tokens = dataset.x_train.dtype.kind in "iu"
    if tokens != brought.reads_tokens:
        wants, has = ("token ids", "numbers") if brought.reads_tokens else ("numbers", "token ids of texts")
        raise UploadRejected(f"The network reads {wants}, and the data are {has}. Bring data of the kind that it was trained on.")
    n_logits = brought.n_classes(dataset.x_train.shape[1:])
    if max(2, n_logits) != max(2, dataset.n_classes):
        raise UploadRejected(
            f"The network has {n_logits} logits, and the data have {dataset.n_classes} classes. Name all classes in the order of the "
            "logits when the data are read, or bring the data that it was trained on."
        )
    splits = {"test": (dataset.x_test, dataset.y_test), "train": (dataset.x_train, dataset.y_train)}
    reports = {split: probe_model(brought.model, x, y=y) for split, (x, y) in splits.items() if len(x)}
    found |= {f"accuracy_{split}": report.accuracy for split, report in reports.items()}
    return reports.get("test", reports["train"] if "train" in reports else reports["test"])


def _described(dataset: Dataset) -> dict[str, Any]:
    """A data set in figures."""
    return {
        "name": dataset.name,
        "kind": dataset.kind,
        "class_names": list(dataset.class_names),
        "n_train": len(dataset.y_train),
        "n_test": len(dataset.y_test),
        "shape": list(dataset.x_train.shape[1:]),
    }


def _counted(duplicates: DuplicateReport) -> dict[str, Any]:
    """Duplicates as JSON types: a sentence, the counts, and the first groups."""
    groups = [
        {"train": list(g.train[:20]), "test": list(g.test[:20]), "labels": list(g.labels)}
        for g in duplicates.groups[:_MAX_GROUPS]
    ]
    return {
        "sentence": duplicates.sentence,
        "n_groups": len(duplicates.groups),
        "n_train_copies": duplicates.n_train_copies,
        "n_test_copies": duplicates.n_test_copies,
        "n_leaked": duplicates.n_leaked,
        "n_conflicting": len(duplicates.conflicting),
        "groups": groups,
    }
