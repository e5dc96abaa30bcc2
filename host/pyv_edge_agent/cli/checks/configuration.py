"""The configuration: whether it is right, who else can read its secrets, what it needs."""

import os
from collections.abc import Iterable, Iterator
from errno import EACCES
from pathlib import Path

from ...config import Config
from ...config.table import tables
from ...errors import StartError
from ...options import need_extra
from .access import is_open_to_others
from .finding import Check, Finding

FILES = ("hash_key_file", "link_key_file", "key_file", "creds_file")  # settings that name a secret
ENVIRONMENT = Path("etc/pyv-edge/environment")  # what the unit reads


def check_config(source: str, faults: Iterable[str], doubts: Iterable[str]) -> list[Finding]:
    """Tell what is wrong, and what is doubtful, in the configuration that was found."""
    about = Check("config")
    told = [about.fail(*_parted(fault, _remedy(fault))) for fault in faults]
    told += [about.warn(*_parted(doubt, "see whether that is meant")) for doubt in doubts]
    return told or [about.ok(f"{source} has no fault")]


def _remedy(fault: str) -> str:
    return "run this as root (sudo)" if fault.endswith(os.strerror(EACCES)) else "correct it"


def _parted(line: str, fix: str) -> tuple[str, str]:
    """Return a line as what is so and what to do, which stands behind its last semicolon."""
    text, mark, remedy = line.rpartition("; ")
    return (text, remedy) if mark else (line, fix)


def check_secrets(config: Config, root: Path) -> list[Finding]:
    """Find files with keys that others than their owner and group can read.

    The configuration itself, and what stands for a secret in it, `check_config` tells of.
    """
    about = Check("config.secrets")
    findings = [
        about.warn(f"{path} holds a secret, and every user can read it", f"chmod o-rwx {path}")
        for path in dict.fromkeys(secret_files(config, root))
        if path.is_file() and is_open_to_others(path)
    ]
    return findings or [about.ok("no file with a key is open to every user")]


def secret_files(config: Config, root: Path) -> Iterator[Path]:
    """Yield the files in which keys are kept, whether there or not."""
    for _, table, _ in tables(config.to_dict()):
        for name in FILES:
            if table.get(name):
                yield config.folder / str(table[name])
    yield root / ENVIRONMENT


def check_extras(config: Config) -> list[Finding]:
    """Find sinks and devices whose package is not installed."""
    about = Check("config.extras")
    needed = {
        name: f"sinks.{name}" for name in ("mqtt", "nats") if config.get("sinks", name, "enabled")
    }
    for device in config.get("sensors", "devices"):
        if device["ingest_type"] == "mqtt":
            needed.setdefault("mqtt", f"device {device['name']}")
    findings = []
    for name, whose in needed.items():
        try:
            need_extra(name, whose)
        except StartError as error:
            findings.append(about.fail(*_parted(str(error), "")))
    return findings or [about.ok("everything that is configured is installed")]
