"""Uploads: an uploader for each sink of the configuration, each in a thread of its own."""

import logging
import random
import threading

from pyv_edge_core.privacy import PrivacyPolicy

from .clock import Clock
from .config import Config
from .egress import Egress
from .outbox import CloudSyncQueue
from .sinks import create_sink, read_options
from .sinks.delivery import Sink
from .sinks.http import HTTPCloudUploader, HTTPOptions
from .store import SQLiteStore
from .time_base import TimeBase
from .uploader import UploadWorker

logger = logging.getLogger(__name__)

CLOUD = "http"  # the name of the sink that [cloud] describes


def sink_names(config: Config) -> list[str]:
    """Return the names of the sinks that are enabled."""
    cloud = config.get("cloud")
    own = [CLOUD] if cloud["enabled"] and cloud["endpoint"] else []
    return own + [name for name, table in config.get("sinks").items() if table["enabled"]]


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
    ) -> None:
        """Make the uploaders of all sinks that are enabled; `start` sets them going.

        What callers take out of `queue` is the first sink's. Raises ConfigError, StartError.
        """
        self.workers: list[UploadWorker] = []
        self.threads: list[threading.Thread] = []
        self.cloud: HTTPCloudUploader | None = None
        self._sinks: list[Sink] = []
        self._config = config
        self._store = store
        self._queue = queue
        self._egress = (privacy, store.policies, store.channels_of)
        self._time = time_base
        self._clock = clock
        self._rng = rng
        try:
            self._build()
        except BaseException:
            self.close()
            raise

    def _build(self) -> None:
        config = self._config
        cloud, sinks = config.get("cloud"), config.get("sinks")
        names = sink_names(config)
        if CLOUD in names:
            self.cloud = HTTPCloudUploader(
                cloud["endpoint"],
                cloud["api_key"],
                cloud["timeout_seconds"],
                self._clock,
                read_options(
                    HTTPOptions, cloud, config.folder, {"is_compressed": cloud["compress"]}
                ),
            )
            self._add(CLOUD, self.cloud, cloud["batch_size"])
        for name in names:
            if name != CLOUD:
                sink = create_sink(name, sinks[name], config.folder, self._clock)
                self._add(name, sink, sinks[name]["batch_size"])
        for name in self._store.sinks.unconfigured:
            logger.warning(
                "sink %s is not configured any more: its readings are kept for it all the same",
                name,
            )

    def _add(self, name: str, sink: Sink, batch_size: int) -> None:
        self._sinks.append(sink)
        cloud = self._config.get("cloud")
        patience_ms = round(self._config.get("time", "upload_wait_seconds") * 1000)
        queue = self._queue
        if self.workers:
            queue = CloudSyncQueue(clock=self._clock)
            queue.bind(self._store)
        worker = UploadWorker(
            self._store,
            queue,
            sink,
            Egress(*self._egress),
            self._clock,
            random.Random(self._rng.random()),
            sink=name,
            batch_size=batch_size,
            retry_base_s=cloud["retry_base_seconds"],
            retry_max_s=cloud["retry_max_seconds"],
            waits_for=lambda: self._time.upload_wait(patience_ms),
        )
        self.workers.append(worker)
        self.threads.append(
            threading.Thread(target=worker.run, daemon=True, name=f"edge-sink-{name}")
        )

    def start(self) -> None:
        """Let all uploaders run. Raises RuntimeError if there can't be another thread."""
        for thread in self.threads:
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
        for sink in self._sinks:
            sink.close()
