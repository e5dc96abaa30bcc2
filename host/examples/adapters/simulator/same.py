"""The same seed and the same times give the same readings, here and in an agent.

$ python same.py
21.79  22.42  (dropout)  22.15  22.52
21.79  22.42  (dropout)  22.15  22.52
"""

from pyv_edge_agent.adapters.simulator import SensorConfig, SimulatorAdapter
from pyv_edge_agent.errors import AdapterError

SENSOR = SensorConfig(
    "greenhouse", "temperature", "Cel", baseline=22.0, noise_std=0.2, dropout_probability=0.3
)


def take(adapter: SimulatorAdapter, moment: float) -> str:
    """Return what it measures at that time, as a text."""
    try:
        return f"{adapter.generate_reading(timestamp=moment)['value']:.2f}"
    except AdapterError:
        return "(dropout)"


if __name__ == "__main__":
    for _ in range(2):
        adapter = SimulatorAdapter([SENSOR], seed=1)
        print("  ".join(take(adapter, 1_780_000_000 + moment) for moment in range(5)))
