"""One MicroPython for all differential tests."""

import pytest
from interpreter import find_program
from worker_process import Worker


@pytest.fixture(scope="session")
def worker():
    """Skipped without MicroPython, except in CI."""
    started = Worker(find_program("micropython", "PYV_MICROPYTHON"))
    yield started
    started.close()
