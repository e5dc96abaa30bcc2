"""Reload: another configuration for a running agent, all of it or nothing.

What can fail comes first: the file is read and checked, all parts that are new are made,
and what has been taken is committed. Only then anything changes. What is as it was goes
on untouched: the store, the queue, links, sinks and the state of rules.
"""

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyv_edge_core.rule import read_rules

from .admission import pins
from .channel_policy import ChannelPolicies
from .config import Config
from .errors import StartError, StoreError
from .log import setup_logging
from .parts import new_buffer, queue_size_max, split_devices, store_limits
from .policy import open_policy
from .uploader import UploadWorker
from .uploads import enabled_sinks

if TYPE_CHECKING:
    from .agent import EdgeAgent

logger = logging.getLogger(__name__)

# These are what the agent stands on while it runs.
NEEDS_RESTART = ("storage.path", "time.source", "health")
# A change of these is one of every sink.
_OF_ALL_SINKS = ("cloud.retry_base_seconds", "cloud.retry_max_seconds", "time.upload_wait_seconds")


@dataclass(frozen=True)
class Reload:
    """What a reload has changed: paths of settings; devices and rules by their names."""

    changed: tuple[str, ...]
    needs_restart: tuple[str, ...]  # of them, what holds only from the next start on


def compare(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Return the paths of all settings in which two configurations differ."""
    found: list[str] = []
    for section in sorted(before.keys() | after.keys()):
        found += _compare(section, before.get(section), after.get(section))
    return found


def _compare(path: str, before: Any, after: Any) -> list[str]:
    if before == after:
        return []
    if isinstance(before, dict) and isinstance(after, dict):
        found: list[str] = []
        for key in sorted(before.keys() | after.keys()):
            found += _compare(f"{path}.{key}", before.get(key), after.get(key))
        return found
    if isinstance(before, list) and isinstance(after, list):
        old, new = _by_name(before), _by_name(after)
        names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
        # The same ones in another order: for the first that fits, that is a change.
        return [f"{path}[{name}]" for name in names] or [path]
    return [path]


def _by_name(tables: list[Any]) -> dict[str, Any]:
    return {
        str(table.get("name", index)) if isinstance(table, dict) else str(index): table
        for index, table in enumerate(tables)
    }


class _Change:
    """One reload of one agent."""

    def __init__(self, agent: "EdgeAgent", config: Config) -> None:
        """Make everything that is new. Raises ConfigError, StartError."""
        self.agent = agent
        self.config = config
        self.before = agent._config
        self.paths = compare(self.before.to_dict(), config.to_dict())
        self.needs_restart = [path for path in self.paths if self._is_of(path, NEEDS_RESTART)]
        self.policy = agent._privacy
        if self._has("privacy"):
            self.policy = open_policy(config.get("privacy"), config.hash_key_path)
        self.rules = read_rules(config.get("rules"))
        self.policies = ChannelPolicies(config.get("policies"))
        tables = {table["name"]: table for table in config.get("sensors", "devices")}
        self._find_devices(tables)
        # Last, since what it makes has to be closed again.
        self._find_sinks()

    @staticmethod
    def _is_of(path: str, known: tuple[str, ...]) -> bool:
        return any(path == one or path.startswith((f"{one}.", f"{one}[")) for one in known)

    def _has(self, *known: str) -> bool:
        return any(self._is_of(path, known) for path in self.paths)

    def _find_devices(self, tables: dict[str, dict[str, Any]]) -> None:
        agent = self.agent
        assert agent._devices is not None
        has_other_windows = self._has("windows")
        self.buffers = {
            name: new_buffer(self.config)
            if has_other_windows or name not in agent._buffers
            else agent._buffers[name]
            for name in tables
        }
        old = {table["name"]: table for table in self.before.get("sensors", "devices")}
        self.gone = [name for name in old if tables.get(name) != old[name]]
        self.made = [
            agent._devices.make(table, self.buffers[name])
            for name, table in tables.items()
            if old.get(name) != table
        ]  # nothing of them is open yet
        self.tables = list(tables.values())

    def _find_sinks(self) -> None:
        uploads = self.agent._uploads
        assert uploads is not None
        before, after = enabled_sinks(self.before), enabled_sinks(self.config)
        changed = [name for name, settings in after.items() if before.get(name) != settings]
        for name in changed:
            if uploads.is_leaving(name):
                raise StartError(
                    f"sink {name} is still ending its last delivery; reload again in a while"
                )
        self.sinks = uploads.make_sinks(self.config, changed)
        self.workers: list[UploadWorker] = []
        self.has_other_sinks = before != after or self._has(*_OF_ALL_SINKS, "privacy", "policies")

    def discard(self) -> None:
        """Close what was made."""
        for worker in self.workers:
            self.agent.store.sinks.leave(worker.sink)
        for sink in self.sinks.values():
            sink.close()

    def make(self) -> None:
        """Let the new configuration hold. Raises StoreError, and the old one holds."""
        agent, config = self.agent, self.config
        ingest, store, devices = agent._ingest, agent._store, agent._devices
        uploads = agent._uploads
        assert ingest is not None
        assert store is not None
        assert devices is not None
        assert uploads is not None
        # What is stored of devices that go, their adapters must know while they can answer.
        with agent._cycle_lock, devices.held(self.gone):
            ingest.settle_all()
            self.workers = uploads.make_workers(config, self.sinks, self.policy)
            store.audit.append(
                "config_reloaded",
                {"changed": self.paths[:100], "privacy": f"{self.policy.fingerprint:08x}"},
            )
            if self._has("policies"):
                store.apply_policies(self.policies)
            # From here on nothing is refused any more.
            ingest.drop(self.gone)
            loans = devices.remove(self.gone)
            for name in self.gone:
                agent._buffers.pop(name, None)
                agent._polling.forget(name)
            for made in self.made:
                agent._buffers[made.name] = made.buffer
                devices.adopt(made, loans.get(made.name))
            agent._config, agent._privacy = config, self.policy
            if self._has("windows"):
                self._change_buffers()
            self._change_ingest()
            agent._plan_polls()
            devices.start()
        store.items.size_max = queue_size_max(config)
        if self.has_other_sinks:
            uploads.adopt(config, self.sinks, self.workers, self.policy)
            agent._uploader = uploads.cloud
        if self._has("logging"):
            setup_logging(config.get("logging", "level"), config.get("logging", "format"))
        agent._wake.set()

    def _change_buffers(self) -> None:
        devices = self.agent._devices
        assert devices is not None
        self.agent._buffers.update(self.buffers)
        for name, buffer in self.buffers.items():
            devices.change_buffer(name, buffer)

    def _change_ingest(self) -> None:
        ingest = self.agent._ingest
        assert ingest is not None
        ingest.boots.adopt_pins(pins(self.tables))
        ingest.limit_commits(self.config.get("storage", "commit_max"))
        if self._has("storage"):
            ingest.limit_store(store_limits(self.config))
        if self._has("rules", "privacy"):
            ingest.adopt(self.policy, self.rules, *split_devices(self.tables))
        else:
            ingest.resume(*split_devices([made.table for made in self.made]))


def reload(agent: "EdgeAgent", config: Config) -> Reload:
    """Let `config` hold for a running agent.

    Raises ConfigError, StartError, AdapterError or StoreError, and nothing has changed.
    """
    change = _Change(agent, config)
    if not change.paths:
        logger.info("the configuration is as it was")
        return Reload((), ())
    try:
        change.make()
    except StoreError:
        change.discard()
        raise
    logger.info("another configuration holds: %s", ", ".join(change.paths))
    if change.needs_restart:
        logger.warning(
            "%s: a change of that holds from the next start on", ", ".join(change.needs_restart)
        )
    return Reload(tuple(change.paths), tuple(change.needs_restart))
