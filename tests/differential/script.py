"""How a script of operations is run and what trace it leaves, the same on both interpreters.

    script  {"subject": name, "make": [argument, ...], "steps": [[operation, argument, ...], ...]}
    trace   [entry of the constructor, entry of each step]
    entry   ["returned", result, state] or ["raised", name of the class, state]

Everything is JSON. Integers are of any size, bytes are hex on the way in and
{"bytes": hex} in a trace, floats {"float": hex of their IEEE form}: both
interpreters print floats in ways of their own. The text of an error is none of
a trace's business.
"""

import struct
from collections import namedtuple

# name; make(*arguments) -> state; look(state) -> lengths and counters; operations: name ->
# function(state, *arguments) -> result; errors: names of the classes that may be raised.
Subject = namedtuple("Subject", ("name", "make", "look", "operations", "errors"))


def plain(value):
    """Return `value` as JSON can carry it. Raises TypeError for what a trace has no form for."""
    # bool by name: it is no int on MicroPython.
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return {"float": struct.pack("<d", value).hex()}
    if isinstance(value, (bytes, bytearray)):
        return {"bytes": value.hex()}
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    raise TypeError("a trace has no form for %s: dicts become lists of pairs" % type(value))


def _entry(function, arguments):
    """Return (entry without its state, result)."""
    try:
        result = function(*arguments)
    except Exception as error:  # whatever it is: which one it is, is what gets compared
        return ["raised", type(error).__name__], None
    return ["returned"], result


def run(subject, script):
    """Return the trace of `script`. One whose constructor raises has one entry."""
    entry, state = _entry(subject.make, script["make"])
    if entry[0] == "raised":
        return [entry + [None, None]]
    trace = [entry + [None, plain(subject.look(state))]]
    for step in script["steps"]:
        operation = subject.operations[step[0]]
        entry, result = _entry(operation, [state] + step[1:])
        trace.append(entry + [plain(result), plain(subject.look(state))])
    return trace


def nothing(state):
    """Look at a subject that has no state."""
