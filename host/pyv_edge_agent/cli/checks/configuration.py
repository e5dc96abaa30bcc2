"""The configuration: whether it is right, who else can read its secrets, what it needs."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ...config import Config
from ...errors import StartError
from ...options import need_extra
from ...settings import DEVICES, SECTIONS, SINKS, Setting
from .access import is_open_to_others
from .finding import Check, Finding

FILES = ("hash_key_file", "link_key_file", "key_file", "creds_file")  # settings that name a secret
ENVIRONMENT = Path("etc/pyv-edge/environment")  # what the unit reads


def check_config(source: str, problems: Iterable[str]) -> list[Finding]:
    """Tell what is wrong in the configuration that was found."""
    about = Check("config")
    told = [about.fail(*_parted(problem, "correct it")) for problem in problems]
    return told or [about.ok(f"{source} has no fault")]


def _parted(line: str, fix: str) -> tuple[str, str]:
    """Return a line as what is so and what to do, which stands behind its last semicolon."""
    text, mark, remedy = line.rpartition("; ")
    return (text, remedy) if mark else (line, fix)


def check_secrets(config: Config, root: Path) -> list[Finding]:
    """Find files with secrets that others than their owner and group can read."""
    about = Check("config.secrets")
    source = Path(config.source)
    found = [source] if is_written_in(source, config) else []
    found += [path for path in secret_files(config, root) if path.is_file()]
    findings = [
        about.warn(f"{path} holds a secret, and every user can read it", f"chmod o-rwx {path}")
        for path in dict.fromkeys(found)
        if is_open_to_others(path)
    ]
    return findings or [about.ok("no file with a secret is open to every user")]


def is_written_in(source: Path, config: Config) -> bool:
    """Return whether the file has the text of a secret. Raises OSError."""
    text = source.read_text(encoding="utf-8", errors="replace")
    return any(secret in text for secret in secrets_of(config))


def secret_files(config: Config, root: Path) -> Iterator[Path]:
    """Yield the files in which secrets are kept, whether there or not."""
    for table, _ in tables_of(config):
        for name in FILES:
            if table.get(name):
                yield config.folder / str(table[name])
    yield root / ENVIRONMENT


def secrets_of(config: Config) -> set[str]:
    """Return the secrets of a configuration; of a URL, the parts that are never shown."""
    found: set[str] = set()
    for table, keys in tables_of(config):
        for name, setting in keys.items():
            if setting.is_secret and table.get(name):
                found |= secret_parts(table[name])
    return found


def secret_parts(value: Any) -> set[str]:
    """Return what must not be shown of the value of a secret setting."""
    if isinstance(value, dict):
        return {str(one) for one in value.values()}
    text = str(value)
    if "://" not in text:
        return {text}
    parts: set[str] = set()
    for one in text.split(","):
        url = urlsplit(one.strip())
        user, _, password = url.netloc.rpartition("@")[0].partition(":")
        parts |= {part for part in (user, password, url.query) if part}
    return parts


def tables_of(config: Config) -> Iterator[tuple[dict[str, Any], dict[str, Setting]]]:
    """Yield each table of settings with its keys."""
    for section, keys in SECTIONS.items():
        yield config.get(section), keys
    for name, keys in SINKS.items():
        yield config.get("sinks", name), keys
    for device in config.get("sensors", "devices"):
        yield device, DEVICES[device["ingest_type"]]


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
