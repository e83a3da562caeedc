"""Quotes that a page does not wait for: what has to be measured first is measured in the background."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from threading import Lock

from ntkviz.studies.quote import Quote, quote, quote_at_once
from ntkviz.studies.spec import StudySpec
from ntkviz.studies.store import ntkviz_home

#: Seconds that a page waits before it goes on without the figures.
PATIENCE = 0.2

_pool = ThreadPoolExecutor(1, thread_name_prefix="ntkviz-quote")  # one at a time: measurements must not disturb each other
_asked: dict[str, Future[Quote]] = {}
_lock = Lock()


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
    home = ntkviz_home()
    key = f"{home} {list(specs)!r}"
    with _lock:
        job = _asked.get(key)
        if job is None:
            job = _asked[key] = _pool.submit(quote, list(specs), home=home)
    wait([job], timeout=PATIENCE)
    if not job.done():
        return None
    if job.exception() is None:  # a failure stays, or it would be measured and fail for ever
        with _lock:
            _asked.pop(key, None)
    return job.result()
