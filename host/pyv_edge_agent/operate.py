"""What an operator may do to an agent or, if none runs, to its store.

Each operation takes who has the store, and a request as a dict; it returns JSON types. What
changes something is in the audit log.
"""

from collections.abc import Callable
from concurrent.futures import TimeoutError as NotInTimeError
from typing import Any, Protocol

from pyv_edge_core.privacy import PrivacyPolicy

from .board_command import find_link, lend_port, take_port_back
from .egress import Egress
from .errors import StoreError, UsageError
from .outbox import Priority
from .report import health_report

LOAN_MINUTES = 10
LIST_MAX = 10_000  # rows of one answer
ANSWER_MS = 5_000  # beyond its own time, that a board's answer may take to get here


class Site(Protocol):
    """Who has a store and knows its policy: an agent, or a command while none runs."""

    @property
    def store(self) -> Any:  # SQLiteStore, or for LOOKING LookedAtStore
        """The open store. Raises StoreError if there is none."""
        ...

    @property
    def privacy(self) -> PrivacyPolicy:
        """The policy in force."""
        ...

    def wake_uploads(self) -> None:
        """Let uploaders look for what there is to send."""
        ...


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
    sink = asked.get("sink")
    if sink is not None:
        _check_sink(site, sink)
    rows = site.store.items.all(_limit(asked), sink)
    return {"items": _visible(site, rows)}


def queue_purge(site: Site, asked: dict[str, Any]) -> dict[str, Any]:
    """Delete queued items of a sink, of all if there is none given, of a priority or any."""
    sink, priority = asked.get("sink"), asked.get("priority")
    if sink is not None:
        _check_sink(site, sink)
    known = [int(one) for one in Priority]
    if priority is not None and priority not in known:
        raise UsageError(f"priority {priority!r} is none of {', '.join(map(str, known))}")
    return {"purged": site.store.items.purge(sink, priority)}


def queue_forget(site: Site, asked: dict[str, Any]) -> dict[str, Any]:
    """Let go of a sink that is not configured any more: its readings are held no longer."""
    sink = asked["sink"]
    _check_sink(site, sink)
    if sink not in site.store.sinks.unconfigured:
        raise UsageError(f"sink {sink!r} is configured; take it out first, and reload")
    pending = site.store.sinks.pending(sink)
    site.store.sinks.forget(sink)
    return {"forgotten": sink, "pending_readings": pending}


def _check_sink(site: Site, sink: str) -> None:
    names = site.store.sinks.names
    if sink not in names:
        raise UsageError(f"there is no sink {sink!r}; there are: {', '.join(names) or 'none'}")


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


def device_pause(agent: Any, asked: dict[str, Any]) -> dict[str, Any]:
    """Lend the port of a board to another program for some minutes."""
    link = find_link(agent.links, asked["device"])
    loan = lend_port(link, agent.store, _number(asked, "minutes", LOAN_MINUTES))
    until_utc_ms = agent.clock.utc_ms() + loan.until_ms - agent.clock.monotonic_ms()
    return {
        "name": link.name,
        "port": loan.port,
        "path": loan.path or None,
        **loan.who,
        "lent_until": until_utc_ms / 1000,
        "is_settled": loan.is_settled,
        "is_prolonged": loan.is_prolonged,
    }


def device_resume(agent: Any, asked: dict[str, Any]) -> dict[str, Any]:
    """Take the port of a board back."""
    link = find_link(agent.links, asked["device"])
    return {"name": link.name, "was_lent": take_port_back(link, agent.store)}


Operation = Callable[[Any, dict[str, Any]], dict[str, Any]]

# Those that can be done without an agent.
LOOKING: dict[str, Operation] = {
    "queue_stats": queue_stats,
    "queue_list": queue_list,
    "letter_list": letter_list,
}
CHANGING: dict[str, Operation] = {
    "queue_purge": queue_purge,
    "queue_forget": queue_forget,
    "letter_retry": letter_retry,
    "letter_drop": letter_drop,
}
OPERATIONS = {
    **LOOKING,
    **CHANGING,
    "status": status,
    "reload": reload_config,
    "command": command,
    "device_pause": device_pause,
    "device_resume": device_resume,
}
