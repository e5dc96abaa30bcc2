"""Whatever the names, the policy and the secrets are: none that must stay here is in a bundle."""

import json
import tempfile
from pathlib import Path

from host.bundle_rig import VALUE, fill, forms, members, report
from host.doctor_rig import config_file
from hypothesis import HealthCheck, event, example, given
from hypothesis import strategies as st
from profiles import examples
from pyv_edge_agent.config import Config
from pyv_edge_agent.policy import read_policy

_SETTINGS = examples(40, suppress_health_check=[HealthCheck.too_slow])

# Nothing that we write ourselves has these in it.
_ODD = "zqxj" + "\u00e9\u4e2d '\"\\+/=&%#-_"
words = st.text(st.sampled_from("zqxj" + _ODD), min_size=6, max_size=14).filter(
    lambda word: word == word.strip() and word.isprintable()
)
secrets = st.text(st.sampled_from("ZQXJ7\u00e9'\"\\+/=-_ "), min_size=16, max_size=24).filter(
    lambda word: word == word.strip()
)
headers = st.text(st.sampled_from("ZQXJ7'+/=-_"), min_size=16, max_size=24)
actions = st.sampled_from(["allow", "drop", "local_only", "aggregate_only", "hash", "mask"])


@st.composite
def machines(draw):
    """Devices with their channels, and a rule for some of them; every name only once."""
    names = draw(st.lists(words, min_size=9, max_size=9, unique_by=str.lower))
    devices = [(names[i], names[i + 1], [names[i + 2]]) for i in (0, 3, 6)]
    rules = []
    for _, alias, (channel,) in devices:
        action = draw(actions)
        form = draw(st.sampled_from(["pattern", "device", "channel", "both"]))
        rule = {"action": action, "name": f"about {alias} {channel}"}
        if form == "pattern":
            rule["pattern"] = f"{alias}.{channel}"
        if form in ("device", "both"):
            rule["device"] = alias
        if form in ("channel", "both"):
            rule["channel"] = channel
        rules.append(rule)
    return devices, rules


@_SETTINGS
@example(  # a name that JSON writes with a backslash
    (
        [
            ("qx_z", "zxjq'/z", ["q%zx_x+"]),
            ("jqxx", "zz\\x%xjj", ["&-%"]),
            ("z", "\u4e2dq-x", ["xj"]),
        ],
        [{"action": "drop", "name": "a", "channel": one} for one in ("&-%", "xj")],
    ),
    ["Z" * 16, 'ZQ\u00e9"X' * 4, "X" * 16, "Q" * 16],
    ["Z7" * 8, "ZQ" * 8, "X7" * 8, "J7" * 8],
)
@given(
    machines(),
    st.lists(secrets, min_size=4, max_size=4),
    st.lists(headers, min_size=4, max_size=4),
)
def test_nothing_that_must_stay_here_is_in_a_bundle(machine, own, plain):
    devices, rules = machine
    privacy = {"rules": rules, "hash_key": own[0]}
    url_password = "".join(one for one in plain[0] if one.isalnum()) + "7ZQXJ7"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = config_file(
            folder,
            sensors={
                "devices": [
                    *(
                        {"name": alias, "ingest_type": "serial", "port": f"/dev/no{number}"}
                        for number, (_, alias, _) in enumerate(devices)
                    ),
                    {
                        "name": "weather",
                        "ingest_type": "http_poll",
                        "url": f"https://u:{url_password}@weather.example/now?key={url_password}",
                        "headers": {"X-Key": plain[1]},
                    },
                ]
            },
            privacy=privacy,
            rules=[
                {
                    "name": f"{alias} {channel}",
                    "sensor": f"{alias}.{channel}",
                    "above": 1,
                    "message": f"{channel} of {alias}",
                }
                for _, alias, (channel,) in devices
            ],
            policies={"channels": [{"match": f"{alias}.*"} for _, alias, _ in devices]},
            cloud={"enabled": True, "endpoint": "https://cloud.example", "api_key": "${KEY}"},
            sinks={"mqtt": {"enabled": True, "password": own[1], "username": "u"}},
        )
        environment = {"KEY": plain[2], "OTHER": plain[3]}
        config = Config.from_file(path, environment)
        fill(config.store_path, devices)
        kept = [own[0], own[1], plain[1], plain[2], url_password]
        status, findings = report(devices, [f"<{form}>" for one in kept for form in forms(one)])
        found = members(path, status, findings, environment=environment)
    whole = "".join(found.values())

    policy = read_policy(config.get("privacy"))
    hidden, known = [], []
    for device, alias, (channel,) in devices:
        action = policy.action(policy.decide(alias, channel, f"{alias}.{channel}"))
        event(action)
        names = [device, alias, channel]
        (known if action in ("allow", "mask") else hidden).extend(names)
    for secret in [*kept, plain[3]]:
        for form in forms(secret):
            assert form not in whole, "a secret"
    for one in hidden:
        # Part of a name that may be known, it may be there.
        if not any(one in other for other in known):
            assert one not in whole and json.dumps(one)[1:-1] not in whole, "a name"
    for one in known:
        if not any(other in one for other in hidden):
            assert json.dumps(one)[1:-1] in whole, "a name that may be known"
    assert str(abs(VALUE)) not in whole
