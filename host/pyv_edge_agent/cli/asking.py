"""Asking the running agent by its control socket, see control.py."""

import argparse
import json
import os
import socket

from ..control_path import address, own_path, run_path
from ..errors import NO_CONFIG, AgentAbsentError, RequestError, UsageError
from .place import add_config, config_path

TYPE_CHECKING = False  # as in typing, which takes long to import
if TYPE_CHECKING:
    from typing import Any

TIMEOUT_S = 30.0
ANSWER_SIZE_MAX = 64 * 1_048_576


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare --config and --json."""
    add_config(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def connect(config: str) -> socket.socket | None:
    """Return a connection to the agent of a configuration, None if none runs."""
    for path in (run_path(config), own_path(config)):
        found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with address(path) as reachable:
                found.connect(reachable)
        except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
            found.close()
        except PermissionError:
            found.close()
            raise PermissionError(
                f"{path}: may not be opened; run this as root, or as the agent's user"
            ) from None
        else:
            return found
    return None


def ask(args: argparse.Namespace, do: str, timeout_s: float = TIMEOUT_S, **asked: "Any") -> "Any":
    """Return what the agent of a configuration answers.

    Raises AgentAbsentError if none runs, RequestError or UsageError if it refuses.
    """
    config = config_path(args)
    found = connect(config)
    if found is None and not os.path.exists(config):
        raise FileNotFoundError(f"{config}: {NO_CONFIG}")
    if found is None:
        raise AgentAbsentError(
            f"no agent runs with {config}; start it: systemctl start pyv-edge, or"
            f" pyv-edge-host run --config {config}"
        )
    return converse(found, {"do": do, **asked}, timeout_s)


def converse(connection: socket.socket, asked: "dict[str, Any]", timeout_s: float) -> "Any":
    """Ask over a connection, which is then closed. Raises as `ask` does."""
    with connection:
        connection.settimeout(timeout_s)
        try:
            connection.sendall(json.dumps(asked).encode() + b"\n")
            with connection.makefile("rb") as answers:
                line = answers.readline(ANSWER_SIZE_MAX)
        except TimeoutError:
            raise AgentAbsentError(f"the agent does not answer within {timeout_s:g} s") from None
        except (ConnectionError, BrokenPipeError):
            line = b""
    if not line.endswith(b"\n"):
        raise AgentAbsentError("the agent went away before it answered")
    answer = json.loads(line)
    if "error" in answer:
        raise (
            UsageError(answer["error"])
            if answer.get("is_usage")
            else RequestError(answer["error"])
        )
    return answer["ok"]
