"""Which names may be told of what an agent says of itself, and what stands for the others.

The names of devices, channels and sinks are in many texts: of links, of problems, of labels. So
they are taken out of all of it, as the policy in force has it.
"""

from typing import TYPE_CHECKING, Any

from pyv_edge_core.privacy import PrivacyPolicy

from ..config import Config
from ..errors import StoreError

if TYPE_CHECKING:
    from ..agent import EdgeAgent
    from ..store.extract import StoredChannel
    from ..view.redaction import Redaction


class Shown:
    """Takes names out, for one agent. Any thread may ask."""

    def __init__(self, agent: "EdgeAgent", *, is_local: bool) -> None:
        """Tell somebody at this machine, or beyond it."""
        self._agent = agent
        self._is_local = is_local
        # With what it was made of: replaced as a whole
        self._made: tuple[PrivacyPolicy, Config, int, tuple[str, ...], Redaction] | None = None

    def tree(self, value: Any) -> Any:
        """Return what may be known of what JSON has."""
        redaction = self._redaction()
        return value if redaction is None else redaction.tree(value)

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
        from ..store.extract import channels, devices, last_channel_id

        boards = tuple(link.dialogue.board for link in agent.links)
        is_same = made is not None and (made[0] is policy and made[1] is config)
        stored: list[StoredChannel] = []
        known: list[tuple[str, str]] = []
        try:
            channel_id = last_channel_id(agent.store)
            if made is not None and is_same and made[2:4] == (channel_id, boards):
                return made[4]
            stored, known = channels(agent.store), devices(agent.store)
        except StoreError:  # what it has is not known now, and may have been before
            if made is not None and is_same:
                return made[4]
            channel_id = -1
        redaction = self._make(policy, config, stored, known)
        self._made = (policy, config, channel_id, boards, redaction)
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
        return Redaction((), names.replacements())


def hides_nothing(policy: PrivacyPolicy) -> bool:
    """Return whether a policy lets everything be known."""
    return not policy.rules and policy.default == "allow"
