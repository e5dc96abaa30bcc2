"""Uploads: an uploader for each sink of the configuration, each in a thread of its own."""

import logging
import random
import threading
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any

from pyv_edge_core.privacy import PrivacyPolicy

from .clock import Clock
from .config import Config
from .egress import Egress
from .heartbeat import STEP_MS, Heartbeats
from .options import read_options
from .outbox import CloudSyncQueue
from .sinks import create_sink
from .sinks.delivery import Sink
from .sinks.http import HTTPCloudUploader, HTTPOptions
from .store import SQLiteStore
from .terms import Terms
from .time_base import TimeBase
from .uploader import UploadWorker

logger = logging.getLogger(__name__)

CLOUD = "http"  # the name of the sink that [cloud] describes
# A delivery is a connection, a request, its reply, and what is done anew for each, of which each
# may take the time-out; and a name is looked up, which nobody can limit.
TIMEOUTS = 5


class Uploads:
    """What sends to each sink."""

    def __init__(
        self,
        config: Config,
        store: SQLiteStore,
        queue: CloudSyncQueue,
        privacy: PrivacyPolicy,
        time_base: TimeBase,
        clock: Clock,
        rng: random.Random,
        heartbeats: Heartbeats,
    ) -> None:
        """Make the uploaders of all sinks that are enabled; `start` sets them going.

        What callers take out of `queue` is the first sink's. Raises ConfigError, StartError.
        """
        self.workers: list[UploadWorker] = []
        self.threads: list[threading.Thread] = []
        self._store = store
        self._queue = queue
        self._time = time_base
        self._clock = clock
        self._rng = rng
        self._heartbeats = heartbeats
        self._leaving: list[tuple[UploadWorker, threading.Thread]] = []  # not configured any more
        made = self.make_sinks(config)
        try:
            self._take(self.make_workers(config, made, privacy))
        except BaseException:
            for sink in made.values():
                sink.close()
            raise
        self._tell_of_others()

    @property
    def cloud(self) -> HTTPCloudUploader | None:
        """The sink of [cloud], None if it is not enabled."""
        for worker in self.workers:
            client = worker.terms.client
            if worker.sink == CLOUD and isinstance(client, HTTPCloudUploader):
                return client
        return None

    # -- building ------------------------------------------------------------------

    def make_sinks(self, config: Config, names: Container[str] | None = None) -> dict[str, Sink]:
        """Return the sinks that `config` enables, of these names, by name. Connects to none.

        Raises ConfigError, StartError, and nothing stays open.
        """
        made: dict[str, Sink] = {}
        try:
            for name, settings in enabled_sinks(config).items():
                if names is None or name in names:
                    made[name] = make_sink(name, settings, config.folder, self._clock)
        except BaseException:
            for sink in made.values():
                sink.close()
            raise
        return made

    def _terms(self, config: Config, name: str, sink: Sink, privacy: PrivacyPolicy) -> Terms:
        settings = enabled_sinks(config)[name]
        timeout_s = settings.get("timeout_seconds", 0.0)  # a file has none
        cloud = config.get("cloud")
        patience_ms = round(config.get("time", "upload_wait_seconds") * 1000)
        return Terms(
            sink,
            Egress(privacy, self._store.policies, self._store.channels_of),
            settings["batch_size"],
            cloud["retry_base_seconds"],
            cloud["retry_max_seconds"],
            lambda: self._time.upload_wait(patience_ms),
            round(timeout_s * 1000) * TIMEOUTS + STEP_MS,
        )

    def make_workers(
        self, config: Config, made: Mapping[str, Sink], privacy: PrivacyPolicy
    ) -> list[UploadWorker]:
        """Return workers for those of the sinks in `made` that have none. Raises StoreError."""
        known = {worker.sink for worker in self.workers}
        workers: list[UploadWorker] = []
        for name, sink in made.items():
            if name in known:
                continue
            queue = self._queue
            if self.workers or workers:
                queue = CloudSyncQueue(clock=self._clock)
                queue.bind(self._store)
            worker = UploadWorker(
                self._store,
                queue,
                self._terms(config, name, sink, privacy),
                self._clock,
                random.Random(self._rng.random()),
                sink=name,
                heartbeat=self._heartbeats.open(f"edge-sink-{name}"),
            )
            workers.append(worker)
        return workers

    def _take(self, workers: list[UploadWorker]) -> None:
        self.workers += workers
        self.threads += [
            threading.Thread(target=one.run, daemon=True, name=f"edge-sink-{one.sink}")
            for one in workers
        ]

    def _tell_of_others(self) -> None:
        for name in self._store.sinks.unconfigured:
            logger.warning(
                "sink %s is not configured any more: its readings are kept for it all the same",
                name,
            )

    # -- running -------------------------------------------------------------------

    def start(self) -> None:
        """Let all uploaders run. Raises RuntimeError if there can't be another thread."""
        for thread in self.threads:
            if thread.ident is None:
                thread.start()

    def wake(self) -> None:
        """Let all uploaders look for what there is to send."""
        for worker in self.workers:
            worker.wake()

    def stop(self) -> None:
        """Let all uploaders end soon; their threads are to be joined, then `close`."""
        for worker in self.workers:
            worker.stop()

    def close(self) -> None:
        """Close all sinks."""
        for worker in (*self.workers, *(one for one, _ in self._leaving)):
            worker.close()

    # -- another configuration -----------------------------------------------------

    def is_leaving(self, name: str) -> bool:
        """Whether a sink that is not configured any more still ends its last delivery."""
        self._close_left()
        return any(worker.sink == name for worker, _ in self._leaving)

    def adopt(
        self,
        config: Config,
        made: Mapping[str, Sink],
        workers: list[UploadWorker],
        privacy: PrivacyPolicy,
    ) -> None:
        """Go on as `config` says: with the sinks in `made`, and those of now that it still has.

        `workers` are of those that are new.
        """
        wanted = enabled_sinks(config)
        for worker, thread in list(zip(self.workers, self.threads, strict=True)):
            if worker.sink not in wanted:
                self.workers.remove(worker)
                self.threads.remove(thread)
                worker.stop()
                self._leaving.append((worker, thread))
                self._store.sinks.leave(worker.sink)
        self._take(workers)
        for worker in self.workers:
            sink = made.get(worker.sink, worker.terms.client)
            worker.adopt(self._terms(config, worker.sink, sink, privacy))
        if self.workers:
            self._queue.sink = self.workers[0].sink  # what callers take out is the first one's
        self.start()
        self._close_left()
        self._tell_of_others()

    def _close_left(self) -> None:
        for worker, thread in list(self._leaving):
            if not thread.is_alive():
                self._leaving.remove((worker, thread))
                worker.close()


def enabled_sinks(config: Config) -> dict[str, dict[str, Any]]:
    """Return the settings of the sinks that are enabled, by name."""
    cloud = config.get("cloud")
    found = {CLOUD: cloud} if cloud["enabled"] and cloud["endpoint"] else {}
    sinks = config.get("sinks").items()
    return {**found, **{name: settings for name, settings in sinks if settings["enabled"]}}


def make_sink(name: str, settings: dict[str, Any], folder: Path, clock: Clock) -> Sink:
    """Return the sink of that name; paths count from `folder`. Raises StartError."""
    if name != CLOUD:
        return create_sink(name, settings, folder, clock)
    own = {"is_compressed": settings["compress"]}
    return HTTPCloudUploader(
        *(settings["endpoint"], settings["api_key"], settings["timeout_seconds"]),
        clock,
        read_options(HTTPOptions, settings, folder, own),
    )
