"""Which checks there are for a machine and its configuration, in the order they are shown."""

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ...clock import Clock, SystemClock
from ...config import Config
from ...parts import store_limits
from ...port_search import ListPorts, list_ports
from ...store import engine
from ...uploads import enabled_sinks
from ..moment import show_ms
from . import (
    agent,
    board,
    clock,
    computer,
    configuration,
    network,
    port,
    programs,
    sinks,
    sources,
    store_content,
    store_place,
)
from . import service as services
from .access import Accounts, Person, asker, runner
from .bounded import Job
from .finding import FAIL, WARN, Check, Finding

FILE_CLOCK_MS = 2000  # by which a file's time may be ahead: a file system rounds
_UNKNOWN = ("the running agent does not know it", "pyv-edge-host reload, or restart the agent")


@dataclass(frozen=True)
class Machine:
    """Where checks look. A test has another one."""

    root: Path = Path("/")
    clock: Clock = field(default_factory=SystemClock)
    person: Person = field(default_factory=asker)
    accounts: Accounts = field(default_factory=Accounts)
    ports: ListPorts = list_ports
    look_up: network.LookUp = network.look_up
    connect: network.Connect = network.connect
    can_open: Callable[[str], bool] = port.can_open
    listen_ms: int | None = None  # to a board that says nothing; None: as long as it may take

    @property
    def proc(self) -> Path:
        """Where the kernel tells of processes."""
        return self.root / "proc"


@dataclass(frozen=True)
class Case:
    """What is known before anything is checked."""

    source: str  # the configuration's path, "" if there is none
    config: Config | None = None  # None: it has faults
    faults: tuple[str, ...] = ()  # of it
    doubts: tuple[str, ...] = ()
    status: agent.Status | None = None  # of the running agent
    agent_problem: str = ""  # why there is no status
    is_hidden: bool = False  # an agent may run, and can't be asked
    agent_pid: int = 0  # 0: not known
    is_offline: bool = False  # nothing is to go to the network

    @property
    def is_running(self) -> bool:
        """Whether ports, sinks and store are to be taken for the agent's."""
        return self.status is not None or self.is_hidden


