"""The page Studies: choose, quote, run, follow, open, delete. The jobs here are real, on a few points."""

import pytest

from ntkviz.studies import jobs
from ntkviz.studies.spec import StudySpec
from ntkviz.studies.store import Store
from ntkviz.studies.supervisor import MOST_TRIES
from tests.pages.conftest import texts


def metrics(app) -> dict[str, str]:
    return {metric.label: metric.value for metric in app.metric}


@pytest.fixture
def ended():
    """Wait for a job, and cancel it when the test ends first."""
    started = []

    def wait(job_id: str):
        started.append(job_id)
        return jobs.wait(job_id, seconds=200)

    yield wait
    for job in jobs.list_jobs():
        jobs.cancel(job.id)


def small(app):
    """Few points of the table: seconds, also on a busy machine."""
    app.button(key="choose_cancer-mlp").click().run()
    app.number_input(key="_n_train").set_value(20)
    app.number_input(key="_n_test").set_value(10).run()
    return app


def test_first_start_offers_one_button_with_its_quote(open_page):
    app = open_page()  # nobody waits here for what was not measured yet
    assert app.button(key="start").label.startswith("Start with MNIST")
    assert "1,000 training and 500 test points; " in texts(app)
    app.run()  # the form below has measured
    assert app.button(key="start").label.startswith("Start with MNIST (about ")
    assert "1,000 training and 500 test points; about " in texts(app)


def test_cards_show_every_sample(open_page):
    from ntkviz.data.sample import samples

    app = open_page()
    chosen = app.session_state["subject"] if "subject" in app.session_state else samples()[0]
    offered = {button.key.removeprefix("choose_") for button in app.button if (button.key or "").startswith("choose_")}
    assert offered | {chosen} == set(samples())


def test_sizes_default_to_a_quick_look_and_say_so(open_page):
    app = open_page()
    assert app.number_input(key="_n_train").value == 1000
    assert app.number_input(key="_n_test").value == 500
    assert "All 5,000 + 1,000 points with the Trace NTK: about " in texts(app)


def test_another_subject_brings_its_own_sizes(open_page):
    app = open_page()
    app.button(key="choose_cancer-mlp").click().run()
    assert app.number_input(key="_n_train").value == 400
    assert "All points of the data set." in texts(app)


def test_choices_survive_a_visit_to_another_page(open_page):
    app = open_page()
    app.number_input(key="_seed").set_value(7).run()
    app.switch_page("pages/server.py").run().switch_page("pages/studies.py").run()
    assert app.number_input(key="_seed").value == 7


def test_quote_follows_the_choices(open_page):
    app = small(open_page())
    before = metrics(app)
    app.number_input(key="_n_train").set_value(400).run()
    assert metrics(app)["Disk"] != before["Disk"]
    app.pills(key="_kernels").set_value(["trntk", "ck"]).run()
    assert app.button(key="run").label == "Run 2 studies"


def test_a_time_budget_is_answered_beside_the_quote(open_page):
    app = small(open_page())
    assert not [info for info in app.info if "budget" in info.value]
    app.number_input(key="_budget").set_value(600).run()
    assert "The exact trace NTK fits in the budget of 10 min" in app.info[0].value
    app.pills(key="_kernels").set_value(["ck"]).run()
    assert not [info for info in app.info if "budget" in info.value]


def test_over_budget_is_refused_with_the_way_out(open_page, monkeypatch):
    monkeypatch.setenv("NTKVIZ_MEMORY_MB", "100")
    app = open_page()
    assert "Ask for fewer training points, or raise NTKVIZ" in app.error[0].value.replace("\\", "")
    assert app.button(key="run").disabled


def test_nothing_chosen_asks_for_a_choice(open_page):
    app = open_page()
    app.pills(key="_surrogates").set_value([]).run()
    assert "Choose at least one kernel and one surrogate." in texts(app)


def test_an_option_that_is_no_number_fails_in_a_sentence(open_page, ended):
    app = small(open_page())
    app.text_input(key="_option_kglm.alpha").set_value("plenty").run()
    app.button(key="run").click().run()
    job = ended(app.session_state["job"])
    assert job.state == "failed"
    app.run()
    assert not app.exception
    assert "alpha must be a finite number above 0" in app.error[0].value.replace("\\", "")


