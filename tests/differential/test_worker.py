"""The differential test itself: it finds divergence, and it survives its worker."""

import json
import shutil

import operations
import pytest
from accepted import ACCEPTED, excuse
from comparison import compare, to_line
from hypothesis import Phase, given, settings
from interpreter import ROOT, find_program
from script import plain
from scripts import SCRIPTS
from worker_process import Worker, WorkerDied

# subject: (file of the core, a line of it, what harm to do): each has to be found.
MUTATIONS = {
    "record_ring": (
        "record_ring.py",
        "self.dropped_total += end - self.first_seq",
        "end",
        "end + 1",
    ),
    "ring_buffer": ("ring.py", "if self._time(middle) < time_ms:", "<", "<="),
    "frame": ("frame.py", "self.noise_bytes_total += len(line)", "len(line)", "1"),
    "message": ("message.py", "not 0 <= value <= _LARGEST[code]", "value <= ", "value < "),
    "pattern": ("pattern.py", "self._any |= place", "|=", "="),
    "quantity": ("quantity.py", "while digits and numerator % 10 == 0:", "digits", "digits > 1"),
    "window": ("window.py", "back = (self._mask - ahead_ms) // step_ms + 1", "+ 1", ""),
    "rollup": ("window.py", "time_ms >= self.last_ms:", ">=", ">"),
    "rules": ("rule.py", "if len(kinds) != 1:", "!=", ">"),
    "watch": ("alert.py", "_passed_ms(self._since_ms, time_ms) < rule.for_ms", "<", "<="),
    "hmac": ("hmac.py", "if len(key) > _BLOCK_SIZE:", ">", ">="),
    "privacy": (
        "privacy.py",
        "if not rule.is_about_key and rule.fits(device, channel, sensor):",
        "not rule.is_about_key and ",
        "",
    ),
    "reading": ("reading.py", "if not low <= value <= high:", "value <= high", "value < high"),
}


def test_each_subject_has_a_mutation():
    assert set(MUTATIONS) == set(operations.SUBJECTS)


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_core_that_differs_in_one_line_is_found(name, tmp_path):
    file, line, old, new = MUTATIONS[name]
    shutil.copytree(ROOT / "shared", tmp_path / "shared")
    path = tmp_path / "shared" / "pyv_edge_core" / file
    source = path.read_text()
    assert line in source, f"{file} has changed: choose another line for MUTATIONS"
    path.write_text(source.replace(line, line.replace(old, new), 1))
    worker = Worker(find_program("micropython", "PYV_MICROPYTHON"), tmp_path / "shared")

    # Whatever the profile: found is found, and no time goes into making it small.
    @settings(derandomize=True, max_examples=400, phases=[Phase.generate], deadline=None)
    @given(SCRIPTS[name])
    def check(script):
        compare(worker, script)

    try:
        with pytest.raises(AssertionError, match=r"(?s)script: .*step: .*CPython: .*Micro"):
            check()
    finally:
        worker.close()


@pytest.mark.parametrize("entry", ACCEPTED, ids=lambda entry: entry.what[:30])
def test_an_accepted_difference_is_still_one(entry, worker):
    script = dict(entry.example, subject=entry.subject)
    line = to_line(script)
    ours, theirs = json.loads(operations.answer(line)), json.loads(worker.ask(line))
    assert ours[:-1] == theirs[:-1]
    assert ours[-1] != theirs[-1], "they are alike now: take the entry out of accepted.py"
    assert excuse(entry.subject, script["steps"][-1], ours[-1], theirs[-1]) is entry
    assert entry.what and entry.reason
    # The comparison takes it, and vouches for what came before it only.
    assert compare(worker, script) == ours[:-1]


def test_an_excuse_is_for_its_own_difference_only(worker):
    push = ["push", 256, 0, 1, 0, 0]
    raised = ["raised", "error", None, None]
    returned = ["returned", True, None]
    assert excuse("record_ring", push, raised, returned)
    for subject, step, ours, theirs in (
        ("record_ring", ["read", 0, 1], raised, returned),
        ("record_ring", push, returned, raised),
        ("record_ring", push, raised, ["raised", "MemoryError", None, None]),
        ("reading", push, raised, returned),
        ("message", ["parse", "010b0000010141"], ["raised", "MessageError", None, None], returned),
    ):
        assert excuse(subject, step, ours, theirs) is None, (subject, step)


class _Echo:
    """A worker whose traces are ours, altered."""

    def __init__(self, alter):
        self._alter = alter

    def ask(self, line):
        return json.dumps(self._alter(json.loads(operations.answer(line))))


def test_any_part_of_a_trace_counts():
    script = {"subject": "record_ring", "make": [16], "steps": [["push", 1, 0, 5, 1, 0]]}
    assert len(compare(_Echo(lambda trace: trace), script)) == 2
    for alter in (
        lambda trace: trace[:1],
        lambda trace: [*trace, trace[-1]],
        lambda trace: [trace[0], ["returned", 1, trace[1][2]]],  # and not true
        lambda trace: [trace[0], ["raised", "MemoryError", None, trace[1][2]]],
        lambda trace: [trace[0], [*trace[1][:2], [9, *trace[1][2][1:]]]],
    ):
        with pytest.raises(AssertionError, match="CPython: "):
            compare(_Echo(alter), script)


def test_an_error_that_the_subject_does_not_declare_fails_on_both_sides(worker):
    script = {"subject": "pattern", "make": ["a"], "steps": [["matches", None]]}
    with pytest.raises(AssertionError, match="undeclared error"):
        compare(worker, script)


def test_a_worker_that_dies_shows_the_script_and_is_started_again():
    worker = Worker(find_program("micropython", "PYV_MICROPYTHON"))
    good = to_line({"subject": "pattern", "make": ["*"], "steps": [["matches", "a"]]})
    bad = to_line({"subject": "pattern", "make": ["*"], "steps": [["no_such_operation"]]})
    try:
        for round_index in range(2):
            assert json.loads(worker.ask(good))[-1] == ["returned", True, "*"]
            with pytest.raises(WorkerDied, match=r"(?s)no_such_operation.*KeyError"):
                worker.ask(bad)
            assert worker.started_total == round_index + 1
        assert json.loads(worker.ask(good))[-1] == ["returned", True, "*"]
    finally:
        worker.close()


def test_64_bits_and_any_text_survive_the_way_there_and_back(worker):
    ends = [-(2**63), -(2**31) - 1, 2**31, 2**53 + 1, 2**62, 2**63 - 1]
    steps = [["append", value, value >> 1] for value in ends]
    trace = compare(
        worker, {"subject": "ring_buffer", "make": [9, "q"], "steps": [*steps, ["list"]]}
    )
    assert trace[-1][1] == [[value >> 1, value] for value in ends]
    text = '\x00\n"\\é\u2028\U0001f600'
    raw = bytes((1, 11, 0, 0, 5, len(text.encode()))) + text.encode()
    trace = compare(worker, {"subject": "message", "make": [], "steps": [["parse", raw.hex()]]})
    assert trace[-1][1][2] == [0, 5, text]


def test_a_trace_has_one_form_for_each_value():
    assert plain((1, b"\x00\xff", 0.5, None, True)) == [
        1,
        {"bytes": "00ff"},
        {"float": "000000000000e03f"},
        None,
        True,
    ]
    with pytest.raises(TypeError):
        plain({1: 2})
