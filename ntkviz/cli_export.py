"""``python -m ntkviz export``: a study as tables, or a network as one ``.pt2`` file."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ntkviz.cli_output import print_json
from ntkviz.errors import NtkvizError, UploadRejected

if TYPE_CHECKING:
    import numpy as np
    from torch import nn


def add_export_arguments(command: argparse.ArgumentParser) -> None:
    """The options of the command.

    Args:
        command: gets them.
    """
    from ntkviz.studies.export import PARTS

    command.description = (
        "Write a study as tables, to read without ntkviz; or, with --sample, --model or --module, write a network as one .pt2 file "
        "that holds its architecture and weights and can be brought to ntkviz without its code."
    )
    command.add_argument(
        "--to", type=Path, required=True, metavar="PATH", help="of a study a folder, made when missing; else FILE.pt2"
    )
    study = command.add_argument_group("a study")
    study.add_argument("--study", default="latest", metavar="KEY", help="the beginning of a study's key, or latest")
    study.add_argument("--what", action="append", choices=PARTS, help="one part; may be repeated; default all")
    study.add_argument("--top", type=count, default=10, metavar="K", help="training points a test point (default %(default)s)")
    network = command.add_argument_group("a network")
    network.add_argument("--sample", metavar="NAME", help="the network of a bundled sample")
    network.add_argument("--model", type=Path, metavar="WEIGHTS", help="weights: .safetensors, or a .pt state dict")
    network.add_argument("--architecture", type=Path, metavar="JSON", help="what the weights are of")
    network.add_argument(
        "--module",
        type=Path,
        metavar="FILE.py",
        help="runs this file's code as you; it defines `model` or `build()`. With --model its weights",
    )
    network.add_argument("--shape", type=_shape, metavar="1,28,28", help="of one input of --module")
    network.add_argument("--tokens", type=count, metavar="V", help="inputs of --module are token ids below V")


def export(options: argparse.Namespace) -> int:
    """Run the command.

    Args:
        options: as parsed.

    Returns:
        the exit code.

    Raises:
        NtkvizError: when the request cannot be fulfilled.
    """
    if options.sample is None and options.model is None and options.module is None:
        return _study(options)
    from ntkviz.models.pt2.export import export_model

    model, example = _network(options)
    try:
        path = export_model(model, example, options.to)
    except (ValueError, OSError) as error:
        raise NtkvizError(f"{options.to.name} cannot be written: {error}") from error
    parameters = sum(parameter.numel() for parameter in model.parameters())
    facts: dict[str, Any] = {"file": str(path), "bytes": path.stat().st_size, "parameters": parameters}
    if options.json:
        print_json(facts)
    else:
        print(f"{path}: {parameters:,} parameters, {facts['bytes']:,} bytes; read back and compared with the network")
    return 0


def _study(options: argparse.Namespace) -> int:
    from ntkviz.studies.export import export_study
    from ntkviz.studies.store import Store

    if options.to.suffix == ".pt2":
        raise UploadRejected("A .pt2 file is of a network; say which with --sample NAME, --model WEIGHTS or --module FILE.py.")
    store = Store(options.home)
    study = store.load_study(store.find(options.study))
    files = export_study(study, options.to, what=options.what, top=options.top)
    if options.json:
        print_json({"study": study.key, "folder": str(options.to), "files": [path.name for path in files]})
    else:
        print(f"{options.to}: {', '.join(path.name for path in files)}")
    return 0


def _network(options: argparse.Namespace) -> "tuple[nn.Module, np.ndarray]":
    """The network and some inputs for it.

    Raises:
        UploadRejected: when it is not said which one, or its parts do not fit.
    """
    weights: Path | None = options.model
    if options.module is not None:
        return _from_code(options)
    if (options.sample is None) == (weights is None) or (weights is not None and options.architecture is None):
        raise UploadRejected(
            "Say one network: --sample NAME, or --model WEIGHTS --architecture JSON, or --module FILE.py --shape 1,28,28."
        )
    if weights is None:
        from ntkviz.models.sample import load_sample

        try:
            sample = load_sample(options.sample)
        except ValueError as error:
            raise UploadRejected(str(error)) from error
        return sample.model, sample.data.x_test[:8]
    from ntkviz.models.examples import example_inputs
    from ntkviz.models.loader import load_into
    from ntkviz.models.spec import parse_spec

    spec = parse_spec(options.architecture)
    example = example_inputs(spec)
    if example is None:
        raise UploadRejected("The architecture does not tell the shape of its inputs. Use ntkviz.export_model with an example.")
    return load_into(spec, weights).model, example


def _from_code(options: argparse.Namespace) -> "tuple[nn.Module, np.ndarray]":
    """The network of a person's own file, with weights of another if they are given.

    Raises:
        UploadRejected: when the shape is missing, or the weights do not fit.
    """
    if options.shape is None or options.sample is not None or options.architecture is not None:
        raise UploadRejected(
            "With --module FILE.py say --shape, such as 1,28,28, and if you like --model WEIGHTS, and nothing else."
        )
    import numpy as np

    from ntkviz.models.loader import read_weights
    from ntkviz.models.python_file import model_from_code

    model = model_from_code(options.module)[0]
    if options.model is not None:
        try:
            model.load_state_dict(read_weights(options.model))
        except RuntimeError as error:
            raise UploadRejected(
                f"The weights do not fit the module: {' '.join(str(error).split())[:400]}. Bring those of it."
            ) from error
    rng = np.random.default_rng(0)
    shape = (4, *options.shape)
    if options.tokens is not None:
        return model, rng.integers(0, options.tokens, size=shape, dtype=np.int64)
    return model, rng.standard_normal(shape, dtype=np.float32)


def count(text: str) -> int:
    """A whole number of at least 1, as argparse takes types.

    Raises:
        argparse.ArgumentTypeError: when it is less.
        ValueError: when it is none.
    """
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1; got {text}")
    return value


def _shape(text: str) -> tuple[int, ...]:
    return tuple(count(part) for part in text.split(","))
