"""The store of an agent that does not run, open for one command.

To look at it, it is only read: whoever looks may not be the agent's user, the disk may be
read-only, and a damaged store is for the agent to set aside, which knows the configuration.
"""

import os
from pathlib import Path

from pyv_edge_core.privacy import PrivacyPolicy

from .channel_policy import ChannelPolicies
from .clock import Clock
from .config import Config
from .errors import StoreBrokenError, StoreError
from .parts import queue_size_max
from .policy import find_policy
from .store import CHECK_MS, LookedAtStore, SQLiteStore, was_store
from .uploads import enabled_sinks

REMEDY = "start the agent, which goes on with a new one and keeps this; `pyv-edge-host doctor`"


class IdleSite:
    """What operations that only look need of a store."""

    def __init__(self, config: Config) -> None:
        """Read how everything stands. Raises ConfigError, StartError, StoreError."""
        self.privacy: PrivacyPolicy = find_policy(config.get("privacy"), config.hash_key_path)
        self.store: LookedAtStore | SQLiteStore = _look_at(config)
        self.store.items.size_max = queue_size_max(config)

    def wake_uploads(self) -> None:
        """Do nothing: there is none."""

    def close(self) -> None:
        """Close the store."""
        self.store.close()


class IdleWriter(IdleSite):
    """What operations that change something need: the store as an agent has it."""

    def __init__(self, config: Config, clock: Clock) -> None:
        """Open the store for this process alone, unless it is damaged or of another version.

        Raises ConfigError, StartError, StoreError.
        """
        path = config.store_path
        super().__init__(config)
        self.store.close()
        _become_owner(path)
        try:
            # Looked through as a start of the agent does: what can't be read is not to be lost.
            store = self.store = SQLiteStore(path, clock, CHECK_MS)
        except StoreBrokenError as error:
            raise _told(path, error) from error
        store.policies = ChannelPolicies(config.get("policies"))
        store.sinks.configure(enabled_sinks(config))
        store.items.size_max = queue_size_max(config)


def _look_at(config: Config) -> LookedAtStore:
    path = config.store_path
    if not path.is_file():
        raise StoreError(f"{path}: there is no store; the agent's first start makes one")
    policies = ChannelPolicies(config.get("policies"))
    try:
        return LookedAtStore(path, policies, enabled_sinks(config))
    except StoreBrokenError as error:
        raise _told(path, error) from error


def _told(path: Path, error: StoreBrokenError) -> StoreError:
    """Return the error with what to do about it."""
    if was_store(path):
        return StoreBrokenError(f"{error}; {REMEDY}")
    return StoreError(f"{error}; it was never a store: set storage.path to another file")


def _become_owner(path: Path) -> None:
    """Go on as the user whose store it is, if this is root: the agent must be able to open it."""
    owner = path.stat()
    if os.geteuid() == 0 and owner.st_uid != 0:
        os.setgroups([])
        os.setegid(owner.st_gid)
        os.seteuid(owner.st_uid)
