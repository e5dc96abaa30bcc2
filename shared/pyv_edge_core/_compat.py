"""The one place where the core asks which interpreter runs it."""

TYPE_CHECKING = False  # type checkers treat this name as true
if TYPE_CHECKING:

    def const(value: int) -> int: ...

else:
    try:
        from micropython import const
    except ImportError:  # CPython: mpy-cross folds constants, CPython needs no help

        def const(value):
            return value
