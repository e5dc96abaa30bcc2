"""Ten wrong files, as people write them. CONFIGURATION.md shows them beside what they give."""

import tempfile
from pathlib import Path

from pyv_edge_agent.config import Config
from pyv_edge_agent.errors import ConfigError

# the file's name, its text
WRONG = (
    (
        "typo.toml",
        '[cloud]\nenabled = true\nendpiont = "https://example.com/in"\n[snesors]\n',
    ),
    (
        "value.toml",
        (
            '[sensors]\npoll_interval_seconds = 0\n[health]\nport = "8080"\n'
            '[logging]\nlevel = "loud"\n'
        ),
    ),
    (
        "syntax.toml",
        "[storage]\nmax_mb = 500\npath = data/edge.db\n",
    ),
    (
        "device.toml",
        (
            '[[sensors.devices]]\nname = "porch"\ningest_type = "seriel"\n\n'
            '[[sensors.devices]]\nname = "porch"\ningest_type = "serial"\n'
        ),
    ),
    (
        "ports.toml",
        (
            '[[sensors.devices]]\nname = "porch"\ningest_type = "serial"\nport = "usb:2e8a:5"\n'
            '[[sensors.devices]]\nname = "cellar"\ningest_type = "serial"\n'
            'port = "usb:2E8A:0005"\n'
        ),
    ),
    (
        "rule.toml",
        (
            '[[rules]]\nname = "too hot"\nabove = 30\nbelow = 5\nserverity = "critical"\n'
            '[[rules]]\nname = "too cold"\nbelow = 2\nclear = 1\nfor = "5 minutes"\n'
        ),
    ),
    (
        "privacy.toml",
        (
            '[[privacy.rules]]\npattern = "[a-z]*"\naction = "drop"\n'
            '[[privacy.rules]]\npattern = "*.co2"\naction = "quantize"\n'
        ),
    ),
    (
        "secret.toml",
        (
            '[cloud]\nenabled = true\nendpoint = "https://example.com/in"\n'
            'api_key = "${EDGE_KEY}"\nhmac_key_file = "hmac.key"\n'
        ),
    ),
    (
        "room.toml",
        (
            "[storage]\nmax_mb = 100\nkeep_mb = 200\nhigh_water = 0.8\n"
            '[policies]\non_full_bulk = "drop_newest"\n'
            '[[policies.channels]]\nclass = "bluk"\n'
        ),
    ),
    (
        "sinks.json",
        (
            '{"sinks": {\n  "mqtt": {"enabled": true,\n    "topic_prefix": "site/#",\n'
            '    "password": "hunter2"},\n  "influx": {"enabled": true}\n}}\n'
        ),
    ),
)


def lines_of(name, text):
    """Return the lines that a file is refused with, in an environment without variables."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_text(text)
        try:
            Config.from_file(path, {})
        except ConfigError as error:
            return [line.replace(f"{folder}/", "") for line in error.problems]
    raise AssertionError(f"{name} is not wrong")
