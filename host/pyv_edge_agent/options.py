"""Options: from checked settings to what a sink or an adapter is made with; what it imports."""

from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .errors import StartError

_EXTRAS = {"mqtt": ("paho", "paho-mqtt"), "nats": ("nats", "nats-py")}  # module and package
_FILES = ("ca_file", "cert_file", "key_file", "creds_file")


def need_extra(name: str, whose: str) -> None:
    """Raise StartError if the package of the extra `name` is not there, which `whose` needs."""
    module, package = _EXTRAS[name]
    if find_spec(module) is None:
        raise StartError(
            f"{whose}: {package} is not installed; pip install '.[{name}]' in a clone"
        )


def read_options(kind: Any, settings: dict[str, Any], folder: Path, own: dict[str, Any]) -> Any:
    """Return options of the dataclass `kind`: `own`, and what settings have under the same name.

    An empty path is None, another one counts from `folder`.
    """
    values = {}
    for name in [field.name for field in fields(kind)]:
        if name in own:
            values[name] = own[name]
        elif name in _FILES:
            values[name] = folder / settings[name] if settings.get(name) else None
        else:
            values[name] = settings[name]
    return kind(**values)
