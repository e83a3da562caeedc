"""Laws of retraining: together is what each network would have become alone, masks decide who is seen, cancelling stops."""

import multiprocessing
import sys
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
import torch

from ntkviz.errors import JobCancelled
from ntkviz.models.probes import logits_of
from ntkviz.models.spec import build_model
from ntkviz.truth import retrain as room
from ntkviz.truth.recipe import Training
from ntkviz.truth.retrain import retrain
from ntkviz.truth.together import can_train_together
from ntkviz.truth.train import train
from ntkviz.truth.truth import half_subsets
from ntkviz.types import Dataset
from tests.truth.made import ADAMW, MLP, SGD, images, texts

CNN = {"name": "cnn", "options": {"height": 6, "width": 6, "n_classes": 3, "channels": [4], "hidden": [5]}}
TEXT = {
    "name": "transformer",
    "options": {"vocabulary": 10, "length": 5, "width": 8, "heads": 2, "hidden": 8, "n_classes": 2},
}
ONE_LOGIT = {"name": "transformer", "options": TEXT["options"] | {"n_classes": 1}}
CASES = {
    "mlp, sgd": (MLP, images(), SGD),
    "mlp, adamw": (MLP, images(), ADAMW),
    "mlp, a last batch of 1": (MLP, images(), replace(SGD, batch_size=7)),
    "mlp, moved by whole pixels": (MLP, images(), replace(SGD, shift=2)),
    "mlp, moved by less": (MLP, images(), replace(SGD, shift=1.5)),
    "cnn, turned and mirrored": (CNN, images(), replace(ADAMW, shift=1, rotate=20, mirror=True)),
    "text, words forgotten": (TEXT, texts(), replace(ADAMW, forget=0.3)),
    "text, one logit": (ONE_LOGIT, texts(), ADAMW),
}


def alone(spec: dict, data: Dataset, mask: np.ndarray, seed: int, training: Training) -> np.ndarray:
    model = train(spec, data.x_train[mask], data.y_train[mask], replace(training, seed=seed))
    return logits_of(model, data.x_test)


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("case", CASES)
def test_every_network_is_what_training_it_alone_gives(case, together):
    spec, data, training = CASES[case]
    masks, seeds = half_subsets(len(data.y_train), 3, 0), np.array([5, 5, 11])
    found = retrain(spec, data, masks, seeds, training, together=together)
    expected = np.stack([alone(spec, data, mask, seed, training) for mask, seed in zip(masks, seeds, strict=True)])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert np.abs(found[0] - found[1]).max() > 1e-2  # other points
    assert np.abs(found[1] - found[2]).max() > 1e-2


def test_networks_do_not_depend_on_those_they_are_trained_with():
    data = images()
    masks, seeds = half_subsets(30, 7, 1), np.arange(7)
    everyone = retrain(MLP, data, masks, seeds, SGD)
    np.testing.assert_allclose(retrain(MLP, data, masks[4:6], seeds[4:6], SGD), everyone[4:6], atol=1e-4)


def test_points_that_are_left_out_have_no_say():
    data = images()
    masks, seeds = half_subsets(30, 2, 2), np.array([0, 1])
    changed = data.x_train.copy()
    changed[~masks[0]] = 7.0
    first, second = (retrain(MLP, replace(data, x_train=x), masks, seeds, SGD) for x in (data.x_train, changed))
    np.testing.assert_array_equal(first[0], second[0])
    assert np.abs(first[1] - second[1]).max() > 1e-2


def test_only_the_test_points_asked_for_are_answered():
    data, masks = images(), half_subsets(30, 2, 3)
    chosen = np.array([7, 2])
    everywhere = retrain(MLP, data, masks, np.array([0, 1]), SGD)
    np.testing.assert_allclose(retrain(MLP, data, masks, np.array([0, 1]), SGD, test=chosen), everywhere[:, chosen], atol=1e-5)


def test_the_global_generator_is_left_alone():
    data, masks = images(), half_subsets(30, 2, 3)
    for together in (True, False):
        torch.manual_seed(123)
        before = torch.get_rng_state()
        retrain(MLP, data, masks, np.array([0, 1]), SGD, together=together)
        assert torch.equal(torch.get_rng_state(), before)


def test_dropout_and_batch_norm_are_trained_alone():
    dropout = {"name": "mlp", "options": MLP["options"] | {"dropout": 0.3}}
    norm = {"name": "cnn", "options": CNN["options"] | {"batch_norm": True}}
    data, masks = images(), half_subsets(30, 2, 3)
    for spec in (dropout, norm):
        assert not can_train_together(build_model(spec))
        with pytest.raises(ValueError, match="leave `together` out"):
            retrain(spec, data, masks, np.array([0, 1]), SGD, together=True)
        found = retrain(spec, data, masks, np.array([0, 1]), SGD)
        np.testing.assert_allclose(found[1], alone(spec, data, masks[1], 1, SGD), atol=1e-4)
    assert can_train_together(build_model(TEXT))  # its dropout is 0


