"""What a bundle for support is made of. Nothing is in it that may not leave this machine.

Each part is a text of its own. One that can't be made says why in its place.
"""

import json
import platform
import re
import tarfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from ..clock import Clock
from ..config import Config
from ..config.shown import Entry, entries
from ..config.table import tables
from ..errors import StartError, StoreError
from ..exit_status import TOLD
from ..policy import find_policy, read_policy
from ..store.channel import channels
from ..store.extract import devices
from ..store.ledger import read_ledger_within
from ..store.query import ALWAYS, list_audit
from ..store.reader import StoreReader
from ..view import GAPS
from ..view.extraction import Extraction, Request
from ..view.redaction import Redaction, secret_parts
from ..view.store_view import Names
from ..view.withheld import WithheldNames
from .checks.finding import Finding
from .checks.plan import Case
from .selection import OpenedView

PART_SIZE_MAX = 2 * 1_048_576  # bytes; what is longer is cut
ROWS_MAX = 1000  # the newest, of the audit log and of gaps
LEDGER_MS = 20_000
WITHHELD = "(withheld)"
PACKAGES = ("pyserial", "psutil", "requests", "urllib3", "paho-mqtt", "nats-py", "rich", "tomli")
JOURNAL = """The log is not in here. Add it, and read it before you send it:

    journalctl -u pyv-edge --since -1d -o cat > journal.txt
"""

# Of a policy, what tells no name
_OPEN_PRIVACY = re.compile(
    r"privacy\.(enabled|default|hash_key|rules\[\d+\]\.(action|step|low|high))"
)
_OF_DEVICE = re.compile(r"sensors\.devices\[(\d+)\]\.(?!ingest_type$)")
_OF_RULE = re.compile(r"rules\[(\d+)\]\.(sensor|name|message)$")
_OF_CHANNELS = re.compile(r"policies\.channels\[(\d+)\]\.match$")


@dataclass(frozen=True)
class Part:
    """One file of a bundle."""

    name: str
    about: str  # in a line
    make: Callable[[], Any]  # a text, or what JSON has


class Contents:
    """The parts of a bundle about one machine."""

    def __init__(
        self, case: Case, findings: list[Finding], ask_queue: Callable[[], Any], clock: Clock
    ) -> None:
        """Gather what must not be told."""
        self._case = case
        self._findings = findings
        self._ask_queue = ask_queue
        self._clock = clock
        self._names: WithheldNames | None = None
        self._store_problem = ""  # why its names are not known
        self._redaction = Redaction((), {})
        if case.config is not None:
            self._names, self._store_problem = _names(case, case.config)
            secrets = set(_secrets(case.config))
            self._redaction = Redaction(secrets, self._names.replacements())

    def parts(self) -> Iterator[Part]:
        """Yield the parts: few, if configuration or store can't tell what must not be known."""
        config = self._case.config
        yield Part("versions.json", "programs, libraries and the computer", versions)
        yield Part("doctor.json", "what `pyv-edge-host doctor` has found", self._doctor)
        yield Part("journal.txt", "how to add the log", lambda: JOURNAL)
        if config is None:
            return
        path = config.store_path
        yield Part("config.json", "the settings in force", lambda: self._settings(config))
        yield Part("files.json", "the store's files and their sizes", lambda: _files(path))
        if self._store_problem:
            return
        yield Part("health.json", "what the running agent says of itself", self._health)
        yield Part("queue.json", "what waits for each sink", self._ask_queue)
        yield Part("ledger.json", "what became of every reading", lambda: self._ledger(path))
        yield Part(
            "audit.json",
            f"the newest {ROWS_MAX} rows of the audit log",
            lambda: list_audit(path, ROWS_MAX),
        )
        yield Part(
            "gaps.json",
            f"the newest {ROWS_MAX} gaps, as sinks are told of them",
            lambda: self._gaps(config),
        )

    def text(self, part: Part) -> str:
        """Return a part as a text of which nothing must be kept back; why, if it can't be made."""
        try:
            made = part.make()
        except TOLD as error:
            made = {"problem": str(error)}
        if isinstance(made, str):
            return self._redaction.text(made)
        return json.dumps(self._redaction.tree(made), indent=1) + "\n"

    # -- what each is made of ------------------------------------------------------

    def _doctor(self) -> list[dict[str, Any]]:
        names = self._names
        told = [one.to_dict() for one in self._findings]
        for one in told:
            # Without a configuration nobody can tell what may be known; and what is found of a
            # device that is not to be known may have other names in it.
            if names is None or names.is_hidden(one["subject"]):
                one.update(finding=WITHHELD, fix=WITHHELD)
        return told

    def _settings(self, config: Config) -> list[dict[str, Any]]:
        return [
            {
                "path": entry.path,
                "value": WITHHELD if self._is_withheld(entry, config) else entry.value,
                "origin": str(entry.origin),
            }
            for entry in entries(config)
        ]

    def _is_withheld(self, entry: Entry, config: Config) -> bool:
        """Return whether a value tells of names that must not be known."""
        assert self._names is not None
        if entry.path.startswith("privacy."):
            return not _OPEN_PRIVACY.match(entry.path)
        if found := _OF_DEVICE.match(entry.path):
            device = config.get("sensors", "devices")[int(found[1])]
            return self._names.is_hidden(device["name"])
        if found := _OF_RULE.match(entry.path):
            rule = config.get("rules")[int(found[1])]
            return self._names.is_telling(rule.get("sensor", "*"))
        if found := _OF_CHANNELS.match(entry.path):
            row = config.get("policies", "channels")[int(found[1])]
            return self._names.is_telling(row["match"])
        return False

    def _health(self) -> Any:
        return self._case.status or {"problem": self._case.agent_problem}

    def _ledger(self, path: Path) -> Any:
        ledger = read_ledger_within(path, self._clock, LEDGER_MS)
        if ledger is None:
            return {"problem": f"not looked through within {LEDGER_MS // 1000} s"}
        return ledger.to_dict()

    def _gaps(self, config: Config) -> list[dict[str, Any]]:
        policy = find_policy(config.get("privacy"), config.hash_key_path)
        with closing(OpenedView(StoreReader(config.store_path), policy, is_local=False)) as view:
            request = Request(GAPS, Names(), None, ALWAYS, ROWS_MAX)
            return [one for piece in Extraction(view, request).pieces() for one in piece]


