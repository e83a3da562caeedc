"""Laws of the recipe: what a card keeps comes back, and a faulty one is told what is wrong."""

import json
from dataclasses import replace

import pytest

from ntkviz.data.sample import sample_card, samples
from ntkviz.truth.recipe import Training
from sample_models.recipes import RECIPES
from tests.truth.made import SGD


@pytest.mark.parametrize("training", [SGD, replace(SGD, mirror=True, forget=0.25, rotate=10, shift=2.5)])
def test_a_recipe_comes_back_from_json(training):
    assert Training.from_dict(json.loads(json.dumps(training.to_dict()))) == training


def test_every_card_has_the_recipe_of_its_sample():
    assert {name: Training.from_dict(sample_card(name).recipe or {}) for name in samples()} == {
        name: recipe.training for name, recipe in RECIPES.items()
    }


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ({"epochs": 0}, "`epochs` is '0'; expected a whole number from 1 to 10000"),
        ({"epochs": 2.5}, "`epochs`"),
        ({"epochs": True}, "`epochs` is 'True'; expected a number"),
        ({"optimiser": "lion"}, "expected 'sgd' or 'adamw'"),
        ({"learning_rate": float("nan")}, "`learning_rate`"),
        ({"learning_rate": "fast"}, "`learning_rate`"),
        ({"mirror": 1}, "expected true or false"),
        ({"seed": -1}, "`seed`"),
        ({"dropout": 0.5}, "unknown: dropout"),
    ],
)
def test_a_faulty_entry_is_named(entries, said):
    with pytest.raises(ValueError, match=r"expected|unknown") as refused:
        Training.from_dict(SGD.to_dict() | entries)
    assert said in str(refused.value)


def test_missing_entries_are_named():
    with pytest.raises(ValueError, match="missing: optimiser, weight_decay"):
        Training.from_dict({"epochs": 1, "learning_rate": 0.1, "batch_size": 2})
