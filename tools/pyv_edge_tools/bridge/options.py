"""Options that several commands have."""

import argparse
from pathlib import Path

from .port import BAUDRATE_MAX

BAUDRATE = 115_200
SECONDS_MAX = 1e9  # 31 years: what is beyond that was not meant


def seconds(text: str) -> float:
    """Return a time above 0, for argparse."""
    return between(text, 1e-3, SECONDS_MAX)


def between(text: str, least: float, most: float, *, is_zero_allowed: bool = False) -> float:
    """Return a number from `least` to `most`, or 0. Raises ArgumentTypeError."""
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not (least <= number <= most or (is_zero_allowed and number == 0)):
        zero = "0, or " if is_zero_allowed else ""
        raise argparse.ArgumentTypeError(f"{text!r} must be {zero}{least:g} to {most:g}")
    return number


def baudrate(text: str) -> int:
    """Return a speed that a port may have, for argparse."""
    if not text.isdecimal() or not 1 <= int(text[:20]) <= BAUDRATE_MAX:
        raise argparse.ArgumentTypeError(f"{text!r} must be 1 to {BAUDRATE_MAX}")
    return int(text)


def count(text: str) -> int:
    """Return a whole number above 0, for argparse."""
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def add_port(parser: argparse.ArgumentParser, what: str = "PORT") -> None:
    """Add the board's port and how it is opened."""
    text = "the board's port: a path, rfc2217://HOST:PORT or socket://HOST:PORT"
    if what != "PORT":
        text += ", or a capture"
    parser.add_argument("port", metavar=what, help=text)
    parser.add_argument("--baudrate", type=baudrate, default=BAUDRATE, help="(%(default)s)")
    parser.add_argument("--no-dtr", action="store_true", help="leave DTR off while it is open")
    parser.add_argument("--no-rts", action="store_true", help="leave RTS off while it is open")


def add_end(parser: argparse.ArgumentParser) -> None:
    """Add what another program, such as the agent, opens instead of the board's port."""
    parser.add_argument(
        "--wait", action="store_true", help="look for the port until it is there and free"
    )
    group = parser.add_argument_group("what another program opens instead of the port")
    group.add_argument(
        "--link", type=Path, metavar="PATH", help="a serial port of its own, under this path"
    )
    group.add_argument("--tcp", metavar="[HOST:]PORT", help="a TCP port on loopback; 0: any")
    group.add_argument(
        "--rfc2217", action="store_true", help="let it set the port's speed and lines (RFC 2217)"
    )
    group.add_argument(
        "--beyond-loopback",
        action="store_true",
        help="allow a HOST that others can reach; there is no password",
    )


def add_limits(parser: argparse.ArgumentParser) -> None:
    """Add when to end, and the form of what is printed."""
    parser.add_argument(
        "--seconds", type=seconds, metavar="N", help="end after so long, and not at Ctrl-C"
    )
    add_json(parser)


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add the form of what is printed."""
    parser.add_argument("--json", action="store_true", help="one JSON object per line")


def add_key(parser: argparse.ArgumentParser) -> None:
    """Add the key of a link that is sealed."""
    parser.add_argument(
        "--link-key-file",
        type=Path,
        metavar="FILE",
        help="the device's link key, to check its seals",
    )
