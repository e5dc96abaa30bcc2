"""Entry point of `pyv-edge --config FILE` and `python -m pyv_edge_agent`; home of EdgeAgent.

The agent is started by a thread of its own, so that this one can be asked to stop, and ask
for time, however long that takes. Then it looks after the workers until a signal comes.
"""

import argparse
import contextlib
import faulthandler
import logging
import os
import select
import signal
import sys
import threading
from types import FrameType

from . import __version__, arenas, exit_status
from .agent import EdgeAgent
from .control import Control
from .dashboard.server import _HealthHandler
from .errors import AdapterError, UsageError
from .notify import Notifier
from .report import status_line
from .watchdog import LOOK_MS, Watchdog

__all__ = ["EdgeAgent", "_HealthHandler", "main", "run_agent"]

logger = logging.getLogger(__name__)

STARTED = 0  # a note that is no signal: the thread that starts the agent has ended
EXTEND_MS = 60_000  # of time that is asked for while the agent starts, each second anew
START_MS_MAX = 3_600_000  # then no more is: whatever it does, it won't end
START_JOIN_S = 2.0  # what a start that is to be given up may still take


def _signal_handler(agent: EdgeAgent, signum: int, frame: FrameType | None) -> None:
    """Log the signal, stop the agent, end the process with status 0."""
    logger.info("received %s, stopping", signal.Signals(signum).name)
    agent.stop()
    sys.exit(0)


class _Notes:
    """What signal handlers leave for the main thread.

    Python may run a handler in the middle of anything, with the lock of the log held, which
    the threads that are to end may be waiting for. So it does no more than that.
    """

    def __init__(self) -> None:
        self._arrived, self._note = os.pipe()
        os.set_blocking(self._note, False)

    def leave(self, number: int, frame: FrameType | None = None) -> None:
        """Leave a note; call it from a handler or any thread."""
        del frame
        with contextlib.suppress(BlockingIOError):  # there are notes enough
            os.write(self._note, bytes((number,)))

    def wait(self, timeout_ms: int) -> int | None:
        """Return the next note, None if none comes in time."""
        if select.select([self._arrived], [], [], timeout_ms / 1000)[0]:
            return os.read(self._arrived, 1)[0]
        return None


class _Start(threading.Thread):
    """Starts the agent, and knows what came of it."""

    def __init__(self, agent: EdgeAgent, notes: _Notes) -> None:
        super().__init__(daemon=True, name="edge-start")
        self.error: BaseException | None = None
        self._agent = agent
        self._notes = notes

    def run(self) -> None:
        """Start the agent."""
        try:
            self._agent.start()
        except BaseException as error:  # top of a thread: the main thread raises it
            self.error = error
        self._notes.leave(STARTED)


def run_agent(config_path: str) -> int:
    """Run an agent in the foreground until a signal stops it; return the exit status.

    Raises UsageError, and what `EdgeAgent.start` does.
    """
    if not config_path:
        raise UsageError("--config: is empty; name a TOML or JSON file")
    # An abort, such as the service manager's when it isn't fed, tells where each thread stands.
    if sys.stderr is not None:
        faulthandler.enable()
    if not arenas.keep_few(os.environ):
        logger.debug("the C library keeps as many arenas as it likes")
    agent = EdgeAgent(config_path=config_path)
    notifier = Notifier.from_environment(os.environ, os.getpid(), agent.clock)
    notes = _Notes()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, notes.leave)
    stop = _start(agent, notes, notifier)
    if stop is None:
        control = Control(agent, config_path, os.environ)
        notifier.ready(status_line(agent))
        stop = _watch(agent, notes, notifier)
        control.close()
    if stop is not None:
        notifier.stopping()
        _signal_handler(agent, stop, None)
    return exit_status.DONE


def _start(agent: EdgeAgent, notes: _Notes, notifier: Notifier) -> int | None:
    """Start the agent; return the signal that is to stop it, if one came meanwhile.

    Raises what `EdgeAgent.start` does.
    """
    begun_ms = agent.clock.monotonic_ms()
    start = _Start(agent, notes)
    start.start()
    is_reload_due = False
    while (note := notes.wait(LOOK_MS)) in (None, signal.SIGHUP):
        is_reload_due |= note is not None
        taken_ms = agent.clock.monotonic_ms() - begun_ms
        if taken_ms < START_MS_MAX:
            notifier.extend(EXTEND_MS, f"starting, for {taken_ms // 1000} s")
    start.join(START_JOIN_S)
    if note != STARTED and start.is_alive():
        _give_up(note, notifier)
    if start.error is not None:
        raise start.error
    if is_reload_due:
        notes.leave(signal.SIGHUP)  # what was read may have changed since
    return note if note != STARTED else None


def _give_up(signum: int, notifier: Notifier) -> None:
    """End the process in the middle of its start: what is on the disk bears it, as any kill."""
    notifier.stopping()
    logger.warning(
        "received %s in the middle of the start; it is not waited for",
        signal.Signals(signum).name,
    )
    logging.shutdown()
    os._exit(0)


def _watch(agent: EdgeAgent, notes: _Notes, notifier: Notifier) -> int | None:
    """Look after the agent until it is to stop; return the signal, None if it has stopped."""
    watchdog = Watchdog(agent.heartbeats, notifier, agent.clock, lambda: status_line(agent))
    while agent.is_running:
        note = notes.wait(watchdog.step())
        if note == signal.SIGHUP:
            _reload(agent, notifier)
        elif note is not None:
            return note
    return None


def _reload(agent: EdgeAgent, notifier: Notifier) -> None:
    """Let the agent read its configuration again; what is wrong with it is logged."""
    logger.info("received SIGHUP, reading the configuration again")
    notifier.reloading()
    try:
        agent.reload_config()
    except (*exit_status.TOLD, AdapterError) as error:
        for line in exit_status.status_of(error)[1]:
            logger.error("not reloaded: %s", line)
        logger.error("the configuration that was in force goes on holding")
    notifier.ready(status_line(agent))


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and run an agent."""
    parser = argparse.ArgumentParser(prog="pyv-edge", description="Run the edge agent.")
    parser.add_argument(
        "--config", default="edge_config.toml", metavar="FILE", help="TOML or JSON (%(default)s)"
    )
    parser.add_argument("--version", action="version", version=__version__)
    try:
        return run_agent(parser.parse_args(argv).config)
    except exit_status.TOLD as error:
        status, lines = exit_status.status_of(error)
        print("\n".join(lines), file=sys.stderr)
        return status
