"""Quotes that a page does not wait for: what has to be measured first is measured in the background."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from threading import Lock, Thread
from typing import Any

from ntkviz.studies.quote import Quote, quote, quote_at_once
from ntkviz.studies.retraining import Retraining
from ntkviz.studies.retraining_run import RetrainingQuote, is_quoted, quote_retraining
from ntkviz.studies.spec import StudySpec
from ntkviz.studies.store import ntkviz_home

#: Seconds that a page waits before it goes on without the figures.
PATIENCE = 0.2

_asked: dict[str, Future[Any]] = {}
_lock = Lock()
_one_at_a_time = Lock()  # measurements must not disturb each other


def quote_when_known(specs: Sequence[StudySpec]) -> Quote | None:
    """What studies will take, or ``None`` as long as it is being measured; ask again then.

    Args:
        specs: the studies. With a time budget among them the choice is made now, and what it needs is measured now.

    Returns:
        The quote or ``None``.

    Raises:
        NtkvizError: see :func:`ntkviz.studies.quote.quote`; also when the measurement has failed.
    """
    if any(spec.budget_seconds for spec in specs):
        return quote(specs)
    found = quote_at_once(specs)
    if found is not None:
        return found
    home, asked = ntkviz_home(), list(specs)
    return _when_known(f"{home} {asked!r}", lambda: quote(asked, home=home))


def retraining_when_known(asked: Retraining) -> RetrainingQuote | None:
    """What a retraining will take, or ``None`` as long as it is being measured; ask again then.

    Args:
        asked: the retraining.

    Returns:
        The quote or ``None``.

    Raises:
        NtkvizError: see :func:`ntkviz.studies.retraining_run.quote_retraining`; also when the measurement has failed.
    """
    home = ntkviz_home()
    if is_quoted(asked, home=home):
        return quote_retraining(asked, home=home)
    return _when_known(f"{home} {asked!r}", lambda: quote_retraining(asked, home=home))


def _when_known(key: str, compute: Callable[[], Any]) -> Any:
    """What is computed in the background, or ``None`` as long as it is not there."""
    with _lock:
        job = _asked.get(key)
        if job is None:
            job = _asked[key] = Future()
            # A daemon: a server that is stopped does not wait for a measurement, as it would for the threads of a pool.
            Thread(target=_measure, args=(job, compute), name="ntkviz-quote", daemon=True).start()
    wait([job], timeout=PATIENCE)
    if not job.done():
        return None
    if job.exception() is None:  # a failure stays, or it would be measured and fail for ever
        with _lock:
            _asked.pop(key, None)
    return job.result()


def _measure(job: Future[Any], compute: Callable[[], Any]) -> None:
    """Fulfil a promise."""
    with _one_at_a_time:
        try:
            job.set_result(compute())
        except Exception as error:  # whoever asks gets it
            job.set_exception(error)
