"""ntkviz: which training examples made a network say this, and can that answer be trusted?

The public API. What needs torch is imported when it is first used, so that a program that only reads results, like the
dashboard, never loads it.

Some public functions (``kernels``, ``surrogates``, ``fidelity``) bear the name of the room they come from. They stand in the
package's namespace in the room's place: import from the rooms with ``from ntkviz.kernels.matrix import ...``.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from ntkviz.data.sample import samples
from ntkviz.errors import (
    BatchDependentModel,
    BudgetExceeded,
    JobCancelled,
    NonDeterministicModel,
    NtkvizError,
    SelfCheckFailed,
    StoreCorrupted,
    SurrogateDiverged,
    UnsupportedModel,
    UploadRejected,
)
from ntkviz.explain.attribute import attribute
from ntkviz.explain.neighbours import Neighbours, neighbours
from ntkviz.explain.registry import attributions
from ntkviz.fidelity.fidelity import Fidelity, fidelity
from ntkviz.kernels.registry import kernels
from ntkviz.studies.pipeline import run_study
from ntkviz.studies.spec import StudySpec
from ntkviz.studies.study import Study
from ntkviz.surrogates.fit import fit_surrogate
from ntkviz.surrogates.registry import surrogates
from ntkviz.surrogates.surrogate import Surrogate
from ntkviz.types import AttributionInfo, Dataset, Display, KernelInfo, SurrogateInfo

if TYPE_CHECKING:
    from ntkviz.kernels.matrix import kernel_matrix, layer_kernels
    from ntkviz.models.pt2.export import export_model
    from ntkviz.models.sample import Sample, load_sample
    from ntkviz.models.upload import Upload, open_upload

__version__ = "0.1.0"

__all__ = [
    "AttributionInfo",
    "BatchDependentModel",
    "BudgetExceeded",
    "Dataset",
    "Display",
    "Fidelity",
    "JobCancelled",
    "KernelInfo",
    "Neighbours",
    "NonDeterministicModel",
    "NtkvizError",
    "Sample",
    "SelfCheckFailed",
    "StoreCorrupted",
    "Study",
    "StudySpec",
    "Surrogate",
    "SurrogateDiverged",
    "SurrogateInfo",
    "UnsupportedModel",
    "Upload",
    "UploadRejected",
    "attribute",
    "attributions",
    "export_model",
    "fidelity",
    "fit_surrogate",
    "kernel_matrix",
    "kernels",
    "layer_kernels",
    "load_sample",
    "neighbours",
    "open_upload",
    "run_study",
    "samples",
    "surrogates",
]

_NEED_TORCH = {
    "Sample": "ntkviz.models.sample",
    "Upload": "ntkviz.models.upload",
    "export_model": "ntkviz.models.pt2.export",
    "kernel_matrix": "ntkviz.kernels.matrix",
    "layer_kernels": "ntkviz.kernels.matrix",
    "load_sample": "ntkviz.models.sample",
    "open_upload": "ntkviz.models.upload",
}


def __getattr__(name: str) -> object:
    """Import a name that needs torch when it is first used.

    Raises:
        AttributeError: for a name that is not part of the API.
    """
    if name not in _NEED_TORCH:
        raise AttributeError(f"module 'ntkviz' has no attribute {name!r}; the public names are {', '.join(__all__)}")
    value = getattr(import_module(_NEED_TORCH[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names, for completion."""
    return sorted({*globals(), *__all__})
