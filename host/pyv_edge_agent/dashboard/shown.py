"""Which names may be told of what an agent says of itself, and what stands for the others.

The names of devices and channels are in many texts: of links, of problems, of labels. So they are
taken out of all of them, as the policy in force has it; not of what is a word of the report's own.
"""

from typing import TYPE_CHECKING, Any

from pyv_edge_core.privacy import PrivacyPolicy

from ..config import Config
from ..errors import StoreError

if TYPE_CHECKING:
    from ..agent import EdgeAgent
    from ..store.channel import StoredChannel
    from ..view.redaction import Redaction


WITHHELD = "withheld"
# Keys whose values are words of ours, and keys whose tables have a key for each name.
OWN_WORDS = {"status", "state", "ingest_type", "type", "quality", "time_quality", "stream"}
OWN_WORDS |= {"severity", "cause", "policy_hash", "boot", "reset_cause", "config_hash", "time"}
BY_NAME = {"components", "workers"}
_Facts = tuple[str, int, tuple[str, ...]]  # generation of the store, its channels, boards
_OF_DEVICES = ("device/", "edge-adapter-", "edge-link-")  # behind which the name of one stands


class Shown:
    """Takes names out, for one agent. Any thread may ask."""

    def __init__(self, agent: "EdgeAgent", *, is_local: bool) -> None:
        """Tell somebody at this machine, or beyond it."""
        self._agent = agent
        self._is_local = is_local
        # With what it was made of: replaced as a whole
        self._made: tuple[PrivacyPolicy, Config, _Facts, Redaction] | None = None

    def tree(self, value: Any) -> Any:
        """Return what may be known of what JSON has."""
        redaction = self._redaction()
        return value if redaction is None else _tree(redaction, value)

    def text(self, text: str) -> str:
        """Return what may be known of a text."""
        redaction = self._redaction()
        return text if redaction is None else redaction.text(text)

    def _redaction(self) -> "Redaction | None":
        """Return what takes the names out, None if there can't be any."""
        agent, made = self._agent, self._made
        policy, config = agent.privacy, agent._config
        if self._is_local and (not policy.is_enabled or hides_nothing(policy)):
            return None
        from ..store.channel import channels, last_channel_id
        from ..store.extract import devices

        boards = tuple(link.dialogue.board for link in agent.links)
        is_same = made is not None and (made[0] is policy and made[1] is config)
        stored: list[StoredChannel] = []
        known: list[tuple[str, str]] = []
        try:
            facts = (agent.store.generation, last_channel_id(agent.store), boards)
            if made is not None and is_same and made[2] == facts:
                return made[3]
            stored, known = channels(agent.store), devices(agent.store)
        except StoreError:  # what it has is not known now, and may have been before
            if made is not None and is_same:
                return made[3]
            facts = ("", -1, boards)
        redaction = self._make(policy, config, stored, known)
        self._made = (policy, config, facts, redaction)
        return redaction

    def _make(
        self,
        policy: PrivacyPolicy,
        config: Config,
        stored: "list[StoredChannel]",
        known: list[tuple[str, str]],
    ) -> "Redaction":
        from ..view.redaction import Redaction
        from ..view.withheld import WithheldNames

        names = WithheldNames(policy, has_key=True, is_leaving=not self._is_local)
        names.add_stored(stored)
        for table in config.get("sensors", "devices"):
            names.add_device(table)
        for device, alias in known:
            names.add_board(device, alias)
        for link in self._agent.links:
            names.add_board(link.dialogue.board, link.name)
        names.add_rules(config.get("privacy"))
        hidden = names.replacements()
        for table in config.get("sensors", "devices"):
            port = table.get("port")
            if isinstance(port, str) and port and names.is_hidden(table["name"]):
                hidden[port] = WITHHELD  # it may hold a serial number
        return Redaction((), hidden, names.known, is_whole=True)


def _named(redaction: "Redaction", name: str) -> str:
    """Return the name of a part or a worker without that of a device which is hidden."""
    for prefix in (*_OF_DEVICES, *(f"worker/{one}" for one in _OF_DEVICES)):
        if name.startswith(prefix):
            return prefix + redaction.text(name.removeprefix(prefix))
    return name


def _tree(redaction: "Redaction", value: Any, key: str = "") -> Any:
    """Return what may be known of what stands at a key of JSON."""
    if isinstance(value, str):
        return value if key in OWN_WORDS else redaction.text(value)
    if isinstance(value, dict):
        is_by_name = key in BY_NAME
        return {
            _named(redaction, name) if is_by_name else name: _tree(redaction, inner, name)
            for name, inner in value.items()
        }
    if isinstance(value, list):
        return [_tree(redaction, inner, key) for inner in value]
    return value


def hides_nothing(policy: PrivacyPolicy) -> bool:
    """Return whether a policy lets everything be known."""
    return not policy.rules and policy.default == "allow"
