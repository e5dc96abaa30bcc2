"""NATSSink: publishes to a JetStream stream, each reading under an id of its own.

    PREFIX.DEVICE.CHANNEL   a reading, Nats-Msg-Id DEVICE/BOOT/SEQ
    PREFIX.items            an event, a gap, a summary, ..., with the item's id

The stream drops what it knows by its id, for as long as its duplicate window lasts. A batch
that was in doubt for longer than half of it is not trusted to that: what the stream has of
it is asked for, and only the rest is sent.
"""

import asyncio
import concurrent.futures
import json
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from ..clock import Clock, SystemClock
from .delivery import ACCEPTED, FAILED, REFUSED, THROTTLED, TOO_LARGE, UNAUTHORISED, Delivery
from .payload import identity, is_reading

INFLIGHT_MAX = 256  # messages on the way at a time
DOUBTS_MAX = 8  # batches under way that are remembered
SKEW_S = 3600.0  # by which the server's clock may be ahead of the readings'
MSG_ID = "Nats-Msg-Id"
_SAFE = "-_~:@"  # characters of a name that stay as they are in a subject
_NO_ROOM = (10023, 10047, 10077)  # JetStream: insufficient resources, maximum bytes, messages


@dataclass(frozen=True)
class NATSOptions:
    """Which servers and stream, and how."""

    servers: tuple[str, ...] = ("nats://127.0.0.1:4222",)
    stream: str = "PYVORIN"
    subject_prefix: str = "pyvorin"
    create_stream: bool = False  # if it isn't there; one that is, is never changed
    replicas: int = 1
    duplicate_window_seconds: float = 120.0
    user: str = ""
    password: str = ""
    token: str = ""
    creds_file: Path | None = None
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    timeout_seconds: float = 30.0


@dataclass
class _Doubt:
    """A batch that was tried: from where on the stream may have some of it."""

    after_seq: int
    first_ms: int  # monotonic


