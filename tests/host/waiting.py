"""Waiting in tests: for a condition, with a deadline, never for a time."""

import threading
import time

_PAUSE = threading.Event()  # never set: its wait is a short pause between two looks


def wait_for(condition, what, deadline_s=10.0):
    """Return the first true result of `condition()`; fail, saying `what`, if none comes."""
    end = time.monotonic() + deadline_s
    while True:
        result = condition()
        if result:
            return result
        assert time.monotonic() < end, f"not within {deadline_s} s: {what}"
        _PAUSE.wait(0.01)


def run_with_deadline(call, what, deadline_s=20.0):
    """Run `call()` in a thread of its own and wait for its end; fail if there is none."""
    errors = []

    def run():
        try:
            call()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(deadline_s)
    assert not thread.is_alive(), f"does not return: {what}"
    if errors:
        raise errors[0]
