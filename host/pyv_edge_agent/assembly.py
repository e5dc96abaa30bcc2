"""Assembly: an agent's parts, made and connected as its configuration says, and closed again.

    adapters, links -> ingest (pipeline, store, acknowledgement) -> uploader -> cloud

A part is the agent's as soon as it is made, so that what a start which fails has opened is
closed like everything else. Which thread runs what is the agent's; see reload for what changes
while it runs.
"""

import logging
from typing import TYPE_CHECKING

from pyv_edge_core.rule import read_rules

from . import __version__
from .admission import pins
from .alerting import Alerting
from .channel_policy import ChannelPolicies
from .devices import Devices
from .errors import StoreError
from .ingest import Ingest
from .parts import new_buffer, queue_size_max, split_devices, store_limits
from .pipeline import Pipeline
from .policy import open_policy
from .store import SQLiteStore, Upkeep, open_store
from .uploads import Uploads

if TYPE_CHECKING:
    from .agent import EdgeAgent

logger = logging.getLogger(__name__)


def assemble(agent: "EdgeAgent") -> None:
    """Open the store and make all stages, which do nothing yet.

    Raises ConfigError, StoreError, StartError or AdapterError; `dismantle` closes what there is.
    """
    config = agent._config
    store = agent._store = open_store(config.store_path, agent.clock)
    agent._system_metrics.disk_path = str(store.path.parent)
    store.apply_policies(ChannelPolicies(config.get("policies")))
    store.items.size_max = queue_size_max(config)
    agent._privacy = open_policy(config.get("privacy"), config.hash_key_path)
    agent._cloud.bind(store, agent.wake_uploads)
    tables = config.get("sensors", "devices")
    agent._buffers = {table["name"]: new_buffer(config) for table in tables}
    ingest = agent._ingest = _new_ingest(agent, store)
    ingest.resume(*split_devices(tables))
    _note_start(agent, store)
    devices = agent._devices = Devices(
        agent.clock,
        agent._rng,
        ingest.put,
        store.receipts.positions,
        config.folder,
        agent.heartbeats,
    )
    agent._adapters = devices.adapters
    for table in tables:
        devices.adopt(devices.make(table, agent._buffers[table["name"]]))
    agent._plan_polls()
    agent._uploads = Uploads(
        config,
        store,
        agent._cloud,
        agent._privacy,
        ingest.time,
        agent.clock,
        agent._rng,
        agent.heartbeats,
    )
    agent._uploader = agent._uploads.cloud


def _new_ingest(agent: "EdgeAgent", store: SQLiteStore) -> Ingest:
    config = agent._config
    alerting = Alerting(read_rules(config.get("rules")), store.rule_state)
    return Ingest(
        store,
        Pipeline(agent._privacy, agent._buffers, alerting),
        agent.clock,
        agent._rng,
        agent._wake,
        commit_max=config.get("storage", "commit_max"),
        pins=pins(config.get("sensors", "devices")),
        time_source=config.get("time", "source"),
        upkeep=Upkeep(store, store_limits(config)),
        heartbeat=agent._heartbeat,
    )


def _note_start(agent: "EdgeAgent", store: SQLiteStore) -> None:
    store.audit.append(
        "agent_started",
        {
            "version": __version__,
            "was_closed": store.was_closed,
            "privacy": f"{agent._privacy.fingerprint:08x}",
            "devices": sorted(agent._buffers),
        },
    )


def start_health_server(agent: "EdgeAgent") -> None:
    """Answer for the agent by HTTP, if it is to. Raises StartError."""
    settings = agent._config.get("health")
    if not settings["enabled"]:
        return
    from .dashboard.server import open_server, serve

    server = agent._health_server = open_server(agent, settings, agent._config.folder)
    host, port = server.server_address[:2]
    agent._health_thread = serve(server)
    url = f"{'https' if server.is_encrypted else 'http'}://{host!s}:{port}/health"
    logger.info("health is served at %s", url, extra={"fields": {"health_url": url}})


def dismantle(agent: "EdgeAgent") -> None:
    """Close what there is, once nobody uses it any more; the store last."""
    agent._cloud.unbind()
    if agent._health_server is not None:
        agent._health_server.server_close()
    if agent._uploads is not None:
        agent._uploads.close()
    if agent._devices is not None:
        agent._devices.close()
    if agent._store is not None:
        _close_store(agent._store)
    agent._store = agent._ingest = agent._uploads = agent._uploader = None
    agent._thread = agent._health_thread = agent._health_server = agent._devices = None


def _close_store(store: SQLiteStore) -> None:
    try:
        store.audit.append("agent_stopped", {})
    except StoreError as error:
        logger.warning("the audit log doesn't say that the agent has stopped: %s", error)
    store.close()