@pytest.mark.parametrize(
    ("masks", "seeds", "said"),
    [
        (np.ones((2, 30)), [0, 1], "`masks` must be bool"),
        (np.ones((2, 29), dtype=bool), [0, 1], "`masks` must be bool"),
        (np.ones((0, 30), dtype=bool), [], "`masks` must be bool"),
        (np.ones((2, 30), dtype=bool), [0], "`seeds` must be"),
        (np.ones((2, 30), dtype=bool), [0.5, 1.0], "`seeds` must be"),
        (np.ones((2, 30), dtype=bool), [0, -1], "`seeds` must be"),
        (np.tri(2, 30, 3, dtype=bool), [0, 1], "keep 4 to 5 points"),
        (np.zeros((2, 30), dtype=bool), [0, 1], "keep 0 to 0 points"),
    ],
)
def test_masks_and_seeds_that_do_not_fit_are_refused(masks, seeds, said):
    with pytest.raises(ValueError, match=said):
        retrain(MLP, images(), masks, np.array(seeds), SGD)


@pytest.mark.parametrize("together", [True, False])
def test_cancelling_stops_within_an_epoch(together):
    calls = []

    def stop(stage: str, fraction: float) -> None:
        calls.append((stage, fraction))
        if len(calls) == 3:
            raise JobCancelled("stop")

    with pytest.raises(JobCancelled):
        retrain(MLP, images(), half_subsets(30, 40, 0), np.arange(40), SGD, together=together, on_progress=stop)
    assert [stage for stage, _ in calls] == ["truth"] * 3
    assert 0 < calls[-1][1] < 0.2


def test_progress_rises_to_one(monkeypatch):
    monkeypatch.setattr(room, "ENSEMBLE", 3)
    seen = []
    retrain(MLP, images(), half_subsets(30, 7, 0), np.arange(7), SGD, on_progress=lambda _, fraction: seen.append(fraction))
    assert seen == sorted(seen)
    assert seen[0] == 0
    assert seen[-1] == 1
    assert len(seen) > 3 * SGD.epochs  # three ensembles


def test_an_interrupted_call_goes_on_where_it_stopped(monkeypatch, tmp_path):
    monkeypatch.setattr(room, "ENSEMBLE", 3)
    data, masks, seeds = images(), half_subsets(30, 8, 0), np.arange(8)
    whole = retrain(MLP, data, masks, seeds, SGD)

    def stop(_stage: str, fraction: float) -> None:
        if fraction > 0.5:
            raise JobCancelled("stop")

    with pytest.raises(JobCancelled):
        retrain(MLP, data, masks, seeds, SGD, kept=tmp_path, on_progress=stop)
    finished = sorted(tmp_path.iterdir())
    assert len(finished) == 1
    finished[0].write_bytes(finished[0].read_bytes()[:-5])  # cut short: trained again
    trained = []
    real = room._trained
    monkeypatch.setattr(room, "_trained", lambda work, m, s, on_part: trained.append(len(s)) or real(work, m, s, on_part))
    np.testing.assert_array_equal(retrain(MLP, data, masks, seeds, SGD, kept=tmp_path), whole)
    assert trained == [3, 3, 2]
    np.testing.assert_array_equal(retrain(MLP, data, masks, seeds, SGD, kept=tmp_path), whole)
    assert trained == [3, 3, 2]
    retrain(MLP, data, masks, seeds, replace(SGD, learning_rate=0.2), kept=tmp_path)  # another recipe: nothing fits
    assert trained == [3, 3, 2, 3, 3, 2]


@pytest.mark.slow
def test_worker_processes_give_the_same_networks_and_stop_when_told(monkeypatch: pytest.MonkeyPatch):
    # A spawned child imports the caller's main module, and a test of pages leaves one of its own behind.
    monkeypatch.setitem(sys.modules, "__main__", ModuleType("__main__"))
    data, masks, seeds = images(), half_subsets(30, 45, 0), np.arange(45)
    here = retrain(MLP, data, masks, seeds, SGD)
    np.testing.assert_allclose(retrain(MLP, data, masks, seeds, SGD, workers=2), here, atol=1e-5)

    calls = []

    def stop(_stage: str, fraction: float) -> None:
        calls.append(fraction)
        if len(calls) == 2:
            raise JobCancelled("stop")

    with pytest.raises(JobCancelled):
        retrain(MLP, data, masks, seeds, replace(SGD, epochs=10_000), workers=2, on_progress=stop)
    assert calls == [0, 0]
    assert not [child for child in multiprocessing.active_children() if child.is_alive()]
