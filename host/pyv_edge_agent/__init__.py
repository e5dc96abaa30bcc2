"""The agent: what runs on the Raspberry Pi, in the order in which a reading travels."""

from pyv_edge_core import __version__

__all__ = ["__version__"]
