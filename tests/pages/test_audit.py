"""The page Audit: what it lists is what the audits say, and what is ticked is on the fix list."""

import json

import numpy as np
import pytest

from ntkviz.audit.backdoor import BackdoorAudit
from ntkviz.audit.duplicates import near_duplicates
from ntkviz.audit.mislabels import mislabels
from ntkviz.audit.planted import score_found, score_ranking
from ntkviz.audit.prototypes import typicality
from ntkviz.scores import scores_of
from ntkviz.studies.pipeline import run_study
from ntkviz.studies.spec import StudySpec
from ntkviz.studies.store import Store
from ntkviz.ui import audited
from ntkviz.ui.fixes import actions_json
from ntkviz.ui.maps import nearest_training
from tests.pages.charts import chart, numbers, table
from tests.pages.conftest import texts

TABS = ["Mislabels", "Backdoor", "Duplicates", "Prototypes and outliers"]


@pytest.fixture(scope="session")
def planted_home(tmp_path_factory):
    """Studies of the two samples with a planted fault."""
    store = Store(tmp_path_factory.mktemp("planted") / "home")
    specs = {
        name: StudySpec(sample=f"mnist-{name}", surrogate="ridge", n_train=300, n_test=300)
        for name in ("mislabelled", "backdoor")
    }
    return store, {name: run_study(spec, store=store) for name, spec in specs.items()}


@pytest.fixture
def opened(made, open_page):
    """The page on one of its tabs, and its study."""

    def go(kind: str, tab: str = TABS[0], **memory: object):
        study = Store(made.home).load_study(made.keys[kind])
        app = open_page("audit", study=study.key)
        app.session_state["audit_tab"] = tab
        for name, value in memory.items():
            app.session_state[name] = value
        return app.run(), study

    return go


@pytest.fixture
def opened_planted(planted_home, open_page, home, monkeypatch):
    """The page on a study with a planted fault."""
    store, studies = planted_home
    monkeypatch.setenv("NTKVIZ_HOME", str(store.home))

    def go(name: str, tab: str, **memory: object):
        app = open_page("audit", study=studies[name].key)
        app.session_state["audit_tab"] = tab
        for key, value in memory.items():
            app.session_state[key] = value
        return app.run(), studies[name]

    return go


@pytest.mark.parametrize("tab", TABS)
@pytest.mark.parametrize("kind", ["digits", "table", "text"])
def test_every_audit_works_for_every_kind_of_data(opened, kind, tab):
    app, _ = opened(kind, tab)
    assert not app.exception
    assert not app.error
    assert "Fix list" in texts(app)
    assert "Nothing is known to be wrong" in texts(app)
    assert not [metric for metric in app.metric if metric.label == "AUC"], "no score without a planted truth"


@pytest.mark.parametrize("kind", ["digits", "table", "text"])
def test_the_table_of_labels_is_the_ranking_of_the_audit(opened, kind):
    app, study = opened(kind)
    found = mislabels(study.kernel, study.y_train, n_classes=len(study.class_names))
    rows = table(app, "rank", "suggested", "score")
    np.testing.assert_array_equal(rows["training point"], study.train_index[found.order])
    np.testing.assert_allclose(rows["score"], found.scores[found.order], atol=1e-8)
    assert rows["suggested"].tolist() == [study.class_names[c] for c in found.suggested[found.order]]
    assert rows["contradicted"].sum() == found.n_contradicted


def test_another_score_gives_another_ranking(opened):
    app, study = opened("digits")
    app.selectbox(key="_audit_method").set_value("network_loss").run()
    found = mislabels(study.kernel, study.y_train, method="network_loss", logits=study.logits_train)
    assert table(app, "rank", "suggested")["training point"].tolist() == study.train_index[found.order].tolist()


