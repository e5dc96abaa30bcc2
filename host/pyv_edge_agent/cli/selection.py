"""What a command takes out of a store: which channels, which time, and under which policy."""

import argparse
from pathlib import Path

from pyv_edge_core.privacy import PrivacyPolicy

from ..config import Config
from ..errors import UsageError
from ..policy import find_policy
from ..store.query import ALWAYS
from ..store.reader import StoreReader
from ..view.store_view import Names, View, read_patterns
from .moment import parse_moment
from .place import PLACES, VARIABLE, find_config


def read_times(args: argparse.Namespace, now_ms: int) -> tuple[int, int]:
    """Return from when to before when, UTC. Raises UsageError."""
    start_ms, end_ms = ALWAYS
    if args.since is not None:
        start_ms = parse_moment("--since", args.since, now_ms)
    if args.until is not None:
        end_ms = parse_moment("--until", args.until, now_ms)
    if start_ms >= end_ms:
        raise UsageError("--until: is not later than --since")
    return start_ms, end_ms


def read_names(args: argparse.Namespace) -> Names:
    """Read --sensor and --device. Raises UsageError."""
    return Names(read_patterns("--sensor", args.sensor), read_patterns("--device", args.device))


class OpenedView(View):
    """A view of a store that was opened for it."""

    reader: StoreReader

    def close(self) -> None:
        """Close the store."""
        self.reader.close()


def open_view(args: argparse.Namespace) -> OpenedView:
    """Open the store that is meant, under the policy in force.

    Raises UsageError, ConfigError, FileNotFoundError, StartError, StoreError.
    """
    path = find_config(args)
    config = None if path is None else Config.from_file(path)
    if config is None and not (args.db and args.local):
        raise UsageError(
            f"no configuration: {VARIABLE} is not set and there is none of {', '.join(PLACES)}, so"
            " nobody knows what may be shown; name one by --config, or say --local and --db"
        )
    policy = PrivacyPolicy()
    if config is not None:
        policy = find_policy(config.get("privacy"), config.hash_key_path)
    store = Path(args.db) if config is None or args.db else config.store_path
    return OpenedView(StoreReader(store), policy, is_local=args.local)
