"""The privacy policy of a configuration, and the secret from which its pseudonyms are made.

The secret is made once and kept in a file of its own. Whoever has it can find
out which name a pseudonym stands for; without it nothing that was sent before
can be joined with what is sent now.
"""

import logging
import os
from binascii import crc32
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyv_edge_core.privacy import KEY_SIZE_MIN, PrivacyPolicy
from pyv_edge_core.privacy_rule import LISTS, PrivacyRule

from .disk import write_whole
from .errors import StartError
from .plain_file import reading_plain

logger = logging.getLogger(__name__)

# What is stored with a channel for the sinks, whatever their policy says by then.
MARK_LOCAL = "local"  # it must not leave this machine
MARK_HASH = "hash:"  # its names are pseudonyms, which no rule fits; see hash_mark

KEY_SIZE = 32  # bytes, as 64 hexadecimal digits in the file
KEY_FILE_SIZE_MAX = 65_536


def read_policy(section: dict[str, Any], key: bytes = bytes(KEY_SIZE_MIN)) -> PrivacyPolicy:
    """Return the policy of a [privacy] section. Raises TableError with every fault.

    Without a `key` it is good for checking only.
    """
    return PrivacyPolicy(
        section["rules"],
        section["default"],
        section["enabled"],
        key,
        {name: section[name] for name in LISTS},
    )


def read_board_policy(settings: dict[str, Any]) -> PrivacyPolicy:
    """Return the policy that a board's settings have, good for checking. Raises TableError."""
    own = settings.get("privacy", {})
    empty: dict[str, Any] = {"rules": [], "default": "allow", **dict.fromkeys(LISTS, ())}
    return read_policy(
        {**empty, **{key: own[key] for key in own if key in empty}, "enabled": True}
    )


def open_policy(section: dict[str, Any], key_path: Path) -> PrivacyPolicy:
    """Return the policy with its secret, which is made at `key_path` if a rule needs one.

    Raises StartError if it can't be read or made.
    """
    return _open(section, key_path, load_key)


def find_policy(section: dict[str, Any], key_path: Path) -> PrivacyPolicy:
    """Return the same, making nothing. Raises StartError if there is no secret, too."""
    return _open(section, key_path, read_key)


def _open(
    section: dict[str, Any], key_path: Path, key_of: Callable[[Path], bytes]
) -> PrivacyPolicy:
    key = key_of(key_path) if keeps_key(section) else section["hash_key"].encode()
    return read_policy(section, key)


def keeps_key(section: dict[str, Any]) -> bool:
    """Return whether the secret is one that a file keeps. Raises TableError."""
    if section["hash_key"]:
        return False
    return any(rule.action == "hash" for rule in read_policy(section).rules)


def hash_mark(policy: PrivacyPolicy, rule: PrivacyRule) -> str:
    """Return what tells later that `rule` of `policy` has hashed a channel's names.

    The names are gone by then, so it holds the rules that were found not to fit,
    and the one that did.
    """
    judged = [one for one in policy.rules if not one.is_about_key]
    upto = judged[: judged.index(rule) + 1]
    return MARK_HASH + ".".join(f"{crc32(one.canonical.encode()):08x}" for one in upto)


def is_still_hashed(policy: PrivacyPolicy, mark: str) -> bool:
    """Return whether today's policy would pass what was hashed and marked.

    A rule that is new and stands before the one that hashes may be about it:
    nobody can tell, so the answer is no.
    """
    *unfit, fit = mark[len(MARK_HASH) :].split(".")
    for rule in policy.rules if policy.is_enabled else ():
        if rule.is_about_key:
            continue
        name = f"{crc32(rule.canonical.encode()):08x}"
        if name == fit:
            return True
        if name not in unfit:
            return False
    return policy.default == "allow" or not policy.is_enabled


def load_key(path: Path) -> bytes:
    """Return the secret in the file at `path`, which is made if there is none.

    Only its owner may read it. Raises StartError.
    """
    try:
        if path.exists():
            return read_key(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, os.urandom(KEY_SIZE).hex().encode() + b"\n", 0o600)
    except OSError as error:
        raise StartError(f"privacy.hash_key_file: {path} can't be made: {error}") from error
    return read_key(path)


def read_key(path: Path) -> bytes:
    """Return the secret in the file at `path`. Raises StartError if there is none."""
    try:
        with reading_plain(path) as file:
            key = file.read(KEY_FILE_SIZE_MAX).strip()
            mode = os.fstat(file.fileno()).st_mode
    except FileNotFoundError:
        remedy = "the agent makes it when it starts; or name another"
        raise StartError(f"privacy.hash_key_file: {path} is not there; {remedy}") from None
    except OSError as error:
        raise StartError(f"privacy.hash_key_file: {path} can't be read: {error}") from error
    if mode & 0o077:
        logger.warning("privacy.hash_key_file: %s can be read by others; chmod 600 it", path)
    if len(key) < KEY_SIZE:
        raise StartError(
            f"privacy.hash_key_file: {path} holds less than {KEY_SIZE} bytes;"
            " put it back from a backup, or remove it for new pseudonyms"
        )
    return key