def test_what_is_ticked_is_on_the_list_and_what_is_unticked_is_not(opened):
    app, study = opened("digits")
    found = mislabels(study.kernel, study.y_train, n_classes=10)
    first = int(found.order[0])
    box = f"_label_loo_margin_{study.train_index[first]}"
    app.checkbox(key=box).check().run()
    rows = table(app, "action", "new label")
    assert rows["training point"].tolist() == [int(study.train_index[first])]
    assert rows["action"].tolist() == ["relabel"]
    assert rows["new label"].tolist() == [study.class_names[found.suggested[first]]]
    app.session_state["audit_tab"] = "Duplicates"
    app.run()
    assert len(table(app, "action", "new label")) == 1, "the list outlives the tab"
    app.session_state["audit_tab"] = "Mislabels"
    app.run()
    assert app.checkbox(key=box).value
    app.checkbox(key=box).uncheck().run()
    assert "Empty. Tick the boxes" in texts(app)


def test_the_list_can_be_cleared(opened):
    app, study = opened("digits", "Mislabels")
    found = mislabels(study.kernel, study.y_train, n_classes=10)
    app.button(key="all_labels").click().run()
    assert len(table(app, "action", "new label")) == found.n_contradicted > 0
    app.button(key="all_labels").click().run()
    assert "Empty. Tick the boxes" in texts(app)
    app.button(key="all_labels").click().run()
    app.button(key="clear_fixes").click().run()
    assert "Empty. Tick the boxes" in texts(app)


def test_groups_of_duplicates_are_those_of_the_threshold(opened):
    app, study = opened("table", "Duplicates", audit_threshold=0.9)
    found = near_duplicates(study.kernel, study.y_train, threshold=0.9)
    assert f"**{len(found.groups)} groups**" in texts(app)
    rows = table(app, "training points", "labels differ")
    assert rows["points"].tolist() == [len(group.points) for group in found.groups]
    assert rows["labels differ"].tolist() == [group.conflicting for group in found.groups]


def test_prototypes_of_the_table_are_those_of_the_audit(opened):
    app, study = opened("text", "Prototypes and outliers", audit_prototypes=3)
    found = typicality(study.kernel, study.y_train, n_prototypes=3)
    rows = table(app, "prototypes", "distance of the means")
    assert rows["prototypes"].tolist() == [
        ", ".join(str(i) for i in study.train_index[list(one.prototypes)]) for one in found.classes
    ]
    squares = next(trace for trace in chart(app, "class_density")["data"] if trace.get("name") == "prototype")
    assert len(numbers(squares["x"])) == sum(len(one.prototypes) for one in found.classes)


def test_a_chosen_training_point_is_shown_with_its_neighbours(opened):
    app, study = opened("digits")
    point = int(study.train_index[7])
    app.selectbox(key="_example").set_value(point).run()
    assert not app.exception
    near, _ = nearest_training(study, "train", 7, 8)
    same = int((study.y_train[near] == study.y_train[7]).sum())
    assert f"**Its 8 nearest training examples in the kernel's space**, {same} of the same label" in texts(app)


def test_planted_labels_are_scored(opened_planted):
    app, study = opened_planted("mislabelled", "Mislabels")
    assert not app.exception
    found = mislabels(study.kernel, study.y_train, n_classes=10)
    rows = table(app, "rank", "suggested", "flipped")
    order = np.argsort(study.train_index)
    planted = rows.set_index("training point").loc[study.train_index[order], "flipped"].to_numpy(dtype=bool)[np.argsort(order)]
    ranking = score_ranking(found.scores, planted)
    assert {metric.label: metric.value for metric in app.metric}["AUC"] == f"{ranking.auc:.4f}"
    assert ranking.auc > 0.95
    app.toggle(key="_audit_compare").set_value(True).run()
    assert not app.exception
    assert len(table(app, "AUC", "average precision")) == 4


