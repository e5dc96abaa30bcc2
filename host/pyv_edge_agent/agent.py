"""EdgeAgent: starts and stops the stages, and runs the one of readings.

Threads: one per serial port, one for ingest ("edge-agent"), one for each
uploader, one for health. Dormant until `start()`: no file, no socket, no thread.
`assembly` says what there is and how it is connected.
"""

import logging
import random
import threading
from concurrent.futures import Future
from types import TracebackType
from typing import Any

from pyv_edge_core.privacy import PrivacyPolicy

from .assembly import assemble, dismantle, start_health_server
from .board_command import BoardCommand
from .board_request import Outcome
from .clock import Clock, SystemClock
from .config import Config
from .devices import Devices
from .errors import ConfigError, StartError, StoreError
from .health import Health
from .heartbeat import STEP_MS, Heartbeats
from .http_server import Server
from .ingest import Ingest
from .link import SerialLink
from .log import setup_logging
from .metrics import SystemMetrics
from .outbox import CloudSyncQueue
from .polling import Polling
from .recent import Recent
from .reload import Reload, reload
from .sinks.http import HTTPCloudUploader
from .store import SQLiteStore
from .threads import join
from .uploader import UploadWorker
from .uploads import Uploads

logger = logging.getLogger(__name__)

HEALTH_END_S = 0.5  # for requests under way
HEALTH_JOIN_S = 2.0
AGENT_JOIN_S = 10.0
SINK_JOIN_S = 2.0
WORKER = "edge-agent"  # the thread of readings


