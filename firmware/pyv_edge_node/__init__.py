"""What runs on a microcontroller: sample, buffer, send, until the host has it.

Runs under MicroPython; under CPython too, for tests and for machines that have
no MicroPython binary. Imports the shared core and nothing of the host.
"""

from pyv_edge_core import __version__

__all__ = ["__version__"]
