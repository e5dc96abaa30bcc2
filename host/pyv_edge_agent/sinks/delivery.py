"""What becomes of a batch that is sent, and what every sink can do."""

from dataclasses import dataclass
from typing import Any, Protocol

ACCEPTED = "accepted"
REFUSED = "refused"  # for what it holds: the same again will be refused again
TOO_LARGE = "too large"  # the same, for how much it holds
THROTTLED = "throttled"  # later, the server says
UNAUTHORISED = "unauthorised"  # whoever keeps the secrets has to do something
FAILED = "failed"  # no reply, or one that says nothing: it will pass


@dataclass(frozen=True)
class Delivery:
    """What became of a batch, and why in one line if it was not accepted."""

    outcome: str
    problem: str = ""
    retry_after_s: float | None = None  # what the server asked for

    @property
    def is_accepted(self) -> bool:
        """Whether the batch need not be sent again."""
        return self.outcome == ACCEPTED

    @property
    def is_refused(self) -> bool:
        """Whether it is the batch's own fault."""
        return self.outcome in (REFUSED, TOO_LARGE)


class Sink(Protocol):
    """Where batches go. Used by one thread; nothing is opened before the first batch."""

    @property
    def shown(self) -> str:
        """Where that is, without any secret."""
        ...

    def deliver(self, batch_key: str, items: list[dict[str, Any]]) -> Delivery:
        """Send `items`, the same ones under the same key on each attempt."""
        ...

    def probe(self) -> Delivery:
        """Find out whether it would accept a batch, and leave nothing behind there."""
        ...

    def wake(self) -> None:
        """Let a delivery under way end soon: the agent stops."""
        ...

    def close(self) -> None:
        """Close what is open."""
        ...
