"""Writes a network as an exported program that our own reader takes, and reads it back before the file is kept."""

import contextlib
import copy
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ntkviz.errors import SelfCheckFailed, UnsupportedModel, UploadRejected
from ntkviz.models.outputs import as_inputs, as_logits
from ntkviz.models.pt2.reader import read_pt2
from ntkviz.models.rejection import clipped

#: Largest difference between the file's network and the one that was given, as a share of the largest logit.
_TOLERANCE = 1e-5


def export_model(model: nn.Module, example: np.ndarray | torch.Tensor, path: str | Path) -> Path:
    """Write a network with its architecture and weights as one ``.pt2`` file, which can be brought without any code.

    Three lines, where the network was made::

        import ntkviz
        model.load_state_dict(torch.load("weights.pt", weights_only=True))
        ntkviz.export_model(model, x_test[:8], "model.pt2")

    Args:
        model: maps ``[n, ...]`` to logits; it is left as it was. What is written is its evaluation mode in float32.
        example: a few inputs ``[n, ...]`` as the model takes them; the file takes any number of samples of their shape.
        path: the file, ending in .pt2.

    Returns:
        The path.

    Raises:
        ValueError: when the path does not end in .pt2.
        UnsupportedModel: when PyTorch cannot export the model (branches on values, more than one input) or it uses an operation that
            our reader does not allow; the message says which.
        SelfCheckFailed: when the file's network gives other logits than the model.
        OSError: when the file cannot be written.
    """
    path = Path(path)
    if path.suffix != ".pt2":
        raise ValueError(f"The file of an exported program ends in .pt2; got {path.name!r}. Name it so.")
    if not isinstance(model, nn.Module):
        raise UnsupportedModel(f"Expected a torch.nn.Module; got an object of type {type(model).__name__}. Wrap it in a module.")
    network = copy.deepcopy(model).cpu().float().eval()
    x = as_inputs(network, example)
    if len(x) == 1:  # PyTorch takes an axis of length 1 for a fixed one
        x = torch.cat([x, x])
    with torch.no_grad(), _plain_attention():
        output = network(x)
        wanted = as_logits(output, len(x))
    if not isinstance(output, torch.Tensor):
        network = _Logits(network)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.stem}.") as folder:
        half = Path(folder) / path.name  # PyTorch writes the name into the file
        _save(network, x, half)
        _check(half, x, wanted)
        half.replace(path)
    return path


class _Logits(nn.Module):
    """A network that returns an object with logits, as one that returns the logits."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The logits ``[n, C]``."""
        output = self.net(x)
        return output["logits"] if isinstance(output, Mapping) else output.logits


@contextlib.contextmanager
def _plain_attention() -> Iterator[None]:
    """Switch off the fused layers that stand for a whole Transformer layer in evaluation mode.

    Yields:
        Nothing.
    """
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def _save(network: nn.Module, x: torch.Tensor, path: Path) -> None:
    """Export and save.

    Raises:
        UnsupportedModel: when PyTorch cannot export the network.
        OSError: when the file cannot be written.
    """
    try:
        with warnings.catch_warnings(), _plain_attention(), torch.enable_grad():
            warnings.simplefilter("ignore")
            program = torch.export.export(network, (x,), dynamic_shapes=({0: torch.export.Dim("batch", min=1)},))
            torch.export.save(program, path)
    except OSError:
        raise
    except Exception as error:
        reason = (str(error).strip().splitlines() or ["no further reason"])[0][:300]
        raise UnsupportedModel(
            clipped(
                f"PyTorch cannot export this model for any number of samples ({type(error).__name__}: {reason}). Usual causes are branches "
                "on values or on the number of samples, Python loops over the batch, and further inputs. Rewrite that part, or bring the "
                "weights with an architecture."
            )
        ) from error


def _check(path: Path, x: torch.Tensor, wanted: torch.Tensor) -> None:
    """Read the file back and compare.

    Raises:
        UnsupportedModel: when our reader refuses it.
        SelfCheckFailed: when the logits differ.
    """
    try:
        network = read_pt2(path).model
    except UploadRejected as error:
        raise UnsupportedModel(f"The model was exported, and would be refused where it is brought. {error}") from error
    with torch.no_grad(), _plain_attention():
        found = as_logits(network(x), len(x))
    scale = float(wanted.abs().max())
    difference = float((found - wanted).abs().max())
    if not difference <= _TOLERANCE * max(scale, 1e-12):
        raise SelfCheckFailed(
            f"The exported network's logits differ from the model's by {difference:.3g} where the largest is {scale:.3g}. The model probably "
            "depends on something outside its inputs, or draws random numbers in evaluation mode; make forward() a function of its input."
        )
