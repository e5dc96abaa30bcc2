"""What a privacy policy makes of sensors, in words: which rule decides, what becomes of it where.

Names rules, actions and keys; never a value.
"""

import json
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyv_edge_core.privacy import PrivacyPolicy
from pyv_edge_core.privacy_rule import PrivacyRule

from ..channel_policy import SYNC_EVENTS, SYNC_RAW, SYNCS, ChannelPolicies
from ..config import Config
from ..egress import JudgedChannel, Names
from ..errors import StartError
from ..policy import find_policy, read_board_policy, read_policy
from ..store.channel import StoredChannel, channels
from ..store.reader import StoreReader
from ..types import SensorReading
from ..uploads import enabled_sinks
from .selection import OpenedView

STORED = {
    "allow": "as it is",
    "drop": "nothing",
    "mask": "0 of quality bad in place of each value",
    "redact": "0 of quality bad in place of each value, no metadata but whose it is",
    "hash": "under a pseudonym",
    "quantize": "rounded to multiples of the step",
    "clamp": "limited to the range",
    "local_only": "as it is",
    "aggregate_only": "summaries of a minute and an hour only",
}
SENT = {
    **STORED,
    "mask": "null in place of each value",
    "redact": "null in place of each value, no metadata but whose it is",
    "local_only": "nothing: it never leaves this machine",
    "aggregate_only": "nothing: its summaries stay here, too",
}
NOTHING = "nothing"


@dataclass
class Explainer:
    """One configuration's policy."""

    config: Config
    policy: PrivacyPolicy
    problem: str = ""  # why it can't make pseudonyms

    @classmethod
    def of(cls, config: Config) -> "Explainer":
        """Open the policy; what is decided needs no secret, so there may be none."""
        section = config.get("privacy")
        try:
            return cls(config, find_policy(section, config.hash_key_path))
        except StartError as error:
            return cls(config, read_policy(section), str(error))

    def sensor(self, names: Names, keys: list[str]) -> dict[str, Any]:
        """Return what is to be said of one sensor, and of keys of its metadata."""
        policy = self.policy
        decides = policy.decide(*names)
        judged = [one for one in policy.rules if not one.is_about_key]
        before = judged if decides is None else judged[: judged.index(decides)]
        action = policy.action(decides)
        return {
            "sensor": names[2],
            "device": names[0],
            "channel": names[1],
            "action": action,
            "rule": self._name(decides),
            "do_not_fit": [one.name for one in before] if policy.is_enabled else [],
            "board": self._board(names),
            "stored": STORED[action],
            "sent": self._sent(names[2], SENT[action]),
            "metadata": self._keys(names, keys),
        }

    def store(self, path: Path) -> list[dict[str, Any]]:
        """Return what is to be said of every channel in the store. Raises StoreError."""
        with closing(OpenedView(StoreReader(path), self.policy, is_local=False)) as view:
            return [self._channel(one, view.judge(one)) for one in channels(view.reader)]

    def _channel(self, channel: StoredChannel, known: JudgedChannel) -> dict[str, Any]:
        decides = self.policy.decide(*known.names)
        action = self.policy.action(decides)
        rule, stored, sent = self._name(decides), STORED[action], SENT[action]
        if known.is_pseudonym:
            action, rule = "hash", "the rule that it was stored under"
            stored = sent = STORED[action]
            if known.is_denied:
                stored = sent = "nothing: a rule that is new may be about it"
        if known.is_local and not sent.startswith(NOTHING):
            sent = "nothing: it was local when it was stored"
        sinks = self._sent(channel.sensor, sent)
        return {
            "sensor": channel.sensor,
            "action": action,
            "rule": rule,
            "stored": stored,
            "sent": sinks,
        }

    def _name(self, rule: PrivacyRule | None) -> str:
        if rule is not None:
            return rule.name
        policy = self.policy
        return f"default = {policy.default}" if policy.is_enabled else "enabled = false"

    def _sent(self, sensor: str, told: str) -> dict[str, str]:
        """Return what each sink that is enabled gets."""
        sync = ChannelPolicies(self.config.get("policies")).of(sensor).sync
        if not told.startswith(NOTHING) and sync != SYNC_RAW | SYNC_EVENTS:
            names = [name for name, bit in SYNCS.items() if sync & bit]
            told += f"; by policies.channels only {', '.join(names) or 'nothing'}"
        return dict.fromkeys(enabled_sinks(self.config), told)

    def _board(self, names: Names) -> str:
        """Return what the board's own policy says, as far as it is known here."""
        devices = self.config.get("sensors", "devices")
        device = next((one for one in devices if one["name"] == names[0]), None)
        if device is None or device["ingest_type"] != "serial":
            return "there is none" if device is not None else "no such device is configured"
        if not device["settings_file"]:
            return "what its device.json says, which is not known here"
        path = self.config.folder / device["settings_file"]
        try:
            settings = json.loads(path.read_bytes())
            policy = read_board_policy(settings)
            name = str(settings.get("device_id") or names[0])
        except (OSError, ValueError, AttributeError, TypeError) as error:
            return f"{path}: can't be read: {error}"
        decides = policy.decide(name, names[1], f"{name}.{names[1]}")
        return f"{policy.action(decides)}: {decides.name if decides else 'default'}"

    def _keys(self, names: Names, keys: list[str]) -> list[dict[str, str]]:
        metadata = {"device": names[0], "channel": names[1], **_nested(keys)}
        explained = self.policy.explain(SensorReading(names[2], 0.0, 0.0, "", metadata))
        return [
            {"key": key, "action": action, "rule": rule}
            for key, action, rule in explained.keys
            if key in keys
        ]


def _nested(keys: list[str]) -> dict[str, Any]:
    """Return metadata that have `keys`, which are nested where they have dots."""
    metadata: dict[str, Any] = {}
    for key in keys:
        place = metadata
        *above, last = key.split(".")
        for part in above:
            if not isinstance(place.get(part), dict):
                place[part] = {}
            place = place[part]
        place.setdefault(last, "")
    return metadata
