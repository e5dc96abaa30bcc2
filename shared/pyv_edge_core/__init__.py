"""The part of Pyvorin Edge that a board and a host share, source for source.

Sans-I/O: bytes and integers in, bytes and integers out. Nothing in here reads
a clock, a port, a file or a random number; time comes in as `now_ms`. It runs
unchanged on MicroPython and on CPython and needs no package.
"""

__version__ = "0.1.0"