class Plan:
    """The checks of one case on one machine."""

    def __init__(self, machine: Machine, case: Case) -> None:
        self._machine = machine
        self._case = case
        self._service = services.read_service(machine.root)
        running = (
            runner(case.agent_pid, machine.proc, machine.accounts) if case.agent_pid else None
        )
        service_person = services.service_person(self._service, machine.accounts)
        self._agent_person = running or service_person or machine.person

    @property
    def _log(self) -> str:
        return agent.where_log_is(is_service=self._service is not None)

    def jobs(self) -> Iterator[Job]:
        """Yield what is to be checked."""
        machine, case, service = self._machine, self._case, self._service
        config = case.config
        yield _job(
            "config", lambda: configuration.check_config(case.source, case.faults, case.doubts)
        )
        if config is not None:
            yield _job("config.secrets", lambda: configuration.check_secrets(config, machine.root))
            yield _job("config.extras", lambda: configuration.check_extras(config))
        yield _job("python", lambda: programs.check_python(sys.version_info[:3], sys.executable))
        yield _job("sqlite", lambda: programs.check_sqlite(engine.version(), engine.fault()))
        yield _job(
            "service", lambda: services.check_service(service, case.source, config, machine.root)
        )
        yield _job("service.user", lambda: services.check_user(service, machine.accounts))
        yield _job("service.rules", lambda: services.check_rules(service, config, machine.root))
        yield from self._computer()
        if config is not None:
            yield _job("clock", lambda: self._clock(config))
            yield from self._store(config)
        yield from self._agent()
        if config is not None:
            yield from self._devices(config)
            yield from self._sinks(config)

    # -- this computer -----------------------------------------------------------------

    def _computer(self) -> Iterator[Job]:
        root, proc = self._machine.root, self._machine.proc
        yield _job("computer.power", lambda: computer.check_power(root))
        yield _job("computer.temperature", lambda: computer.check_temperature(root))
        yield _job("computer.memory", lambda: computer.check_memory(proc))
        yield _job("computer.tmp", lambda: computer.check_tmp(root / "tmp"))

    def _clock(self, config: Config) -> list[Finding]:
        machine, settings = self._machine, config.get("time")
        written_ms = Path(self._case.source).stat().st_mtime_ns // 1_000_000
        return clock.check_clock(
            machine.clock,
            settings["source"],
            settings["upload_wait_seconds"],
            written_ms - FILE_CLOCK_MS,
            machine.proc,
        )

    # -- the store ---------------------------------------------------------------------

    def _store(self, config: Config) -> Iterator[Job]:
        machine, case, path = self._machine, self._case, config.store_path
        person, now_ms = self._agent_person, machine.clock.utc_ms()
        accounts = machine.accounts
        yield _job("store.folder", lambda: store_place.check_folder(path, person, accounts))
        yield _job("store.disk", lambda: store_place.check_disk(path, store_limits(config)))
        yield _job("computer.card", lambda: self._card(path))
        yield _job(
            "store.file",
            lambda: store_content.check_file(
                path, machine.clock, is_agent_running=case.is_running
            ),
        )
        yield _job(
            "store.ledger",
            lambda: store_content.check_ledger(
                path, machine.clock, is_agent_running=case.is_running
            ),
        )
        yield _job("store.size", lambda: store_content.check_size(path, config.get("storage")))
        yield _job("store.leftovers", lambda: store_place.check_leftovers(path, now_ms))

    def _card(self, path: Path) -> list[Finding]:
        device = store_place.nearest(path.parent).stat().st_dev
        return computer.check_card(device, self._machine.root)

    # -- the agent ---------------------------------------------------------------------

    def _agent(self) -> Iterator[Job]:
        case, service = self._case, self._service
        # One that is there and doesn't answer is worse than one that this user may not ask.
        is_due = service is not None and service.is_enabled
        is_due = bool(case.agent_pid) if case.is_hidden else is_due
        status = case.status
        yield _job("agent", lambda: agent.check_agent(status, case.agent_problem, is_due=is_due))
        if status is not None:
            yield _job("agent.workers", lambda: agent.check_workers(status, self._log))
            yield _job("agent.store", lambda: agent.check_storing(status))
        if case.config is not None and not case.is_running:
            health = case.config.get("health")
            if health["enabled"]:
                about = Check("agent.port")
                yield Job(about, lambda: agent.check_port(about, health["host"], health["port"]))

    # -- devices -----------------------------------------------------------------------

    def _devices(self, config: Config) -> Iterator[Job]:
        machine, service_rules = self._machine, services.has_rules(self._machine.root)
        devices = config.get("sensors", "devices")
        if any(device["ingest_type"] == "serial" for device in devices):
            yield _job(
                "port.holder",
                lambda: port.check_modem_manager(machine.proc, has_rules=service_rules),
            )
        told = (
            {}
            if self._case.status is None
            else {one["name"]: one for one in self._case.status["devices"]}
        )
        for device in devices:
            is_linked = device["ingest_type"] == "serial"
            if device["name"] in told:
                yield self._told(told[device["name"]], is_linked=is_linked)
            if is_linked:
                yield Job(Check("port", device["name"]), self._board(device, config.folder))
            else:
                yield from self._source(device, config.folder)

    def _told(self, told: dict[str, Any], *, is_linked: bool) -> Job:
        about = Check("device", told["name"])
        return Job(about, lambda: agent.check_device(told, self._log, is_linked=is_linked))

    def _board(self, device: dict[str, Any], folder: Path) -> Callable[[], list[Finding]]:
        machine, name = self._machine, device["name"]

        def check() -> list[Finding]:
            found = board.check_key(Check("board.key", name), device, folder)
            lent = self._lent(name)
            if lent:
                return [*found, Check("port", name).skip(lent)]
            presence, path = port.check_presence(
                Check("port", name), device["port"], machine.ports, machine.root
            )
            found += presence
            if path is None:
                return found
            person = self._agent_person
            can_open = person == machine.person and machine.can_open(path)
            found += port.check_permission(
                Check("port.permission", name),
                os.stat(path),
                person,
                machine.accounts,
                can_open=can_open,
            )
            found += self._holder(Check("port.holder", name), path)
            if any(one.level == FAIL for one in found):
                return found  # it can't be opened, or not be read
            return found + self._answer(device, folder)

        return check

    def _lent(self, name: str) -> str:
        """Return that the agent has lent a port, and until when; "" if it has not."""
        links = [] if self._case.status is None else self._case.status["links"]
        # An agent that was not restarted since an update may not know of loans.
        until_s = next((link.get("lent_until") for link in links if link["name"] == name), None)
        if until_s is None:
            return ""
        return f"the agent has lent it until {show_ms(round(until_s * 1000))}"

    def _holder(self, about: Check, path: str) -> list[Finding]:
        if os.path.realpath(path).startswith("/dev/pts/"):
            return [about.skip("a pseudo-terminal is held open by whoever has made it")]
        own_pids = (os.getpid(), self._case.agent_pid)
        return port.check_holder(about, path, self._machine.proc, own_pids)

    def _answer(self, device: dict[str, Any], folder: Path) -> list[Finding]:
        machine, case, name = self._machine, self._case, device["name"]
        about = Check("board", name)
        if case.status is not None:
            links = {link["name"]: link for link in case.status["links"]}
            if name not in links:
                return [about.fail(*_UNKNOWN)]
            heard = board.told(links[name])
        elif case.is_hidden:
            return [about.warn("only the agent knows, and it can't be asked", "see the agent")]
        else:
            heard = board.listen(device, folder, machine.clock, machine.listen_ms)
        found = board.check_answer(about, heard, device["device_id"])
        if not isinstance(heard, str):
            path = folder / device["settings_file"] if device["settings_file"] else None
            found += board.check_settings(Check("board.settings", name), heard, path)
        return found

    def _source(self, device: dict[str, Any], folder: Path) -> Iterator[Job]:
        case, name = self._case, device["name"]
        if device["ingest_type"] == "http" and not case.is_running:
            about = Check("source.port", name)
            yield Job(about, lambda: agent.check_port(about, device["host"], device["port"]))
        checks = (Check("source.address", name), Check("source.tls", name))
        server = None if case.is_offline else sources.endpoint(device, folder)
        if server is not None:
            yield Job(checks[0], lambda: self._server(checks, server))

    # -- sinks -------------------------------------------------------------------------

    def _sinks(self, config: Config) -> Iterator[Job]:
        for name, settings in enabled_sinks(config).items():
            yield Job(Check("sink", name), self._sink(name, settings, config.folder))

    def _sink(
        self, name: str, settings: dict[str, Any], folder: Path
    ) -> Callable[[], list[Finding]]:
        case = self._case
        checks = (Check("sink.address", name), Check("sink.tls", name))

        def check() -> list[Finding]:
            servers = list(sinks.endpoints(name, settings, folder))
            found: list[Finding] = []
            if not case.is_offline:
                found = _any_will_do([self._server(checks, one) for one in servers])
            if case.status is not None:
                return found + self._told_of_sink(name)
            is_down = any(one.level == FAIL for one in found)
            if is_down or case.is_hidden or (servers and case.is_offline):
                return found
            return found + sinks.check_acceptance(name, settings, folder, self._machine.clock)

        return check

    def _told_of_sink(self, name: str) -> list[Finding]:
        status = self._case.status
        assert status is not None
        if name not in status["sinks"]:
            return [Check("sink", name).fail(*_UNKNOWN)]
        dead_letters = status["store"].get("dead_letters", 0)
        return agent.check_sink(name, status["sinks"][name], dead_letters)

    def _server(self, checks: tuple[Check, Check], server: network.Endpoint) -> list[Finding]:
        machine = self._machine
        found, line = network.check_address(checks[0], server, machine.look_up, machine.connect)
        if line is None:
            return [found]
        if server.tls is None:
            line.close()
            return [found]
        return [found, network.check_tls(checks[1], server, line, machine.clock.utc_ms())]


def _any_will_do(servers: list[list[Finding]]) -> list[Finding]:
    """Return what was found of servers that stand for one another: one that works is enough."""
    is_one_up = any(all(one.level != FAIL for one in found) for found in servers)
    return [
        replace(one, level=WARN) if is_one_up and one.level == FAIL else one
        for found in servers
        for one in found
    ]


def _job(name: str, carry_out: Callable[[], list[Finding]]) -> Job:
    return Job(Check(name), carry_out)
