"""Runs a command that stands on a line: opens, carries until it is to end, and closes.

Ctrl-C, SIGTERM and SIGHUP end it as `--seconds` does: cleanly, with its summary.
"""

import argparse
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from .carrier import Carrier, now_ns
from .errors import UsageError
from .fault import Faults
from .observer import Looker, Observer
from .port import SCHEMES, BoardPort, PortError, check_url, is_url
from .server import Server, parse_address, url
from .steady_output import SteadyOutput
from .terminal import Terminal

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def open_port(args: argparse.Namespace, *, may_wait: bool = False) -> BoardPort:
    """Return the board's port, open unless `may_wait` and it can't be yet.

    Raises PortError, and UsageError for what is no port's name.
    """
    if args.port.lower().startswith("usb:"):
        raise UsageError(f"{args.port}: name it by its path (ls /dev/serial/by-id)")
    if "://" in args.port and not is_url(args.port):
        raise UsageError(f"{args.port}: the networks known here are {' and '.join(SCHEMES)}")
    if is_url(args.port):
        try:
            check_url(args.port)
        except PortError as error:
            raise UsageError(str(error)) from error
    port = BoardPort(args.port, args.baudrate, dtr=not args.no_dtr, rts=not args.no_rts)
    try:
        port.open()
    except PortError:
        if not may_wait:
            raise
    return port


def open_end(args: argparse.Namespace, port: BoardPort) -> Terminal | Server | None:
    """Return what another program opens, None if nothing was asked for. Raises BridgeError."""
    if args.link is not None and args.tcp is not None:
        raise UsageError("--link and --tcp: a board has one host; name one of them")
    if args.tcp is None and (args.rfc2217 or args.beyond_loopback):
        raise UsageError("--rfc2217 and --beyond-loopback are about --tcp, which is missing")
    if args.link is not None:
        return Terminal(args.link)
    if args.tcp is None:
        return None
    address = parse_address(args.tcp, is_beyond_allowed=args.beyond_loopback)
    return Server(address, port if args.rfc2217 else None)


def make_output(args: argparse.Namespace) -> SteadyOutput:
    """Return where a command prints to that is there for its output, unless a program needs it."""
    is_needed = args.link is not None or args.tcp is not None
    return SteadyOutput(is_json=args.json, is_needed=is_needed)


def refuse_end(args: argparse.Namespace) -> None:
    """Refuse options about a board's port for a capture. Raises UsageError."""
    if args.link is not None or args.tcp is not None or args.wait:
        raise UsageError(f"{args.port}: is a file; --link, --tcp and --wait are about a port")


def ready(port: BoardPort, end: Terminal | Server | None) -> dict[str, Any]:
    """Return what is said when all is open: where the other end is."""
    told: dict[str, Any] = {"event": "ready", "port": port.name, "is_open": port.is_open}
    if isinstance(end, Terminal):
        told["link"] = str(end.path)
    elif isinstance(end, Server):
        told["tcp"] = f"{end.address[0]}:{end.address[1]}"
    return told


def ready_line(port: BoardPort, end: Terminal | Server | None, is_rfc2217: bool) -> str:
    """Return the same for people."""
    state = f"{port.name}" if port.is_open else f"{port.name} (not there yet)"
    if isinstance(end, Terminal):
        return f"{state}: let the agent open {end.path}"
    if isinstance(end, Server):
        name = url(end.address, "rfc2217" if is_rfc2217 else "socket")
        return f"{state}: open {name}"
    return f"{state}: only listening; the board has no host meanwhile"


@contextmanager
def ended_by_signals(on_end: Callable[[], None]) -> Iterator[None]:
    """Call `on_end` at a signal that asks to end, as long as this lasts."""
    # nohup(1) has SIGHUP ignored, and means it.
    heeded = [one for one in _SIGNALS if not _is_under_nohup(one)]
    before = [signal.signal(one, lambda *_: on_end()) for one in heeded]
    try:
        yield
    finally:
        for one, was in zip(heeded, before, strict=True):
            signal.signal(one, was)


def _is_under_nohup(one: signal.Signals) -> bool:
    return one == signal.SIGHUP and signal.getsignal(one) == signal.SIG_IGN


class Ending:
    """Whether it is time to end."""

    def __init__(self, seconds: float | None) -> None:
        self.is_asked = False
        self._until_ns = None if seconds is None else now_ns() + round(seconds * 1e9)

    def wait_ms(self) -> int:
        """Return for how long it surely isn't, a second at most."""
        if self._until_ns is None:
            return 1000
        return max(0, min(1000, -(-(self._until_ns - now_ns()) // 1_000_000)))

    @property
    def is_over(self) -> bool:
        """Whether it is, asked for or due."""
        return self.is_asked or (self._until_ns is not None and now_ns() >= self._until_ns)


def run(
    args: argparse.Namespace,
    output: SteadyOutput,
    make_lookers: Callable[[], Sequence[Looker]],
    *,
    faults: tuple[Faults, Faults] | None = None,
    is_done: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Stand on the line until it is to end; return what was carried.

    `make_lookers` is called when all is open.
    Raises BridgeError, and OSError of a looker. `output` is one, and as long as this lasts
    nobody else writes to it than lookers do.
    """
    ending = Ending(args.seconds)
    carrier: Carrier | None = None
    with ExitStack() as stack:
        port = open_port(args, may_wait=args.wait)
        stack.callback(port.close)
        end = open_end(args, port)
        if end is not None:
            stack.callback(end.close)

        def stop() -> None:
            ending.is_asked = True
            if carrier is not None:
                carrier.wake()

        observer = Observer([*make_lookers(), output], stop)
        carrier = Carrier(port, observer.observe, end, faults=faults)
        stack.callback(carrier.close)
        stack.enter_context(ended_by_signals(stop))
        told, text = ready(port, end), ready_line(port, end, args.rfc2217)
        observer.do(lambda: output.tell(told, text))
        while not ending.is_over and not is_done():
            carrier.step(ending.wait_ms())
        observer.end()
        counted = {
            **carrier.counters(),
            "unseen_bytes_total": observer.unseen_bytes_total,
            "unwritten_lines_total": output.unwritten_lines_total,
        }
        if isinstance(end, Server):
            counted["turned_away_total"] = end.turned_away_total
            counted["broken_total"] = end.broken_total
        return counted
