"""Reads an exported program into a network, cheapest gates first, and keeps it as a graph with weights of our own writing.

SECURITY: the order is the point. The zip's directory, the JSON, the operations and the places of tensors are checked, and the
graph is run on torch's ``meta`` device, which holds shapes and no numbers, before a number is read. Strangers' files are read
in a child process with limits (:mod:`ntkviz.models.upload`); this module does not start one.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from ntkviz.errors import UnsupportedModel, UploadRejected
from ntkviz.models.limits import MODEL_LIMITS, ModelLimits
from ntkviz.models.loader import read_weights
from ntkviz.models.outputs import as_logits
from ntkviz.models.pt2.archive import AGAIN, open_archive
from ntkviz.models.pt2.interpreter import ExportedNetwork
from ntkviz.models.pt2.payload import aliases, empty_tensors, placed_tensors, read_tensors
from ntkviz.models.pt2.program import HOW, Program, parse_program, refuse
from ntkviz.models.rejection import clipped, quoted

#: The key of a stored architecture that is a graph.
STORED = "exported"


@dataclass(frozen=True)
class Sizes:
    """What a graph would do with one sample, found on shapes alone.

    Attributes:
        n_activations: numbers in all results of its operations.
        n_classes: C, the logits that come out.
    """

    n_activations: int
    n_classes: int


@dataclass(frozen=True)
class Exported:
    """An exported program that was read.

    Attributes:
        program: its graph.
        model: the network, in eval mode.
        sizes: what it does with one sample.
        same: names of parameters that are another one's tensor -> that one's name.
        vocabulary: token ids that it knows, or None when it reads numbers or does not say.
    """

    program: Program
    model: ExportedNetwork
    sizes: Sizes
    same: dict[str, str]
    vocabulary: int | None

    def summary(self) -> dict[str, Any]:
        """The architecture in a few words, as JSON types."""
        used = [step.operator.removeprefix("torch.ops.").removeprefix("aten.") for step in self.program.steps]
        return {
            STORED: {
                "operations": len(used),
                "kinds": sorted({name.removesuffix(".default") for name in used}),
                "input": list(self.program.input_shape),
                "reads_tokens": self.program.reads_tokens,
            }
        }

    def as_dict(self) -> dict[str, Any]:
        """The graph as JSON types, for :func:`open_stored`."""
        return {STORED: {"document": self.program.document, "same": self.same}}

    def save_weights(self, path: Path) -> None:
        """Write parameters, buffers and constants as safetensors, each tensor once."""
        state = {name: tensor for name, tensor in _named_tensors(self.model).items() if name not in self.same}
        safetensors.torch.save_file({name: t.detach().clone().contiguous() for name, t in state.items()}, path)


def read_pt2(path: Path | str, *, limits: ModelLimits = MODEL_LIMITS["local"]) -> Exported:
    """Read what ``torch.export.save`` wrote, without running anything of it but the operations that are allowed.

    Args:
        path: the file.
        limits: caps on the file, its tensors and what its graph computes for one sample.

    Returns:
        The network and what was found. It computes what the exported module does, and can be differentiated.

    Raises:
        UploadRejected: when it is another kind of file, damaged or too large, takes anything but one tensor with a free number
            of samples, or uses an operation that is not allowed; the message says what to do.
    """
    path = Path(path)
    with _refusing(path.name), open_archive(path, limits) as archive:
        program = parse_program(archive.json(f"models/{archive.model}.json"))
        placed = placed_tensors(archive, program, limits)
        same = aliases(program, placed)
        sizes = measured(program, _shared(empty_tensors(placed), same), limits)
        tensors = read_tensors(archive, placed, [name for name in placed if name not in same])
        network = ExportedNetwork(program, _shared(tensors, same))
    return Exported(program, network, sizes, same, _vocabulary(program, network))


def open_stored(stored: Mapping[str, Any], weights: Path, *, limits: ModelLimits = MODEL_LIMITS["local"]) -> ExportedNetwork:
    """The network of :meth:`Exported.as_dict` and :meth:`Exported.save_weights`, through the same gates.

    Args:
        stored: the graph.
        weights: the safetensors beside it.
        limits: caps on the weights and on what the graph computes.

    Raises:
        UploadRejected: when they were altered, or do not belong together.
    """
    with _refusing(weights.name):
        program = parse_program(stored[STORED]["document"])
        same = {str(name): str(first) for name, first in dict(stored[STORED]["same"]).items()}
        tensors = _shared(read_weights(weights, limits=limits), same)
        missing = [entry.name for entry in program.stored if entry.name not in tensors]
        if missing:
            refuse(f"{quoted(weights.name)} lacks {quoted(missing[0])}, which the graph uses. Bring the exported program again.")
        measured(program, {name: tensor.to("meta") for name, tensor in tensors.items()}, limits)
        return ExportedNetwork(program, tensors)


def measured(program: Program, tensors: Mapping[str, torch.Tensor], limits: ModelLimits) -> Sizes:
    """Run a graph on shapes alone, with two samples and with three.

    Args:
        program: the graph.
        tensors: its parameters, buffers and constants on the meta device.
        limits: of which ``n_activations`` caps what one sample may take.

    Returns:
        The sizes.

    Raises:
        UploadRejected: when the operations do not fit together, compute too much, do not give a row of logits for each sample,
            or an operation is not allowed.
    """
    shell = ExportedNetwork(program, tensors)
    dtype = torch.int64 if program.reads_tokens else torch.float32
    sizes = Sizes(0, 0)
    for n in (2, 3):
        count, done = 0, []

        def note(operator: str, result: Any, n: int = n, done: list[str] = done) -> None:
            nonlocal count
            done.append(operator)
            count += sum(tensor.numel() for tensor in _tensors(result))
            if count > n * limits.n_activations:
                refuse(
                    f"One sample of shape {list(program.input_shape)} needs more than {limits.n_activations:,} intermediate values in the "
                    "exported program. Use fewer channels, or pool earlier."
                )

        x = torch.empty(n, *program.input_shape, dtype=dtype, device="meta")
        try:
            with torch.no_grad():
                logits = as_logits(shell._run(x, note), n)
        except UploadRejected:
            raise
        except UnsupportedModel as error:
            refuse(f"The exported program gives no logits for any number of samples. {error}")
        except Exception as error:
            at = program.steps[len(done)].operator if len(done) < len(program.steps) else "output"
            reason = quoted((str(error).strip().splitlines() or [type(error).__name__])[0], limit=200)
            refuse(
                f"The operation {quoted(at)} of the exported program does not fit what it is given for {n} samples of shape "
                f"{list(program.input_shape)}: {reason}. Was it exported for a fixed number? Export it with:\n{HOW}"
            )
        sizes = Sizes(count // n, logits.shape[1])
    return sizes


@contextmanager
def _refusing(file: str) -> Iterator[None]:
    """Turn whatever goes wrong on a stranger's bytes into one refusal.

    Yields:
        Nothing.

    Raises:
        UploadRejected: instead of any other exception.
    """
    try:
        yield
    except UploadRejected:
        raise
    except Exception as error:
        if isinstance(error, MemoryError) or "allocate memory" in str(error):
            raise UploadRejected(
                f"{quoted(file)} needs more memory to read than is granted here. Bring a smaller file."
            ) from error
        reason = quoted(" ".join(str(error).split()) or "no further reason", limit=160)
        raise UploadRejected(
            clipped(
                f"{quoted(file)} cannot be read: it is damaged, or made to mislead ({type(error).__name__}: {reason}). {AGAIN}"
            )
        ) from error


def _tensors(result: Any) -> list[torch.Tensor]:
    """The tensors in what an operation returned."""
    return [part for part in (result if isinstance(result, (tuple, list)) else [result]) if isinstance(part, torch.Tensor)]


def _shared(tensors: dict[str, torch.Tensor], same: Mapping[str, str]) -> dict[str, torch.Tensor]:
    """The tensors, with those of ``same`` under both their names."""
    return tensors | {name: tensors[first] for name, first in same.items()}


def _named_tensors(model: ExportedNetwork) -> dict[str, torch.Tensor]:
    return dict(model.named_parameters(remove_duplicate=False)) | dict(model.named_buffers(remove_duplicate=False))


def _vocabulary(program: Program, model: ExportedNetwork) -> int | None:
    """Rows of the smallest embedding that the token ids enter as they are."""
    if not program.reads_tokens:
        return None
    names = {entry.value: entry.name for entry in program.stored}
    tensors = _named_tensors(model)
    rows = []
    for step in program.steps:
        given = [getattr(part, "name", None) for part in step.positional[:2]]
        if step.operator == "torch.ops.aten.embedding.default" and given[1:] == [program.input] and given[0] in names:
            rows.append(len(tensors[names[given[0]]]))
    return min(rows, default=None)
