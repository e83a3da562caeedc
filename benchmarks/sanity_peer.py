"""quanda's metrics, and our attributions as an explainer of quanda's kind. quanda is imported only when a :class:`Peer` is made."""

import importlib
from typing import Any

import numpy as np
import torch
from scipy.stats import rankdata
from torch.utils.data import TensorDataset

from benchmarks.attributors import Explained, digest
from benchmarks.sanity_cases import Case


class Peer:
    """quanda's metrics, and our attributions as one of its explainers."""

    def __init__(self) -> None:
        """Import quanda.

        Raises:
            SystemExit: when it is not there, with what to install.
        """
        try:
            self.heuristics: Any = importlib.import_module("quanda.metrics.heuristics")
            self.downstream: Any = importlib.import_module("quanda.metrics.downstream_eval")
            base: Any = importlib.import_module("quanda.explainers").Explainer
            self.spearman = importlib.import_module("quanda.utils.functions").correlation_functions["spearman"]
        except ImportError as error:
            raise SystemExit(
                f"This benchmark needs quanda ({error}). Install it beside the project, in an environment of its own: "
                "see benchmarks/requirements-sanity.txt."
            ) from error
        self.explainer = explainer(base)

    def within_class(self, y: np.ndarray) -> Any:
        """Rank correlation, by quanda, of explanations that have lost the mean of each training class; NaN where nothing is left."""

        def measure(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
            return self.compared(centred(first.numpy(), y), centred(second.numpy(), y))

        return measure

    def compared(self, first: np.ndarray, second: np.ndarray) -> torch.Tensor:
        """Rank correlation, by quanda, of each of M explanations ``[M, N]`` with its counterpart; NaN where one is constant."""
        found = self.spearman(torch.from_numpy(first), torch.from_numpy(second)).double()
        found[torch.from_numpy((np.ptp(first, axis=1) == 0) | (np.ptp(second, axis=1) == 0))] = torch.nan
        return found


def explainer(base: Any) -> Any:
    """Our attributions as a class of quanda's kind."""

    class Ours(base):
        """One method of ours on the network and the data that quanda hands over."""

        accepted_tasks = ("image_classification",)

        def __init__(  # the names are quanda's
            self,
            model: torch.nn.Module,
            train_dataset: TensorDataset,
            method: str,
            networks: "Networks",
            checkpoints: Any = None,
            checkpoints_load_func: Any = None,
            seed: int = 0,
        ) -> None:
            super().__init__(
                model=model, train_dataset=train_dataset, checkpoints=checkpoints, checkpoints_load_func=checkpoints_load_func
            )
            self.load_last_checkpoint()
            self.method, self.seed = method, seed
            self.explained = networks.of(model, *(part.numpy() for part in train_dataset.tensors))

        def explain(self, test_data: torch.Tensor, targets: Any) -> torch.Tensor:
            classes = np.asarray(targets)
            return torch.from_numpy(self.explained.explain(test_data.numpy(), classes, self.method, seed=self.seed)).float()

        def self_influence(self, batch_size: int = 32) -> torch.Tensor:
            del batch_size
            return ranks(self.explained.self_influence(self.method, seed=self.seed))

    return Ours


class Networks:
    """The networks of one test, so that methods share kernels."""

    def __init__(self, n_classes: int) -> None:
        self.n_classes = n_classes
        self._known: dict[str, Explained] = {}

    def of(self, model: torch.nn.Module, x: np.ndarray, y: np.ndarray) -> Explained:
        """The same object for the same numbers."""
        key = digest(*(value.numpy() for value in model.state_dict().values()), x, y)
        return self._known.setdefault(key, Explained(model.eval(), x, y, self.n_classes))


class Asked:
    """A case in quanda's terms, with the explanations of each method."""

    def __init__(self, peer: Peer, case: Case) -> None:
        self.peer, self.case, self.networks = peer, case, Networks(case.n_classes)
        self.data = TensorDataset(torch.from_numpy(case.x), torch.from_numpy(case.y.astype(np.int64)))
        self.z, self.labels = torch.from_numpy(case.z), torch.from_numpy(case.labels.astype(np.int64))
        self.targets = torch.from_numpy(case.predicted.astype(np.int64))
        self.common: dict[str, Any] = {"model": case.model, "train_dataset": self.data}

    def explanations(self, method: str, targets: torch.Tensor | None = None) -> torch.Tensor:
        """``[M, N]``, of the predicted classes unless others are given."""
        ours = self.peer.explainer(**self.common, method=method, networks=self.networks)
        return ours.explain(self.z, self.targets if targets is None else targets)


def ranks(values: np.ndarray) -> torch.Tensor:
    """Ranks from 1, equal for equal values.

    quanda adds 1e-4 times the index to break ties; in units of ranks that orders ties alone.
    """
    return torch.from_numpy(rankdata(values, method="dense").astype(np.float64))


def centred(explanations: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Each explanation minus its mean over each training class, ``[M, N]``."""
    found = explanations.astype(np.float64)
    for label in np.unique(y):
        found[:, y == label] -= found[:, y == label].mean(axis=1, keepdims=True)
    return found
