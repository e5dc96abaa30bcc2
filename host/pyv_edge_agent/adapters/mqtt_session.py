"""The session at a broker: which filters it has by now, or may have.

A broker keeps them while the agent is away, also when the device is configured for another
topic by then; and one that overlaps with the new one would bring each message twice. So the
store knows of a filter before the broker is asked for it, and until the broker has said that
it is gone.
"""

import json
from typing import Any, NamedTuple

from ..bell import Bell
from ..submission import Feed, Submission, Verdict


class Filters(NamedTuple):
    """What a session has."""

    topics: tuple[str, ...] = ()  # that the broker has granted
    asked: tuple[str, ...] = ()  # that it was asked for: it may have these, too

    def to_json(self) -> str:
        """Return it as a submission's position."""
        return json.dumps({"topics": self.topics, "asked": self.asked})


def read_filters(position: str) -> Filters:
    """Return what was stored of a session; none if it was another adapter's."""
    try:
        found = json.loads(position or "{}")
        return Filters(_texts(found.get("topics", ())), _texts(found.get("asked", ())))
    except (ValueError, AttributeError, TypeError):
        return Filters()


def _texts(found: Any) -> tuple[str, ...]:
    return tuple(one for one in found if isinstance(one, str))


class Session:
    """What of a session is in the store. For one thread, but for what is settled."""

    def __init__(self, broker: str, client_id: str, topic: str, bell: Bell) -> None:
        """Know nothing of it; `bell` rings when something of it is stored."""
        self.source = f"mqtt {broker} {client_id}"  # see Feed.read_from
        self.outdated: list[str] = []  # what it may have besides `topic`
        self._topic = topic
        self._bell = bell
        self._is_kept = False
        self._known = ""  # position that what is noted follows
        self._wanted = ""  # position that is to be stored
        self._is_brought = False  # a position is on its way into the store
        self._is_ours = False  # what is stored was noted here
        self._is_outrun = False  # something else was stored since it was looked at

    def begin(self, feed: Feed, *, is_kept: bool) -> bool:
        """Begin with a connection; return whether the broker has forgotten what it had granted."""
        self._is_kept, self._is_outrun = is_kept, self._is_brought
        self._known = feed.position()
        known = read_filters(self._known)
        topics, asked = known if is_kept else Filters()
        self.outdated = [one for one in dict.fromkeys(topics + asked) if one != self._topic]
        if self._topic not in topics + asked:
            asked += (self._topic,)
        self._wanted = Filters(topics, asked).to_json()
        return not is_kept and bool(known.topics)

    def grant(self) -> None:
        """Note that the broker has the topic, and nothing else any more."""
        self._wanted = Filters((self._topic,)).to_json()

    def is_noted(self, feed: Feed) -> bool:
        """Return whether the store has what was noted; else bring it there."""
        if self._is_brought:
            return False
        if self._is_outrun:
            self.begin(feed, is_kept=self._is_kept)
        # What an earlier configuration has noted may be on its way: it is before ours.
        if self._is_ours and self._known == self._wanted:
            return True
        position = self._wanted
        note = Submission(
            [],
            is_urgent=True,
            position=position,
            after=self._known,
            settle=lambda verdict, reason: self._settle(verdict, position),
        )
        self._is_brought = True  # first: it may be settled before `put` returns
        self._is_brought = feed.put(note) and self._is_brought
        return False

    def _settle(self, verdict: Verdict, position: str) -> None:
        if verdict is Verdict.STORED:
            self._known, self._is_ours = position, True
        else:
            self._is_outrun = True
        self._is_brought = False
        self._bell.ring()
