"""Grows the corpus: alters what it has, and keeps what makes the ends do something new.

What is new is judged by the features of an attack: which counters move in which
states, what is refused and why. Runs for a number of cases, not for a time, so
that the same seed does the same everywhere.
"""

from attack import MODES, attack, decode
from hostile import Random, mutated, stream

SIZE_MAX = 4096  # bytes of one input
_MUTATIONS_MAX = 4
_FRESH_EVERY = 8  # an input that descends from nothing


def features_of(data, mode, is_up):
    """Return all that `data` makes happen, in this mode."""
    seen = attack(data, mode, is_up=is_up)
    return decode(data) | {(mode, *feature) for feature in seen}


class Growth:
    """A pool of inputs and the features that they reach."""

    def __init__(self, rng):
        self.pool = []
        self.features = set()
        self._rng = rng
        self._choose = Random(rng)

    def add(self, data):
        """Put an input of the corpus into the pool, with what it does in every mode."""
        self.pool.append(data)
        for mode in MODES:
            self.features |= features_of(data, mode, is_up=True)

    def grow(self, case_count):
        """Yield (input, its new features) for each of `case_count` that has any.

        An input that breaks something raises AssertionError (or whatever the code
        raised), with the input as `culprit`.
        """
        for case in range(case_count):
            data = self._next(case)
            mode = self._choose.pick(MODES)
            try:
                new = features_of(data, mode, self._choose.integer(0, 3) > 0) - self.features
            except BaseException as error:
                error.culprit = data
                raise
            if new:
                self.features |= new
                self.pool.append(data)
                yield data, new

    def _next(self, case):
        choose = self._choose
        if not self.pool or case % _FRESH_EVERY == 0:
            return stream(choose)[:SIZE_MAX]
        data = choose.pick(self.pool)
        for _ in range(choose.integer(1, _MUTATIONS_MAX)):
            data = mutated(choose, data, choose.pick(self.pool))
        return data[:SIZE_MAX]
