"""Queued items as a sink is sent them: what the policy lets go of each, under one key."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .egress import Egress


@dataclass(frozen=True)
class ItemBatch:
    """Items that are sent together."""

    key: str  # stands for exactly these items, also if a restart gathers others
    ids: list[int]  # of all, also of what is withheld
    payloads: list[dict[str, Any]]  # of those that the policy lets go

    @property
    def withheld(self) -> int:
        """How many the policy keeps back."""
        return len(self.ids) - len(self.payloads)


def item_batch(
    items: Sequence[dict[str, Any]], sink: str, store_id: str, egress: Egress
) -> ItemBatch:
    """Return the batch of these rows of a queue for the sink of that name."""
    # With its time: a store that was restored from a copy uses ids again.
    identities = [f"{store_id}-{item['id']}-{item['created_at']:.3f}" for item in items]
    found = [
        _payload(item, identity, egress) for item, identity in zip(items, identities, strict=True)
    ]
    digest = hashlib.sha256(repr(identities).encode()).hexdigest()[:16]
    return ItemBatch(
        f"pyv-{store_id}-{sink}-items-{digest}",
        [item["id"] for item in items],
        [payload for payload in found if payload is not None],
    )


def _payload(item: dict[str, Any], identity: str, egress: Egress) -> dict[str, Any] | None:
    """Return what the sink gets of an item, None if the policy keeps it back."""
    payload = egress.item(dict(item["payload"]))
    if payload is None:
        return None
    given = payload.get("metadata")
    if given is not None and not isinstance(given, dict):
        given = {"metadata": given}  # a caller's own idea of metadata
    payload["metadata"] = {**(given or {}), "item_id": identity}
    return payload
