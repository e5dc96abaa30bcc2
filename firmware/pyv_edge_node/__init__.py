"""What runs on a microcontroller: sample, buffer, send, until the host has it.

Runs under MicroPython; under CPython too, for tests and for machines that have
no MicroPython binary. Imports the shared core and nothing of the host.
"""

__version__ = "0.1.0"