def versions() -> dict[str, Any]:
    """Return what runs here, without the computer's name."""
    from importlib.metadata import PackageNotFoundError, version

    from .. import __version__
    from ..store import engine

    found: dict[str, str | None] = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return {
        "pyv-edge": __version__,
        "python": platform.python_version(),
        "sqlite": engine.version(),
        "system": platform.system(),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "distribution": _first_line(Path("/etc/os-release"), "PRETTY_NAME="),
        "model": _first_line(Path("/proc/device-tree/model"), ""),
        "packages": found,
    }


def _first_line(path: Path, start: str) -> str:
    """Return the rest of the first line that begins so, "" if there is none."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    rows = (row.removeprefix(start) for row in text.splitlines() if row.startswith(start))
    return next(rows, "").strip('"\0')


def _files(path: Path) -> dict[str, int]:
    found = path.parent.glob(f"{path.name}*")
    return {str(one): one.stat().st_size for one in sorted(found) if one.is_file()}


# -- what must not be told -------------------------------------------------------------


def _secrets(config: Config) -> Iterator[str]:
    """Yield the secrets of a configuration, and of the files that it names."""
    for _, table, keys in tables(config.to_dict()):
        for key, setting in keys.items():
            if table.get(key) and (setting.is_secret or setting.is_url):
                yield from secret_parts(table[key], is_url=setting.is_url)
        for key in ("link_key_file", "hash_key_file"):
            if table.get(key):
                yield from _first_lines(config.folder / table[key])


def _first_lines(path: Path) -> Iterator[str]:
    from ..secret_file import read_secret

    try:
        secret, _ = read_secret(path)
    except ValueError:
        return  # nor can anybody else have read it
    yield secret


def _names(case: Case, config: Config) -> tuple[WithheldNames, str]:
    """Return the names that are known, and why those of the store are not."""
    section = config.get("privacy")
    try:
        names = WithheldNames(find_policy(section, config.hash_key_path), has_key=True)
    except StartError:
        names = WithheldNames(read_policy(section), has_key=False)
    problem = ""
    boards: list[tuple[str, str]] = []
    try:
        if config.store_path.exists():
            with closing(StoreReader(config.store_path)) as reader:
                names.add_stored(channels(reader))
                boards += devices(reader)
    except (StoreError, OSError) as error:
        problem = str(error)
    for device in config.get("sensors", "devices"):
        names.add_device(device)
    for name, alias in boards:
        names.add_board(name, alias)
    for link in case.status["links"] if case.status is not None else ():
        names.add_board(link["device"] or "", link["name"])
    names.add_rules(section)
    return names, problem


# -- the file --------------------------------------------------------------------------


def write_bundle(file: BinaryIO, contents: Contents, name: str, mtime_s: int) -> list[str]:
    """Write a .tar.gz of all parts below a folder of that name; return what is in it."""
    rows = []
    with tarfile.open(fileobj=file, mode="w:gz") as archive:

        def add(member: str, text: str) -> None:
            data = text.encode(errors="replace")
            info = tarfile.TarInfo(f"{name}/{member}")
            info.size, info.mtime, info.mode = len(data), mtime_s, 0o600
            archive.addfile(info, BytesIO(data))

        for part in contents.parts():
            text = contents.text(part)
            remark = ""
            if len(text) > PART_SIZE_MAX:
                remark = f" (cut: it has {len(text)} characters)"
                text = text[:PART_SIZE_MAX]
            add(part.name, text)
            rows.append(f"{part.name:<14} {part.about}{remark}")
        add("MANIFEST", "\n".join([*_HEAD, *rows]) + "\n")
    return [row.split()[0] for row in rows] + ["MANIFEST"]


_HEAD = (
    "A bundle for support of Pyvorin Edge. No secret is in it, no value of a reading, and no name",
    "that the privacy policy keeps from sinks: those are withheld-N, or pseudonyms.",
    "",
)
