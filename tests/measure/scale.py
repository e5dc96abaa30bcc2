"""What things cost by how many there are of them: boards, channels, readings, a backlog, agents.

Figures are called `scale.AXIS.FIGURE.X`, where X is how many; those of the fleet have the
size of a batch there, or nothing. The whole takes 20 minutes, and 2 GB of disk.
"""

import os
from dataclasses import dataclass

from .scale_agent import channels, devices
from .scale_backlog import backlog
from .scale_fleet import fleet
from .scale_stored import stored


@dataclass(frozen=True)
class Sizes:
    """How many of each, and for how long."""

    boards: tuple[int, ...] = (1, 4, 16, 32, 64)
    rate: float = 640.0  # readings a second of all boards
    board_rate: float = 10.0  # of each
    window_s: float = 5.0
    commit_ms: int = 1000  # the agent's own
    channels: tuple[int, ...] = (1, 10, 100, 1000)
    channel_rate: float = 2560.0  # of all channels
    channel_window_s: float = 8.0  # in which all is summarised more than once
    stored: tuple[int, ...] = (10_000, 100_000, 1_000_000, 10_000_000)
    large: int = 10_000_000  # from here on there are fewer repeats
    backlog: tuple[int, ...] = (1000, 10_000, 100_000, 1_000_000, 10_000_000)
    drain_s: float = 10.0  # at most; more would be the same
    connections: int = 2000
    fleet_readings: int = 10_000
    repeats: int = 5


SMALL = Sizes(
    boards=(2,),
    window_s=0.3,
    commit_ms=50,
    channels=(3,),
    channel_window_s=0.3,
    stored=(2000, 6000),
    large=6000,
    backlog=(1000,),
    drain_s=0.5,
    connections=20,
    fleet_readings=1000,
    repeats=1,
)
AXES = {
    "devices": devices,
    "channels": channels,
    "stored": stored,
    "backlog": backlog,
    "fleet": fleet,
}


def measure_of(axis, sizes=None):
    """Return what measures one axis in a folder."""

    def measure(folder):
        os.sync()  # what others have left to write would else go with our first commits
        return AXES[axis](folder, sizes or Sizes())

    return measure
