"""A model from a Python file that its owner allowed to run; local mode only."""

import hashlib
import importlib.util
import logging
import sys
from pathlib import Path

from torch import nn

from ntkviz.errors import UploadRejected
from ntkviz.models.rejection import clipped, quoted

_log = logging.getLogger("ntkviz.upload")


def model_from_code(path: Path) -> tuple[nn.Module, tuple[str, ...], str]:
    """Run a file and take the model that it defines.

    Args:
        path: a Python file with ``model`` (a torch.nn.Module) or ``build()`` that returns one. It runs in this process, with
            all its rights; the consent has been given. What ran is logged with its path and sha256.

    Returns:
        The model in eval mode, notes, and the file's sha256.

    Raises:
        UploadRejected: when the code fails or defines no model.
    """
    name = quoted(path.name)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    _log.warning("Running the code of %s (sha256 %s) as the caller allowed.", path.resolve(), sha256)
    key = f"ntkviz_upload_{sha256[:16]}"
    try:
        spec = importlib.util.spec_from_file_location(key, path)
        if spec is None or spec.loader is None:
            raise UploadRejected(f"{name} cannot be imported; expected a Python file ending in .py.")
        module = importlib.util.module_from_spec(spec)
        sys.modules[key] = module  # dataclasses and inspect look a class's module up by name
        spec.loader.exec_module(module)
        build = getattr(module, "build", None)
        model = getattr(module, "model", None)
        made_by_build = False
        if not isinstance(model, nn.Module) and callable(build):
            model, made_by_build = build(), True
    except UploadRejected:
        raise
    except (Exception, SystemExit) as error:
        sys.modules.pop(key, None)
        reason = quoted(" ".join(str(error).split()), limit=200)
        raise UploadRejected(
            clipped(f"The code in {name} fails: {type(error).__name__}: {reason}. Correct it and bring it again.")
        ) from error
    if not isinstance(model, nn.Module):
        raise UploadRejected(
            f"{name} defines no model: expected a variable `model` that is a torch.nn.Module, or a function build() that returns one."
        )
    notes = (f"The code of {path.name} was run with your consent (sha256 {sha256[:12]}...).",)
    if made_by_build:
        notes += ("The model was made by build().",)
    if any(part.training for part in model.modules()):
        notes += ("It came in training mode and was switched to eval mode.",)
    return model.eval(), notes, sha256