class EdgeAgent:
    """The edge daemon: from sensors to a durable store and the cloud."""

    def __init__(
        self,
        config_path: str | None = None,
        *,
        clock: Clock | None = None,
        rng: random.Random | None = None,
    ) -> None:
        """Make a dormant agent; without `config_path` it has the default settings."""
        self.clock = clock or SystemClock()
        self._rng = rng or random.Random()
        self._config_path = config_path
        self._config = Config()
        self._store: SQLiteStore | None = None
        self._privacy = PrivacyPolicy()
        self._cloud = CloudSyncQueue(clock=self.clock)
        self._uploader: HTTPCloudUploader | None = None
        self._buffers: dict[str, Recent] = {}
        self._adapters: dict[str, Any] = {}
        self._readings_processed = 0
        self._events_triggered = 0
        self._running = False
        self._shutdown_event = threading.Event()
        self._thread: threading.Thread | None = None
        self._health_server: Server | None = None
        self._health_thread: threading.Thread | None = None
        self._system_metrics = SystemMetrics(clock=self.clock)
        self.judge = Health(self)
        self.started_ms = self.clock.monotonic_ms()
        self.reloads_total = 0
        self.is_reload_failed = False  # the last one
        self.reloaded_utc_ms: int | None = None  # when one last succeeded

        self.heartbeats = Heartbeats(self.clock)  # of this start's workers
        self._heartbeat = self.heartbeats.open(WORKER)
        self._devices: Devices | None = None
        self._ingest: Ingest | None = None
        self._uploads: Uploads | None = None
        self._wake = threading.Event()  # the main loop has something to do before its time
        self._reload_lock = threading.Lock()
        self._cycle_lock = threading.Lock()  # run_once may be called from outside too
        self._polling = Polling(self._cycle_lock, self.clock)
        self._is_grouping = False  # a commit takes what several polls have brought

    # -- life ----------------------------------------------------------------------

    @property
    def is_running(self) -> bool:
        """Whether the agent is between `start()` and `stop()`."""
        return self._running

    @property
    def links(self) -> list[SerialLink]:
        """The serial lines."""
        return [] if self._devices is None else self._devices.links

    @property
    def workers(self) -> list[UploadWorker]:
        """What sends to each sink."""
        return [] if self._uploads is None else self._uploads.workers

    def start(self) -> None:
        """Load the configuration, build everything and run it in threads.

        Does nothing but log a warning if the agent is running. Raises
        FileNotFoundError, ConfigError, StoreError or StartError, each with one line
        that says what to do, and is dormant again.
        """
        if self._running:
            logger.warning("EdgeAgent is already running; start() does nothing")
            return
        if self._config_path:
            self._config = Config.from_file(self._config_path)
        self._config.validate()
        log_cfg = self._config.get("logging", default={})
        setup_logging(log_cfg.get("level", "INFO"), log_cfg.get("format", "json"))
        self._tell_doubts()
        # New ones: a thread of an earlier start that did not end in time still looks at its own.
        self._shutdown_event = threading.Event()
        self._wake = threading.Event()
        self.heartbeats = Heartbeats(self.clock)
        self._heartbeat = self.heartbeats.open(WORKER)
        self._polling.begin()
        self.started_ms = self.clock.monotonic_ms()
        try:
            self._init_components()
            start_health_server(self)
        except BaseException:
            self._close_components()
            self._buffers, self._adapters = {}, {}
            raise
        self._running = True
        self._thread = threading.Thread(target=self.run_loop, daemon=True, name=WORKER)
        try:
            self._thread.start()
            assert self._devices is not None
            assert self._uploads is not None
            self._devices.start()
            self._uploads.start()
        except RuntimeError as error:
            self.stop()
            raise StartError(f"can't start a thread: {error}; raise the limit of tasks") from error
        logger.info("EdgeAgent started with %d devices", len(self._buffers))

    def reload_config(self) -> Reload:
        """Read the configuration again and let it hold; return what is different.

        What is as it was goes on untouched. Raises FileNotFoundError, ConfigError,
        StartError, AdapterError or StoreError, and the old one goes on holding.
        """
        if not self._config_path:
            raise ConfigError(["there is no config file to read again: config_path is not given"])
        with self._reload_lock:
            self.reloads_total += 1
            try:
                change = self._reload(self._config_path)
            except BaseException:
                self.is_reload_failed = True
                raise
            self.is_reload_failed = False
            self.reloaded_utc_ms = self.clock.utc_ms()
        return change

    def _reload(self, path: str) -> Reload:
        # Read behind whoever came first: what holds in the end is what was written last.
        config = Config.from_file(path)
        config.validate()
        if not self._running:
            raise StartError("the agent is not running; start() reads the configuration")
        change = reload(self, config)
        self._tell_doubts()
        return change

    def _tell_doubts(self) -> None:
        for line in self._config.warnings:
            logger.warning("%s", line)

    def stop(self) -> None:
        """Stop in order; what was acknowledged is in the store. Does nothing if not running."""
        if not self._running:
            return
        self._running = False
        self._shutdown_event.set()
        self._wake.set()
        if self._ingest is not None:
            self._ingest.latest.close()
        if self._health_server is not None:
            self._health_server.end(HEALTH_END_S)
        join(self._health_thread, HEALTH_JOIN_S)
        join(self._thread, AGENT_JOIN_S)
        if self._uploads is not None:
            self._uploads.stop()
        if self._devices is not None:
            # Only now, so that they still send the acknowledgements of the last commit.
            self._devices.stop()
        for thread in self._uploads.threads if self._uploads is not None else ():
            join(thread, SINK_JOIN_S)
        self._close_components()
        logger.info("EdgeAgent stopped")

    def __enter__(self) -> "EdgeAgent":
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _init_components(self) -> None:
        """Open the store and make all stages; see assembly."""
        assemble(self)

    def _close_components(self) -> None:
        dismantle(self)

    def _plan_polls(self) -> None:
        """Poll the devices there are, as the configuration says."""
        assert self._devices is not None
        self._polling.plan(self._devices, self._config, self.clock.monotonic_ms())

    # -- running -------------------------------------------------------------------

    def run_loop(self) -> None:
        """Poll at each interval and store what boards send in between, until shutdown."""
        shutdown, wake = self._shutdown_event, self._wake
        stored_ms = self.clock.monotonic_ms()
        while self._running and not shutdown.is_set():
            wake.clear()
            polls = self._polling.schedule  # a reload makes another
            assert polls is not None
            commit_ms = self._config.get("storage", "commit_interval_ms")
            self._heartbeat.beat()
            try:
                now_ms = self.clock.monotonic_ms()
                due = polls.take(now_ms)
                if due is not None:
                    self._is_grouping = polls.shortest_ms < commit_ms
                    if len(due) == polls.count:
                        self.run_once()
                    else:
                        self._cycle(due)
                    stored_ms = stored_ms if self._is_grouping else now_ms
                if now_ms >= self._commit_due_ms(stored_ms, commit_ms):
                    stored_ms = now_ms
                    self._store_received()
            except Exception:  # top of a thread
                logger.exception("Error in run_loop iteration")
            self._is_grouping = False
            due_ms = min(polls.due_ms, self._commit_due_ms(stored_ms, commit_ms))
            wait_ms = due_ms - self.clock.monotonic_ms()
            self._heartbeat.beat(round(max(wait_ms, 0)) + STEP_MS)
            if not shutdown.is_set():
                wake.wait(timeout=max(wait_ms, 0) / 1000)
        try:
            self._store_received(is_last=True)
        except Exception:  # top of a thread
            logger.exception("Error in the last commit")
        self._heartbeat.end()

    def _commit_due_ms(self, stored_ms: int, commit_ms: int) -> int:
        if self._ingest is None:
            return stored_ms + commit_ms
        return self._ingest.due_ms(stored_ms, commit_ms)

    def run_once(self) -> None:
        """Do one cycle: collect, wrap, filter, buffer, detect events, store, flush."""
        if self._devices is not None:
            self._cycle(self._devices.polled)

    def _cycle(self, names: list[str]) -> None:
        ingest, devices = self._ingest, self._devices
        if ingest is None or devices is None:
            return
        self._polling.poll(names, self._get_reading_value, devices, ingest, self._heartbeat)
        if not self._is_grouping:
            self._store_received()

    def _store_received(self, *, is_last: bool = False) -> None:
        """Commit what has come in, count it, and let the uploader know."""
        ingest = self._ingest
        if ingest is None:
            return
        with self._cycle_lock:
            if is_last:
                ingest.end()
            else:
                ingest.run()
            self._readings_processed = ingest.pipeline.readings_total
            self._events_triggered = ingest.pipeline.alerting.events_total
        self._cloud.maybe_flush()

    def _get_reading_value(self, name: str) -> float:
        """Return the current value of a device, 0.0 if its adapter fails.

        Logs the first failure in a row and the recovery. What is stored of a
        failure is of quality bad.
        """
        return self._polling.read(name, self._adapters.get(name), self._privacy)

    # -- what an operator asks -----------------------------------------------------

    @property
    def store(self) -> SQLiteStore:
        """The open store. Raises StoreError if the agent is not running."""
        if self._store is None:
            raise StoreError("the agent is not running; its store is closed")
        return self._store

    @property
    def privacy(self) -> PrivacyPolicy:
        """The policy in force."""
        return self._privacy

    def wake_uploads(self) -> None:
        """Let uploaders look for what there is to send."""
        if self._uploads is not None:
            self._uploads.wake()

    # -- asking boards -------------------------------------------------------------

    def command(
        self,
        device: str,
        op: str,
        target: str | int | None = None,
        value: int = 0,
        timeout_ms: int = 10_000,
    ) -> "Future[Outcome]":
        """Ask a board for identify, set_rate, read_now, reset or safe_mode.

        `target` is a channel by its name at the board or its number; `value` is
        set_rate's interval in ms, 1 for a safe_mode that is to begin, and for a
        reset that need not wait for readings still to be acknowledged. The future
        always ends: with an Outcome, or RequestError if the board wasn't asked.
        Raises RequestError for what no board could do.
        """
        return BoardCommand(device, op, target, value, timeout_ms).send(self.links, self._store)

    # -- what it says of itself ----------------------------------------------------

    def health(self) -> dict[str, Any]:
        """Return the five figures that a caller needs most."""
        return {
            "running": self._running,
            "config_path": self._config_path,
            "buffer_count": len(self._buffers),
            "cloud_pending": self._cloud.pending_count(),
            "privacy_enabled": self._privacy.is_enabled,
        }
