"""What the portable tests need of a test framework, on both interpreters."""

try:
    import micropython
except ImportError:  # CPython: has no heap to lock
    micropython = None

_TICK_MASK = 0x3FFFFFFF


def raises(kind, function, *args):
    """Call `function` and return the `kind` of exception that it raises."""
    try:
        function(*args)
    except kind as error:
        return error
    raise AssertionError("%r%r raised no %s" % (function, args, kind.__name__))


def numbers_from(seed):
    """Yield a fixed sequence of 16-bit numbers (`random` differs between interpreters)."""
    state = seed
    while True:
        state = (state * 1103515245 + 12345) & 0x7FFFFFFF
        yield state >> 15


def later(now_ms, step_ms):
    """Return a board's ticks `step_ms` later; a sum of 31 bits would take heap there."""
    return (now_ms - _TICK_MASK + step_ms - 1) & _TICK_MASK


def without_heap(function):
    """Call `function` with the heap locked, so that on MicroPython any allocation raises.

    On CPython it is merely called. Returns nothing: a result could need the heap.
    """
    if micropython is None:
        function()
        return
    micropython.heap_lock()
    try:
        function()
    finally:
        micropython.heap_unlock()
