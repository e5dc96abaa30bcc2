"""The privacy policy and the pseudonyms that it gives, for operations.py."""

from pyv_edge_core.errors import TableError
from pyv_edge_core.hmac import hmac_sha256, pseudonym
from pyv_edge_core.privacy import PrivacyPolicy
from rule_operations import places
from script import Subject, nothing

HMAC = Subject(
    "hmac",
    lambda: None,
    nothing,
    {
        "hmac_sha256": lambda _, key, message: hmac_sha256(
            bytes.fromhex(key), bytes.fromhex(message)
        ),
        "pseudonym": lambda _, key, text: pseudonym(bytes.fromhex(key), text),
    },
    (),
)


class _Reading:
    def __init__(self, sensor_name, timestamp, value, unit, metadata):
        self.sensor_name = sensor_name
        self.timestamp = timestamp
        self.value = value
        self.unit = unit
        self.metadata = metadata


def _pairs(value):
    """Return dicts as lists of pairs: they have no order on MicroPython."""
    if isinstance(value, dict):
        return [(key, _pairs(value[key])) for key in sorted(value)]
    return [_pairs(part) for part in value] if isinstance(value, list) else value


def _shown(reading):
    if reading is None:
        return None
    return reading.sensor_name, reading.timestamp, reading.value, _pairs(reading.metadata)


class _Policy:
    """A policy, or where its tables are wrong."""

    def __init__(self, rules, default, is_enabled, key, fields):
        self.faults = []
        try:
            self.policy = PrivacyPolicy(rules, default, is_enabled, bytes.fromhex(key), fields)
        except TableError as error:
            self.policy = None
            self.faults = places(error.faults)


def _on_policy(function):
    """Return an operation on the policy; there is nothing to do if it could not be made."""

    def operation(state, *arguments):
        return None if state.policy is None else function(state.policy, *arguments)

    return operation


def _gate(policy, device, channel, exponent, values):
    gate = policy.gate(device, channel, device + "." + channel, exponent)
    shown = [gate.value(value) for value in values]
    return gate.action, gate.is_open, gate.is_hidden, gate.is_local, gate.is_plain, shown


PRIVACY = Subject(
    "privacy",
    _Policy,
    lambda state: state.faults,
    {
        "fingerprint": _on_policy(lambda policy: policy.fingerprint),
        "gate": _on_policy(_gate),
        "evaluate": _on_policy(lambda policy, *fields: _shown(policy.evaluate(_Reading(*fields)))),
        "release": _on_policy(lambda policy, *fields: _shown(policy.release(_Reading(*fields)))),
        "explain": _on_policy(lambda policy, *fields: policy.explain(_Reading(*fields))),
    },
    (),
)
