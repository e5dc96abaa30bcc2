"""Terms: what the configuration says of sending to one sink."""

from collections.abc import Callable
from dataclasses import dataclass

from .egress import Egress
from .heartbeat import STEP_MS
from .lane import BackOff
from .sinks.delivery import Sink


@dataclass(frozen=True)
class Terms:
    """What the configuration says of a sink.

    While `waits_for` gives a reason, readings are not sent. Items are: an alarm that comes in
    time with a wrong time is worth more than a right one that comes late. `delivery_ms` is
    longer than a delivery may take.
    """

    client: Sink
    egress: Egress
    batch_size: int
    retry_base_s: float
    retry_max_s: float
    waits_for: Callable[[], str] = lambda: ""
    delivery_ms: int = STEP_MS

    @property
    def back_off(self) -> BackOff:
        """How long it is left alone after a failure."""
        return BackOff(self.retry_base_s, self.retry_max_s)