class NATSSink:
    """Sink for one stream. For one thread; its connection lives in a thread of its own."""

    def __init__(self, options: NATSOptions, clock: Clock | None = None) -> None:
        """Prepare to publish; nothing is opened yet."""
        self.skipped_total = 0  # messages that the stream was found to have
        self._options = options
        self._clock = clock or SystemClock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._task: asyncio.Task[Delivery] | None = None
        self._is_woken = False
        self._nc: Any = None
        self._lost: asyncio.Event  # made with each connection
        self._window_s = options.duplicate_window_seconds
        self._doubts: dict[str, _Doubt] = {}
        self._is_first = True  # nothing was delivered since the start: a batch may be in doubt

    @property
    def shown(self) -> str:
        """The servers and the stream, without any secret."""
        hosts = ",".join(urlsplit(one).netloc.rpartition("@")[2] for one in self._options.servers)
        return f"nats://{hosts}/{self._options.stream}"

    def deliver(self, batch_key: str, items: list[dict[str, Any]]) -> Delivery:
        """Publish `items`, and wait until the stream has acknowledged each."""
        if self._is_woken:
            return Delivery(FAILED, "the agent stops")
        delivery = self._run(self._bounded(lambda: self._deliver(batch_key, items)))
        if delivery.is_accepted or delivery.is_refused:
            self._doubts.pop(batch_key, None)
            self._is_first = False
        return delivery

    def _run(self, work: Coroutine[Any, Any, Delivery]) -> Delivery:
        """Run a coroutine in the sink's thread, which is begun if need be."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(
                target=self._loop.run_forever, daemon=True, name="edge-nats"
            )
            self._thread.start()
        try:
            return asyncio.run_coroutine_threadsafe(work, self._loop).result()
        except (asyncio.CancelledError, concurrent.futures.CancelledError):
            return Delivery(FAILED, "the agent stops")

    async def _bounded(self, work: Callable[[], Coroutine[Any, Any, Delivery]]) -> Delivery:
        from nats import errors

        self._task = asyncio.current_task()
        if self._is_woken:
            return Delivery(FAILED, "the agent stops")
        try:
            delivery = await asyncio.wait_for(work(), self._options.timeout_seconds)
        except (errors.Error, OSError, asyncio.TimeoutError, ValueError) as error:
            delivery = self._judge(error)
        finally:
            self._task = None
        if delivery.outcome in (FAILED, UNAUTHORISED):
            await self._disconnect()  # with whatever it would still send by itself
        return delivery

    # -- connection ----------------------------------------------------------------

    async def _connect(self) -> Any:
        import nats

        options = self._options
        more: dict[str, Any] = {}
        if options.user:
            more["user"], more["password"] = options.user, options.password
        if options.token:
            more["token"] = options.token
        if options.creds_file is not None:
            more["user_credentials"] = str(options.creds_file)
        context = self._tls()
        if context is not None:
            more["tls"] = context
        return await nats.connect(
            servers=list(options.servers),
            allow_reconnect=False,  # that is the uploader's business
            max_reconnect_attempts=1,  # of each server, until one answers
            reconnect_time_wait=0.1,
            connect_timeout=options.timeout_seconds,
            error_cb=_ignore,
            disconnected_cb=self._disconnected,
            **more,
        )

    def probe(self) -> Delivery:
        """Connect and look whether the stream is there, or may be made."""
        return self._run(self._bounded(self._look))

    async def _look(self) -> Delivery:
        from nats.js.errors import NotFoundError

        self._lost = asyncio.Event()
        self._nc = await self._connect()
        js = self._nc.jetstream(timeout=self._options.timeout_seconds)
        try:
            await js.stream_info(self._options.stream)
        except NotFoundError:
            if not self._options.create_stream:
                raise
        return Delivery(ACCEPTED)

    async def _disconnected(self) -> None:
        self._lost.set()

    def _tls(self) -> Any:
        options = self._options
        if options.ca_file is None and options.cert_file is None:
            return None
        import ssl

        context = ssl.create_default_context(
            cafile=None if options.ca_file is None else str(options.ca_file)
        )
        if options.cert_file is not None:
            key = None if options.key_file is None else str(options.key_file)
            context.load_cert_chain(str(options.cert_file), key)
        return context

    async def _disconnect(self) -> None:
        nc, self._nc = self._nc, None
        if nc is not None:
            await nc.close()

    async def _stream(self, js: Any) -> Any:
        """Return what the server says of the stream, which is made if that was asked for."""
        from nats.js import api
        from nats.js.errors import NotFoundError

        options = self._options
        try:
            return await js.stream_info(options.stream)
        except NotFoundError:
            if not options.create_stream:
                raise
        return await js.add_stream(
            api.StreamConfig(
                name=options.stream,
                subjects=[f"{options.subject_prefix}.>"],
                storage=api.StorageType.FILE,
                num_replicas=options.replicas,
                duplicate_window=options.duplicate_window_seconds,
            )
        )

    # -- messages ------------------------------------------------------------------

    async def _deliver(self, batch_key: str, items: list[dict[str, Any]]) -> Delivery:
        if self._nc is None or not self._nc.is_connected:
            await self._disconnect()
            self._lost = asyncio.Event()
            self._nc = await self._connect()
        js = self._nc.jetstream(timeout=self._options.timeout_seconds)
        info = await self._stream(js)
        self._window_s = info.config.duplicate_window or self._window_s
        present = await self._present(js, batch_key, items, info.state.last_seq)
        slots = asyncio.Semaphore(INFLIGHT_MAX)

        async def publish(item: dict[str, Any]) -> None:
            async with slots:
                await js.publish(
                    self._subject(item),
                    json.dumps(item).encode(),
                    stream=self._options.stream,
                    headers={MSG_ID: _message_id(item)},
                )

        missing = [item for item in items if _message_id(item) not in present]
        self.skipped_total += len(items) - len(missing)
        work = asyncio.gather(*(publish(item) for item in missing), return_exceptions=True)
        lost = asyncio.ensure_future(self._lost.wait())
        try:
            both: set[asyncio.Future[Any]] = {work, lost}
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                return Delivery(FAILED, f"{self.shown}: the connection is lost")
            done = work.result()
        finally:
            lost.cancel()
            if not work.done():
                work.cancel()
        failed = [one for one in done if isinstance(one, BaseException)]
        if not failed:
            return Delivery(ACCEPTED)
        first = failed[0]
        if not isinstance(first, Exception):
            raise first
        delivery = self._judge(first)
        return Delivery(delivery.outcome, f"{len(failed)} messages: {delivery.problem}")

    async def _present(
        self, js: Any, batch_key: str, items: list[dict[str, Any]], last_seq: int
    ) -> set[str]:
        """Return the ids of a batch that the stream has and might not know again."""
        doubt = self._doubts.get(batch_key)
        now_ms = self._clock.monotonic_ms()
        if doubt is None:
            if len(self._doubts) >= DOUBTS_MAX:
                self._doubts.pop(next(iter(self._doubts)))
            self._doubts[batch_key] = _Doubt(last_seq, now_ms)
            if not self._is_first:
                return set()
            # An earlier run may have sent some of it, not before its last reading was taken.
            newest_s = max(float(item.get("timestamp", 0.0)) for item in items)
            return await self._ids(js, items, start_s=newest_s - SKEW_S)
        if now_ms - doubt.first_ms < self._window_s * 500:
            return set()
        return await self._ids(js, items, after_seq=doubt.after_seq)

    async def _ids(
        self,
        js: Any,
        items: list[dict[str, Any]],
        *,
        after_seq: int = 0,
        start_s: float | None = None,
    ) -> set[str]:
        """Return which of the items the stream has, from a place in it or a time on.

        How far to read, the stream's leader says: the replica that is read from may lag.
        """
        from nats.js import api
        from nats.js.errors import NotFoundError

        stream = self._options.stream
        wanted = {_message_id(item) for item in items}
        found: set[str] = set()
        for subject in sorted({self._subject(item) for item in items}):
            try:
                last = await js.get_last_msg(stream, subject)
            except NotFoundError:
                continue
            if last.seq <= after_seq or (start_s or 0.0) > last.time.timestamp():
                continue
            config = api.ConsumerConfig(headers_only=True)
            if start_s is None:
                config.deliver_policy = api.DeliverPolicy.BY_START_SEQUENCE
                config.opt_start_seq = after_seq + 1
            else:
                config.deliver_policy = api.DeliverPolicy.BY_START_TIME
                config.opt_start_time = _rfc3339(max(0.0, start_s))  # type: ignore[assignment]
            subscription = await js.subscribe(
                subject, ordered_consumer=True, config=config, stream=stream
            )
            seq = 0
            try:
                while seq < last.seq:
                    message = await subscription.next_msg(timeout=self._options.timeout_seconds)
                    seq = message.metadata.sequence.stream
                    one = (message.headers or {}).get(MSG_ID, "")
                    if one in wanted:
                        found.add(one)
            finally:
                await subscription.unsubscribe()
        return found

    def _subject(self, item: dict[str, Any]) -> str:
        prefix = self._options.subject_prefix
        if not is_reading(item):
            return f"{prefix}.items"
        metadata = item["metadata"]
        return f"{prefix}.{_token(metadata['device'])}.{_token(metadata['channel'])}"

    def _judge(self, error: Exception) -> Delivery:
        """Return what an error makes of a batch."""
        from nats import errors
        from nats.js import errors as js_errors

        text = f"{type(error).__name__}: {error}".rstrip(": ")
        if isinstance(error, errors.AuthorizationError) or "authorization" in text.lower():
            return Delivery(UNAUTHORISED, f"{self.shown}: user or token is refused")
        if isinstance(error, errors.MaxPayloadError):
            return Delivery(TOO_LARGE, f"{self.shown}: a message is larger than the server takes")
        if isinstance(error, (js_errors.NotFoundError, js_errors.NoStreamResponseError)):
            stream = self._options.stream
            problem = f"{self.shown}: no stream {stream} for {self._options.subject_prefix}.>;"
            return Delivery(FAILED, f"{problem} make it, or set create_stream = true")
        if isinstance(error, js_errors.APIError):
            if error.err_code in _NO_ROOM or error.code == 503:
                return Delivery(THROTTLED, f"{self.shown}: {error.description}")
            outcome = REFUSED if error.code == 400 else FAILED
            return Delivery(outcome, f"{self.shown}: {error.description}")
        return Delivery(FAILED, f"{self.shown}: {text}")

    # -- the end -------------------------------------------------------------------

    def wake(self) -> None:
        """Let a delivery under way end soon: the agent stops."""
        self._is_woken = True
        loop = self._loop
        if loop is not None:
            loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def close(self) -> None:
        """Close the connection and end the thread."""
        loop, thread = self._loop, self._thread
        if loop is None or thread is None:
            return
        closing = asyncio.run_coroutine_threadsafe(self._disconnect(), loop)
        try:
            closing.result(5.0)
        except (concurrent.futures.TimeoutError, OSError):
            closing.cancel()
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5.0)
        if not thread.is_alive():
            loop.close()
        self._loop = self._thread = None


async def _ignore(error: Exception) -> None:
    """Say nothing: what a delivery needs to know, it is told."""


def _message_id(item: dict[str, Any]) -> str:
    if is_reading(item):
        return identity(item)
    metadata = item.get("metadata")
    return str(metadata.get("item_id", "")) if isinstance(metadata, dict) else ""


def _token(name: str) -> str:
    """Return a name as one token of a subject; different names stay different."""
    return quote(name, safe=_SAFE).replace(".", "%2E")


def _rfc3339(seconds: float) -> str:
    from datetime import datetime, timezone

    return datetime.fromtimestamp(seconds, timezone.utc).isoformat().replace("+00:00", "Z")
