"""Witness: whether a sink that has refused something has accepted something else since.

Only then what is refused can be blamed for it: a sink that refuses everything has a problem
of its own, and what it was sent is no dead letter. For the sink's thread alone.
"""


class Witness:
    """Knows what one sink has refused, and how much it had accepted until then."""

    def __init__(self) -> None:
        self._accepted_total = 0  # batches
        self._refused: dict[str, int] = {}  # of these, when each was refused for the first time

    @property
    def is_wanted(self) -> bool:
        """Whether the next batch that is accepted shows something."""
        return bool(self._refused)

    def accepted(self) -> None:
        """Note that the sink has accepted a batch."""
        self._accepted_total += 1

    def refused(self, name: str) -> bool:
        """Note that it refuses what goes by `name`; return whether it is that one's own fault."""
        return self._refused.setdefault(name, self._accepted_total) < self._accepted_total

    def forget(self, name: str) -> None:
        """Have nothing against what goes by `name`, if there was anything."""
        self._refused.pop(name, None)

    def doubt(self, name: str) -> None:
        """Begin anew with what goes by `name`, unless something shows already that it is to blame.

        If what it comes with fails for another reason, the next refusal may be of something else.
        """
        if self._refused.get(name) == self._accepted_total:
            del self._refused[name]
