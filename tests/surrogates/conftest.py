import pytest
from threadpoolctl import threadpool_limits


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Matrices here are tiny: threads only get in each other's way."""
    with threadpool_limits(1):
        yield
