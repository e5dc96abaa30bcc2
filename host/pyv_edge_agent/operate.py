"""What an operator may do to an agent or, if none runs, to its store.

Each operation takes who has the store, and a request as a dict; it returns JSON types. What
changes something is in the audit log.
"""

from collections.abc import Callable
from concurrent.futures import TimeoutError as NotInTimeError
from pathlib import Path
from typing import Any, Protocol

from pyv_edge_core.privacy import PrivacyPolicy

from .config import Config
from .egress import Egress
from .errors import StoreError, UsageError
from .health import health_report
from .outbox import Priority
from .store import SQLiteStore

LIST_MAX = 10_000  # rows of one answer
ANSWER_MS = 5_000  # beyond its own time, that a board's answer may take to get here


class Site(Protocol):
    """Who has a store and knows its policy: an agent, or a command while none runs."""

    @property
    def store(self) -> SQLiteStore:
        """The open store. Raises StoreError if there is none."""
        ...

    @property
    def privacy(self) -> PrivacyPolicy:
        """The policy in force."""
        ...

    def wake_uploads(self) -> None:
        """Let uploaders look for what there is to send."""
        ...


class IdleSite:
    """The store of an agent that does not run, open for one command."""

    def __init__(self, config: Config) -> None:
        """Open the store. Raises StoreError, StartError; FileNotFoundError if there is none."""
        from .clock import SystemClock
        from .policy import open_policy
        from .store import open_store

        path = Path(config.store_path)
        if not path.is_file():
            raise StoreError(f"{path}: there is no store; the agent's first start makes one")
        self.privacy = open_policy(config.get("privacy"), config.hash_key_path)
        self.store = open_store(path, SystemClock())

    def wake_uploads(self) -> None:
        """Do nothing: there is none."""

    def close(self) -> None:
        """Close the store."""
        self.store.close()


def _limit(asked: dict[str, Any]) -> int:
    return max(1, min(_number(asked, "limit", 100), LIST_MAX))


def _number(asked: dict[str, Any], key: str, default: int) -> int:
    found = asked.get(key, default)
    if type(found) is not int:
        raise UsageError(f"{key!r} is no number")
    return found


def _egress(site: Site) -> Egress:
    return Egress(site.privacy, site.store.policies, site.store.channels_of)


def _visible(site: Site, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows with their payloads as today's policy lets them go; None if it doesn't."""
    egress = _egress(site)
    return [{**row, "payload": egress.item(dict(row["payload"]))} for row in rows]


# -- the queue ---------------------------------------------------------------------


def queue_stats(site: Site, asked: dict[str, Any]) -> dict[str, Any]:
    """Return what waits for each sink."""
    del asked
    store = site.store
    unconfigured = store.sinks.unconfigured
    return {
        "sinks": {
            name: {
                "pending_readings": store.sinks.pending(name),
                "pending_items": store.items.pending(name),
                "is_configured": name not in unconfigured,
            }
            for name in store.sinks.names
        },
        "items": store.items.count,
        "item_bytes": store.items.size,
        "item_bytes_max": store.items.size_max,
        "items_expired_total": store.items.expired_total,
        "items_evicted_total": store.items.evicted_total,
        "dead_letters": store.dead_letters.count,
        "dead_letters_dropped_total": store.dead_letters.dropped_total,
    }


def queue_list(site: Site, asked: dict[str, Any]) -> dict[str, Any]:
    """Return queued items, most urgent first."""
    rows = site.store.items.all(_limit(asked), asked.get("sink"))
    return {"items": _visible(site, rows)}


def queue_purge(site: Site, asked: dict[str, Any]) -> dict[str, Any]:
    """Delete queued items of a sink, of all if there is none given, of a priority or any."""
    sink, priority = asked.get("sink"), asked.get("priority")
    if sink is not None and sink not in site.store.sinks.names:
        raise UsageError(f"there is no sink {sink!r}; there are: {_names(site)}")
    known = [int(one) for one in Priority]
    if priority is not None and priority not in known:
        raise UsageError(f"priority {priority!r} is none of {', '.join(map(str, known))}")
    return {"purged": site.store.items.purge(sink, priority)}


def queue_forget(site: Site, asked: dict[str, Any]) -> dict[str, Any]:
    """Let go of a sink that is not configured any more: its readings are held no longer."""
    sink = asked["sink"]
    if sink not in site.store.sinks.names:
        raise UsageError(f"there is no sink {sink!r}; there are: {_names(site)}")
    if sink not in site.store.sinks.unconfigured:
        raise UsageError(f"sink {sink!r} is configured; take it out first, and reload")
    pending = site.store.sinks.pending(sink)
    site.store.sinks.forget(sink)
    return {"forgotten": sink, "pending_readings": pending}


def _names(site: Site) -> str:
    return ", ".join(site.store.sinks.names) or "none"


# -- dead letters ------------------------------------------------------------------


def letter_list(site: Site, asked: dict[str, Any]) -> dict[str, Any]:
    """Return the newest dead letters, or the one of an id."""
    return {"letters": _visible(site, site.store.dead_letters.all(_limit(asked), asked.get("id")))}


def letter_retry(site: Site, asked: dict[str, Any]) -> dict[str, Any]:
    """Queue dead letters anew."""
    done = site.store.dead_letters.retry(_ids(site, asked))
    site.wake_uploads()
    return {"retried": done}


def letter_drop(site: Site, asked: dict[str, Any]) -> dict[str, Any]:
    """Delete dead letters."""
    return {"dropped": site.store.dead_letters.drop(_ids(site, asked))}


def _ids(site: Site, asked: dict[str, Any]) -> list[int]:
    if asked.get("all"):
        return [one["id"] for one in site.store.dead_letters.all(LIST_MAX)]
    ids = asked["ids"]
    if not isinstance(ids, list) or not all(type(one) is int for one in ids):
        raise UsageError("'ids' is no list of numbers")
    return ids


# -- the agent ---------------------------------------------------------------------


def status(agent: Any, asked: dict[str, Any]) -> dict[str, Any]:
    """Return what /health says."""
    del asked
    return health_report(agent)


def reload_config(agent: Any, asked: dict[str, Any]) -> dict[str, Any]:
    """Let the configuration hold as it is by now."""
    del asked
    done = agent.reload_config()
    return {"changed": list(done.changed), "needs_restart": list(done.needs_restart)}


def command(agent: Any, asked: dict[str, Any]) -> dict[str, Any]:
    """Ask a board for something and wait for its answer."""
    timeout_ms = _number(asked, "timeout_ms", 10_000)
    future = agent.command(
        *(asked["device"], asked["op"], asked.get("target")),
        *(_number(asked, "value", 0), timeout_ms),
    )
    try:
        outcome = future.result((timeout_ms + ANSWER_MS) / 1000)
    except NotInTimeError:
        raise StoreError("no answer, although the time is over") from None
    return {
        "is_done": outcome.is_done,
        "outcome": outcome.name,
        "value": outcome.value,
        "text": outcome.text,
    }


OF_A_STORE: dict[str, Callable[[Any, dict[str, Any]], dict[str, Any]]] = {
    "queue_stats": queue_stats,
    "queue_list": queue_list,
    "queue_purge": queue_purge,
    "queue_forget": queue_forget,
    "letter_list": letter_list,
    "letter_retry": letter_retry,
    "letter_drop": letter_drop,
}
OPERATIONS = {**OF_A_STORE, "status": status, "reload": reload_config, "command": command}
