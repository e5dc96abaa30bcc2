"""What is tried with a peer: as much as it can take, a kill, and an upstream that is away.

Each trial has a folder, brokers and a peer of its own. A peer is ready when a reading
has come out at the other end, which is tried until one does.
"""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from .cost import Cost
from .peer import Peer, Site
from .source import ROOM, Source
from .upstream import Upstream

_READY_S = 90.0
_PROBES_MAX = 1000
_WAITING_S_MAX = 120.0
_WARM = 500  # readings before it is measured
_POLL_S = 0.05
_STEADY_S_MAX = 20.0
# Without anything arriving: nothing more will come.
_QUIET_S, _KILL_QUIET_S, _OUTAGE_QUIET_S = 30.0, 20.0, 40.0


class Trial:
    """A peer between its source and its upstream."""

    def __init__(
        self,
        peer: Peer,
        make_source: Callable[[Path, int], Source],
        folder: Path,
        steady_s: float = 2.0,
        room: int = ROOM,
    ) -> None:
        """Start the source and the upstream; the peer is started by `start`.

        A source that is a board has room for so many readings.
        What writes no byte for `steady_s` has done what it put off.
        """
        self.peer = peer
        self.steady_s = steady_s
        self.upstream = Upstream(folder / "upstream", peer)
        try:
            self.source = make_source(folder, room)
        except (OSError, RuntimeError):
            self.upstream.close()
            raise
        own = folder / "peer"
        own.mkdir()
        self.site = Site(own, self.source.place, self.upstream.broker.port)
        self._log = folder / "peer.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._next = 1

    def start(self) -> None:
        """Start the peer, without waiting for anything."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self.peer.command(self.site),
                cwd=self.site.folder,
                env={**os.environ, **self.peer.environment(self.site)},
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The peer's. Raises RuntimeError if it has ended."""
        if self._process is None or self._process.poll() is not None:
            raise RuntimeError(f"{self.peer.name} has ended: {self._log.read_text()[-500:]}")
        return self._process.pid

    def warm_up(self) -> None:
        """Start it, wait until it brings readings, and let it bring some. Raises RuntimeError."""
        self.peer.prepare(self.site)
        self.start()
        self.upstream.expect(1, _PROBES_MAX)
        end_s = time.monotonic() + _READY_S
        while not self.upstream.arrived:
            if time.monotonic() > end_s:
                text = self._log.read_text()[-500:]
                raise RuntimeError(f"{self.peer.name}: nothing upstream in {_READY_S} s: {text}")
            assert self.pid
            self.send(1)
            self._wait(0.5, lambda: self.upstream.arrived > 0)
        self.expect(_WARM)
        self.send(_WARM)
        self.until_arrived(_WARM, _QUIET_S)
        self.until_steady()

    def expect(self, count: int) -> None:
        """Let the upstream count the next `count` readings and nothing else."""
        self.upstream.expect(self._next, count)

    def send(self, count: int, per_s: float = 0.0) -> None:
        """Give the source readings, at a pace or at once."""
        first, self._next = self._next, self._next + count
        start_s = time.monotonic()
        for number in range(first, first + count):
            if per_s:
                wait_s = start_s + (number - first) / per_s - time.monotonic()
                if wait_s > 0:
                    time.sleep(wait_s)
            self.source.send(number)
        self.source.flush()

    def until_arrived(self, count: int, quiet_s: float) -> None:
        """Return when so many have arrived, or nothing has for `quiet_s`.

        As long as the peer has something to send it gets more time. Raises RuntimeError if
        something arrives that was not sent.
        """
        begun_s = time.monotonic()
        while self.upstream.arrived < count:
            quiet = time.monotonic() - max(begun_s, self.upstream.latest_s)
            if quiet > quiet_s and (quiet > _WAITING_S_MAX or not self.peer.waiting(self.site)):
                break
            time.sleep(_POLL_S)
        self.upstream.check()

    def until_steady(self) -> None:
        """Return when it writes no more for a while."""
        end_s = time.monotonic() + _STEADY_S_MAX
        seen, since_s = -1, time.monotonic()
        while time.monotonic() < end_s and time.monotonic() - since_s < self.steady_s:
            written = Cost.of(self.pid).written_bytes
            if written != seen:
                seen, since_s = written, time.monotonic()
            time.sleep(_POLL_S)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Stop the peer while the block lasts."""
        os.killpg(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.killpg(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """End it and its children with SIGKILL."""
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(psutil.NoSuchProcess):
            for child in psutil.Process(process.pid).children(recursive=True):
                child.kill()
        process.kill()
        process.wait()

    def close(self) -> None:
        """End everything."""
        self.kill()
        self.source.close()
        self.upstream.close()

    @staticmethod
    def _wait(limit_s: float, condition: Callable[[], bool]) -> None:
        end_s = time.monotonic() + limit_s
        while time.monotonic() < end_s and not condition():
            time.sleep(_POLL_S)


@dataclass(frozen=True)
class Throughput:
    """What a peer takes for readings that wait for it."""

    count: int  # readings that were sent
    arrived: int
    unstored: int  # that are not in its database; 0 of one that forgets what it has sent
    per_s: float
    cpu_s: float  # for all of them
    peak_mb: float
    written_bytes: int  # for all of them


@dataclass(frozen=True)
class Fate:
    """What has become of readings over a fault."""

    count: int
    lost: int
    doubled: int  # arrived again, and nobody can know that
    repeated: int  # arrived again, the doubled ones too
    peak_mb: float  # of the process that there was at the end


def throughput(trial: Trial, count: int) -> Throughput:
    """Let `count` readings wait, and measure until all have arrived and are stored.

    Raises RuntimeError if nothing was written to a disk: then it is none.
    """
    trial.warm_up()
    trial.expect(count)
    before_stored = trial.peer.stored(trial.site)
    if trial.source.keeps:
        with trial.held():
            trial.send(count)
            before, begun_s = Cost.of(trial.pid), time.monotonic()
    else:
        before, begun_s = Cost.of(trial.pid), time.monotonic()
        trial.send(count)
    trial.until_arrived(count, _QUIET_S)
    took_s = trial.upstream.latest_s - begun_s
    trial.until_steady()
    after = Cost.of(trial.pid)
    written = after.written_bytes - before.written_bytes
    if not written:
        raise RuntimeError(f"no byte was written to a disk: is {trial.site.folder} in memory?")
    arrived, stored = trial.upstream.arrived, trial.peer.stored(trial.site) - before_stored
    unstored = max(0, count - stored) if trial.peer.keeps_all else 0
    cpu_s = after.cpu_s - before.cpu_s
    return Throughput(count, arrived, unstored, arrived / took_s, cpu_s, after.peak_mb, written)


def killed(trial: Trial, count: int, per_s: float, at_s: float, away_s: float) -> Fate:
    """Kill it in the middle of `count` readings, and start it again."""

    def fault() -> None:
        time.sleep(at_s)
        trial.kill()
        time.sleep(away_s)
        trial.start()

    return _survived(trial, count, per_s, fault, _KILL_QUIET_S)


def without_upstream(trial: Trial, count: int, per_s: float, at_s: float, away_s: float) -> Fate:
    """Take the upstream broker away for a while."""

    def fault() -> None:
        time.sleep(at_s)
        trial.upstream.broker.stop()
        time.sleep(away_s)
        trial.upstream.broker.start()

    return _survived(trial, count, per_s, fault, _OUTAGE_QUIET_S)


def _survived(
    trial: Trial, count: int, per_s: float, fault: Callable[[], None], quiet_s: float
) -> Fate:
    trial.warm_up()
    trial.expect(count)
    failures: list[Exception] = []

    def run() -> None:
        try:
            fault()
        except (OSError, RuntimeError) as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    trial.send(count, per_s)
    thread.join()
    if failures:
        raise failures[0]
    trial.until_arrived(count, quiet_s)
    trial.until_steady()
    time.sleep(trial.steady_s)  # for what comes twice
    upstream = trial.upstream
    upstream.check()
    lost, peak_mb = count - upstream.arrived, Cost.of(trial.pid).peak_mb
    return Fate(count, lost, upstream.doubled, upstream.repeated, peak_mb)