@pytest.mark.parametrize(
    "source", ["every class: what is wrongly predicted as it", "test points that the data mark as triggered"]
)
def test_the_poison_is_found_from_the_page(opened_planted, source):
    app, study = opened_planted("backdoor", "Backdoor", audit_suspects=source)
    assert not app.exception
    assert any("stand apart" in str(warning.value) for warning in app.warning)
    assert "precision 100.0 %, recall 100.0 %" in texts(app)
    app.button(key="all_carriers").click().run()
    rows = table(app, "action", "new label")
    assert set(rows["action"]) == {"remove"}
    said = scores_of(study.logits_test).predicted
    blind = BackdoorAudit(study.kernel, study.y_train, n_classes=10).every_class(study.rows, study.y_test, said)[0]
    assert score_found(blind.group, np.isin(study.train_index, rows["training point"])).precision == 1


def test_one_confusion_can_be_asked_about(opened_planted):
    app, study = opened_planted("backdoor", "Backdoor", audit_suspects="one confusion: a label and what is predicted instead")
    said = scores_of(study.logits_test).predicted
    cells = sorted({(int(a), int(b)) for a, b in zip(study.y_test, said, strict=True) if a != b})
    assert len(app.selectbox(key="_audit_cell").options) == len(cells)
    true, target = cells[0]
    app.selectbox(key="_audit_cell").set_value(f"{true}:{target}").run()
    assert not app.exception
    suspects = np.flatnonzero((study.y_test == true) & (said == target))
    clean = np.flatnonzero((study.y_test == target) & (said == target))
    found = BackdoorAudit(study.kernel, study.y_train, n_classes=10).of(study.rows, suspects, clean, target)
    assert table(app, "training point", "score", "group")["training point"].tolist() == study.train_index[found.points].tolist()


def test_any_test_points_can_be_asked_about_and_those_that_do_not_count_are_told(opened_planted):
    app, study = opened_planted("backdoor", "Backdoor", audit_suspects="test points of your choice")
    assert "no test point to ask about" in texts(app)
    said = scores_of(study.logits_test).predicted
    wrong, right = np.flatnonzero(said != study.y_test), np.flatnonzero(said == study.y_test)
    app.multiselect(key="_test_set").set_value(study.test_index[right[:2]].tolist()).run()
    assert "The network is right on all 2 test points" in texts(app).replace("\\", "")
    target = np.bincount(said[wrong]).argmax()
    some = wrong[said[wrong] == target][:6]
    app.multiselect(key="_test_set").set_value(study.test_index[[*some, right[0]]].tolist()).run()
    assert not app.exception
    assert f"Suspects are {len(some)} of these {len(some) + 1} test points" in texts(app)
    clean = np.setdiff1d(np.flatnonzero((study.y_test == target) & (said == target)), right[:1])
    found = BackdoorAudit(study.kernel, study.y_train, n_classes=10).of(study.rows, some, clean, int(target))
    rows = table(app, "training point", "score", "group")
    assert rows["training point"].tolist() == study.train_index[found.points].tolist()
    np.testing.assert_allclose(rows["score"], found.scores)


def test_the_export_names_ids_and_classes(opened, monkeypatch):
    app, study = opened("digits")
    found = mislabels(study.kernel, study.y_train, n_classes=10)
    app.button(key="all_labels").click().run()
    monkeypatch.setattr("ntkviz.ui.state.st.session_state", {"fix_list": app.session_state["fix_list"]})
    exported = json.loads(actions_json(study))
    assert exported["study"] == study.key
    assert exported["remove"] == []
    wanted = {str(study.train_index[i]): study.class_names[found.suggested[i]] for i in np.flatnonzero(found.contradicted)}
    assert exported["relabel"] == wanted


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("AUDIT_UP_TO", 10, "Audits are made of up to 10 training points"),
        ("available_memory_mb", lambda: 0.0, "takes 0.1 MB of memory"),
    ],
)
def test_what_is_too_large_here_is_refused_in_words(made, open_page, monkeypatch, name, value, said):
    monkeypatch.setattr(audited, name, value)
    app = open_page("audit", study=made.keys["digits"])
    assert said in texts(app)
    assert not app.exception
