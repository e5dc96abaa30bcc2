"""Which configuration and which store a command is about: --config, --db and other places."""

import argparse
import os

from ..errors import UsageError

TYPE_CHECKING = False  # as in typing, which takes as long to import as all of this
if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ..config import Config

VARIABLE = "PYV_EDGE_CONFIG"
PLACES = ("edge.toml", "edge_config.toml", "/etc/pyv-edge/edge.toml")


def add_config(parser: argparse.ArgumentParser) -> None:
    """Declare --config."""
    shown = ", ".join(PLACES)
    parser.add_argument(
        "--config",
        metavar="FILE",
        help=f"the agent's configuration (else ${VARIABLE}, else the first there is of {shown})",
    )


def add_store(parser: argparse.ArgumentParser) -> None:
    """Declare --config and --db, of which the second says where the store is."""
    add_config(parser)
    parser.add_argument("--db", metavar="FILE", help="the store, if not the configuration's")


def find_config(
    args: argparse.Namespace, environment: "Mapping[str, str]" = os.environ
) -> str | None:
    """Return the path of the configuration, None if there is none. Raises UsageError."""
    if args.config is not None:
        if not args.config:
            raise UsageError("--config: is empty; name a TOML or JSON file")
        return str(args.config)
    if environment.get(VARIABLE):
        return environment[VARIABLE]
    return next((place for place in PLACES if os.path.isfile(place)), None)


def config_path(args: argparse.Namespace, environment: "Mapping[str, str]" = os.environ) -> str:
    """Return the path of the configuration. Raises UsageError if there is none."""
    found = find_config(args, environment)
    if found is None:
        raise UsageError(no_config())
    return found


def no_config() -> str:
    """Return in a line that there is no configuration, and what to do."""
    return (
        f"no configuration: {VARIABLE} is not set and there is none of {', '.join(PLACES)};"
        " name one by --config"
    )


def load_config(args: argparse.Namespace) -> "Config":
    """Return the settings in force. Raises UsageError, ConfigError, FileNotFoundError."""
    from ..config import Config

    return Config.from_file(config_path(args))


def store_path(args: argparse.Namespace) -> "Path":
    """Return where the store is; with --db, no configuration is read. Raises as `load_config`."""
    if args.db is None:
        return load_config(args).store_path
    if not args.db:
        raise UsageError("--db: is empty; name a store")
    from pathlib import Path

    return Path(args.db)
