"""Puts both interpreters through a script and says where their traces part."""

import json

import operations
from accepted import excuse


def to_line(script):
    return json.dumps(script, ensure_ascii=False)


def _shown(line, step, ours, theirs):
    return (
        f"\nscript:      {line}\nstep:        {step}\n"
        f"CPython:     {ours}\nMicroPython: {theirs}\n"
        f"again:       echo the script | micropython tests/differential/worker.py"
    )


def compare(worker, script):
    """Assert that both leave the same trace; return CPython's, up to where that is certain.

    Also asserts that nothing is raised but what the subject declares.
    """
    line = to_line(script)
    declared = operations.SUBJECTS[script["subject"]].errors
    ours = json.loads(operations.answer(line))
    theirs = json.loads(worker.ask(line))
    steps = [["make", *script["make"]], *script["steps"]]
    for index in range(min(len(ours), len(theirs))):
        mine, its, step = ours[index], theirs[index], steps[index]
        # As text, in which True is not 1.
        if json.dumps(mine) != json.dumps(its):
            entry = excuse(script["subject"], step, mine, its)
            assert entry is not None, _shown(line, step, mine, its)
            return ours[:index]
        is_declared = mine[0] != "raised" or mine[1] in declared
        assert is_declared, "undeclared error" + _shown(line, step, mine, its)
    assert len(ours) == len(theirs), _shown(line, "the number of steps", len(ours), len(theirs))
    return ours