def test_run_to_the_end_opens_the_study(open_page, ended, home):
    app = small(open_page())
    app.button(key="run").click().run()
    job_id = app.session_state["job"]
    assert app.query_params["job"] == job_id
    assert app.button(key="cancel_job").label == "Cancel"
    job = ended(job_id)
    assert job.state == "done", job.error
    app.run()
    assert app.session_state["study"] == job.results[0]
    assert "Finished in" in texts(app)
    assert {button.label for button in app.button} >= {"Can I trust it?", "Explain a prediction"}
    app.button(key="dismiss_job").click().run()
    assert "job" not in app.session_state
    assert app.button(key="run").label == "Open the study"
    assert Store(home).has_study(job.results[0])


def test_a_new_session_finds_the_running_job_again(open_page, ended):
    app = small(open_page())
    app.button(key="run").click().run()
    job_id = app.session_state["job"]
    other = open_page()
    assert other.session_state["job"] == job_id
    assert {button.key for button in other.button} & {"cancel_job", "dismiss_job"}
    ended(job_id)


def test_cancel_ends_the_job_and_says_so(open_page, ended):
    app = open_page()
    app.button(key="run").click().run()
    app.button(key="cancel_job").click().run()
    assert jobs.status(app.session_state["job"]).state == "cancelled"
    app.run()
    assert "Cancelled. Nothing was kept." in texts(app)


def test_a_job_whose_process_died_is_explained(open_page, ended):
    import os
    import signal

    app = open_page()
    app.button(key="run").click().run()
    for tries in range(MOST_TRIES):  # it is started again, but not for ever
        job = jobs.wait(app.session_state["job"], seconds=60, until=lambda job, n=tries: job.pid is not None and job.tries == n)
        os.kill(job.pid or 0, signal.SIGKILL)
    ended(job.id)
    app.run()
    assert not app.exception
    assert "The worker died" in app.error[0].value.replace("\\", "")


def test_an_unknown_job_in_the_address_is_forgotten(open_page):
    app = open_page(job="20200101T000000-000000-0123456789abcdef")
    assert not app.exception
    assert "job" not in app.session_state


@pytest.mark.parametrize("name", ["../../etc", "%00", "a" * 500])
def test_a_job_id_never_names_a_folder_elsewhere(open_page, name):
    app = open_page(job=name)
    assert not app.exception


def test_finished_studies_are_listed_newest_first(made, open_page):
    app = open_page()
    opens = [button.key for button in app.button if (button.key or "").startswith("open_")]
    assert opens == [f"open_{made.keys[name][:12]}" for name in ("digits", "digits_ck", "table", "text")]


def test_open_shows_the_study_on_all_pages(made, open_page):
    app = open_page()
    app.button(key=f"open_{made.keys['text'][:12]}").click().run()
    assert app.session_state["study"] == made.keys["text"]
    app.switch_page("pages/explain.py").run()
    assert app.query_params["study"] == made.keys["text"]


def test_delete_removes_the_study_and_forgets_it(made, open_page):
    app = open_page(study=made.keys["text"])
    app.button(key=f"delete_{made.keys['text'][:12]}").click().run()
    assert not Store(made.home).has_study(made.keys["text"])
    assert "study" not in app.session_state
    assert not app.exception


def test_a_stored_study_is_opened_and_not_run_again(made, open_page):
    app = open_page()
    app.number_input(key="_n_train").set_value(60)
    app.number_input(key="_n_test").set_value(30).run()
    assert app.button(key="run").label == "Open the study"
    app.button(key="run").click().run()
    assert app.session_state["study"] == made.keys["digits"]
    assert jobs.list_jobs() == []


def test_a_damaged_study_stays_in_the_list_with_its_problem(made, open_page):
    (made.home / "studies" / made.keys["table"] / "manifest.json").write_text("{}")
    app = open_page()
    assert not app.exception
    assert f"Damaged ({made.keys['table'][:8]})" in texts(app)
    app.button(key=f"delete_{made.keys['table'][:12]}").click().run()
    assert not Store(made.home).has_study(made.keys["table"])


def test_specs_of_the_form_are_every_kernel_with_every_surrogate(open_page, ended):
    app = small(open_page())
    app.pills(key="_kernels").set_value(["ck", "inputs"])
    app.pills(key="_surrogates").set_value(["ridge", "kglm"]).run()
    app.segmented_control(key="_normalize").set_value("raw").run()
    app.button(key="run").click().run()
    specs = jobs.status(app.session_state["job"]).specs
    assert {(spec.kernel, spec.surrogate) for spec in specs} == {(k, s) for k in ("ck", "inputs") for s in ("ridge", "kglm")}
    assert specs[0] == StudySpec(
        sample="cancer-mlp", kernel="ck", surrogate=specs[0].surrogate, normalize=False, n_train=20, n_test=10
    )
