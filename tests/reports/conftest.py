"""A few small finished studies, and one whose names and texts are hostile."""

import dataclasses

import pandas as pd
import pytest

from ntkviz.studies.store import Store
from ntkviz.studies.subjects import subject_data
from ntkviz.studies.trusted import badges
from tests.pages.made import Made, make

#: What a page would run, load or follow if it were not escaped.
HOSTILE = '<script>alert(1)</script><img src="https://evil.example/x.png" onerror=alert(2)>"\' </script><!-- {{ 7 * 7 }}'


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> Made:
    return make(tmp_path_factory.mktemp("reports") / "home")


@pytest.fixture(scope="session")
def load(made):
    """Name in SPECS -> the study, its data, its badges and the store."""
    store, known = Store(made.home), {}

    def go(name: str):
        if name not in known:
            study = store.load_study(made.keys[name])
            known[name] = (study, subject_data(study.spec.subject_id), badges(study), store)
        return known[name]

    return go


@pytest.fixture(scope="session")
def hostile(load):
    """The studies with every word of people replaced by a hostile one."""

    def go(name: str):
        study, data, found, store = load(name)
        names = tuple(f"{HOSTILE}{i}" for i in range(len(study.class_names)))
        shown = data.display.train
        if isinstance(shown, pd.DataFrame):
            train, test = (part.rename(columns={part.columns[0]: HOSTILE}) for part in (data.display.train, data.display.test))
        elif isinstance(shown, list):
            train, test = [HOSTILE] * len(shown), [HOSTILE] * len(data.display.test)
        else:
            train, test = shown, data.display.test
        display = dataclasses.replace(data.display, train=train, test=test)
        return (
            dataclasses.replace(study, name=HOSTILE, class_names=names, notes=(HOSTILE,)),
            dataclasses.replace(data, class_names=names, display=display),
            found,
            store,
        )

    return go
