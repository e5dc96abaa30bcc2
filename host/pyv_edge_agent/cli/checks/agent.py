"""The running agent: whether there is one, and what it says is in its way."""

import socket
from collections.abc import Callable
from typing import Any

from ...service_files import UNIT
from ...sizing import show_time
from .finding import Check, Finding

RECENT_MS = 86_400_000  # what was rejected before that is no news
_SERVICE = UNIT.removesuffix(".service")

Status = dict[str, Any]  # what /health says


def where_log_is(*, is_service: bool) -> str:
    """Return how to read what the agent logs."""
    return f"journalctl -u {_SERVICE} -e" if is_service else "the standard error of its run"


def check_agent(status: Status | None, problem: str, *, is_due: bool) -> list[Finding]:
    """Tell whether an agent runs; without a status, `problem` says why it can't be asked.

    `is_due` says that there should be one: systemd is told to start it.
    """
    about = Check("agent")
    if status is not None:
        ill = [name for name, one in status["components"].items() if one["status"] != "healthy"]
        if status["status"] == "healthy":
            return [about.ok("runs, and is healthy")]
        told = about.fail if status["status"] == "unhealthy" else about.warn
        fix = "pyv-edge-host status says what is wrong with them"
        named = f": {', '.join(ill)}" if ill else ""
        return [told(f"runs, and is {status['status']}{named}", fix)]
    text, _, fix = problem.partition("; ")
    if is_due:
        log = where_log_is(is_service=True)
        return [about.fail(text, f"systemctl status {_SERVICE}, {log}")]
    return [about.warn(text, fix or "start it: pyv-edge-host run")]


def check_workers(status: Status, log: str) -> list[Finding]:
    """Tell which threads do not move; `log` says how to read why."""
    about = Check("agent.workers")
    late = sorted(name for name, worker in status["workers"].items() if worker["is_late"])
    if late:
        text = f"{', '.join(late)}: not moving, so the watchdog is not fed"
        fix = "a service is started again; its log shows where each thread stood"
        return [about.fail(text, f"{fix} ({log})")]
    return [about.ok(f"{len(status['workers'])} threads move")]


def check_storing(status: Status) -> list[Finding]:
    """Tell what keeps the agent from storing."""
    about = Check("agent.store")
    store = status["store"]
    problem = status["agent"]["commit_problem"] or store.get("problem", "")
    if problem:
        return [about.fail(problem, "until it is mended boards keep their readings")]
    if store["is_degraded"]:
        source = store.get("salvaging_from", "")
        text = f"{source} is being salvaged" if source else f"the store is {store['state']}"
        fix = (
            "wait until that is done"
            if source
            else "make room on the disk, or raise storage.max_mb"
        )
        return [about.warn(text, fix)]
    return [about.ok(f"{status['agent']['commits_total']} commits")]


def check_device(told: dict[str, Any], log: str, *, is_linked: bool) -> list[Finding]:
    """Tell what the agent says of a device; of one that `is_linked`, `board` has the problem.

    `log` says how to read more. What was rejected is not a fault for ever.
    """
    about = Check("device", told["name"])
    problem, age_ms = told["problem"], told["problem_age_ms"]
    if told["ingest_type"] == "simulator" and told["state"] == "failing":
        return [about.ok("simulates a dropout")]
    if problem and age_ms is None and not is_linked:
        return [about.fail(problem, "see to its source; the agent goes on trying")]
    if told["state"] == "failing":
        text = f"{told['failed_polls']} polls in a row have failed"
        return [about.fail(text, f"the log says why: {log}")]
    if problem and age_ms is not None and age_ms < RECENT_MS:
        ago = show_time(age_ms / 1000)
        text = f"{told['rejected_total']} rejected since the start, the last one {ago} ago"
        return [about.warn(f"{text}: {problem}", "see to what its source sends")]
    return [about.ok(told["state"])]


def check_sink(name: str, told: dict[str, Any], dead_letters: int) -> list[Finding]:
    """Tell what the agent says of a sink."""
    about = Check("sink", name)
    waiting = told["pending_readings"] + told["pending_items"]
    if told["problem"]:
        text = f"{told['problem']} ({waiting} wait)"
        if told["is_waiting"]:
            return [about.warn(text, "it ends by itself; clock tells what is missing")]
        fix = (
            "nothing is lost while there is room; sink.address and sink.tls look at the way there"
        )
        return [about.fail(text, fix)]
    if dead_letters and told["dead_total"]:
        text = f"{told['dead_total']} were refused for what they are"
        return [about.warn(text, "pyv-edge-host queue dlq ls, then retry or drop them")]
    return [about.ok(f"{told['readings_delivered_total']} readings delivered, {waiting} wait")]


Listen = Callable[[str, int], None]


def listen(host: str, port: int) -> None:
    """Listen for a moment. Raises OSError if that can't be."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family):
        pass


def check_port(about: Check, host: str, port: int, try_port: Listen = listen) -> list[Finding]:
    """Tell whether a port is free that an agent is to listen on."""
    where = f"port {port} of {host}"
    if not port:
        return [about.ok(f"any port of {host}")]
    try:
        try_port(host, port)
    except OSError as error:
        fix = f"ss -ltnp 'sport = :{port}' shows who has it; stop that, or choose another port"
        return [about.fail(f"{where}: {error.strerror or error}", fix)]
    return [about.ok(f"{where} is free")]
