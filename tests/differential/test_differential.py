"""The same scripts on CPython and on MicroPython: 1,000 of them, 20,000 in a long run."""

import pytest
from comparison import compare
from hypothesis import given
from operations import SUBJECTS
from profiles import examples
from scripts import SCRIPTS

COUNTS = {
    "record_ring": 100,
    "ring_buffer": 100,
    "frame": 140,
    "message": 140,
    "pattern": 50,
    "reading": 40,
    "quantity": 50,
    "window": 60,
    "rollup": 30,
    "rules": 80,
    "watch": 140,
    "hmac": 20,
    "privacy": 80,
}


def test_there_are_a_thousand_scripts_and_some_for_each_subject():
    assert sum(COUNTS.values()) >= 1000
    assert set(COUNTS) == set(SUBJECTS) == set(SCRIPTS)


@pytest.mark.parametrize("name", SUBJECTS)
def test_both_interpreters_leave_the_same_trace(name, worker):
    subject = SUBJECTS[name]
    reached = set()

    @examples(COUNTS[name])
    @given(SCRIPTS[name])
    def check(script):
        trace = compare(worker, script)
        for step, entry in zip([["make"], *script["steps"]], trace, strict=False):
            if entry[0] == "returned":
                reached.add(step[0])
            else:
                reached.add(entry[1])

    check()
    # Scripts that never get anywhere prove nothing.
    assert reached == {"make", *subject.operations, *subject.errors}
