"""Writes the tables of settings, and what wrong files say, into CONFIGURATION.md: `make docs`."""

import sys
from pathlib import Path

from generated import put_in
from pyv_edge_agent import settings
from pyv_edge_agent.settings.setting import secret_files, sentence, shown_number
from pyv_edge_agent.settings.table import CHANNEL, PRIVACY_LISTS, PRIVACY_RULE, RULE

TESTS = Path(__file__).resolve().parent
DOCUMENT = TESTS.parent / "CONFIGURATION.md"
HEAD = "| key | what may stand there | default | |\n|---|---|---|---|"

_KINDS = {bool: "true or false", int: "whole number", float: "number", str: "text"}
_KINDS[dict] = "table of texts"


def _code(text):
    return f"`{text}`"


def _row(*cells):
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


def _allowed(key, setting):
    if setting.choices:
        return ", ".join(map(_code, setting.choices))
    if setting.is_free:
        return "table of anything"
    if setting.is_secret:
        return "secret text"
    if setting.is_url:
        return "URLs" if key.endswith("s") else "URL"
    kind = "path of a file" if setting.is_file else _KINDS[setting.kind]
    extent = setting.extent(key)
    return f"{kind}, {extent}" if extent else kind


def _default(value):
    if value is settings.MISSING:
        return "must be given"
    if isinstance(value, bool):
        return _code(str(value).lower())
    if isinstance(value, (int, float)):
        return _code(shown_number(value))
    return _code(value) if value else ""


def table_of(keys):
    """Return a table of settings as Markdown."""
    files = {key: name for name, key in secret_files(keys).items()}
    lines = [HEAD]
    for key, setting in keys.items():
        names = _code(key) + (f" or {_code(files[key])}" if key in files else "")
        cells = (names, _allowed(key, setting), _default(setting.default))
        lines.append(_row(*cells, sentence(setting.doc)))
    return "\n".join(lines)


def core_table_of(keys):
    """Return a table of keys that the core checks."""
    lines = [HEAD]
    for name, key in keys.items():
        allowed = ", ".join(map(_code, key.choices)) if key.choices else key.kind
        if key.choices and key.kind.startswith("list"):
            allowed = f"list of {allowed}"
        lines.append(_row(_code(name), allowed, key.default or "must be given", sentence(key.doc)))
    return "\n".join(lines)


def sections():
    parts = []
    for name, keys in settings.SECTIONS.items():
        parts += [f"### `[{name}]`", settings.SECTION_DOCS[name], table_of(keys)]
        if name == "sensors":
            parts += ["### `[[sensors.devices]]`", "Every device has:", table_of(settings.DEVICE)]
            for kind, more in settings.DEVICES.items():
                doc = settings.DEVICE_DOCS[kind]
                parts += [f'#### `ingest_type = "{kind}"`', doc, table_of(more)]
            text = "What an installed package brings. See [ADAPTERS.md](ADAPTERS.md)."
            parts += ["#### any other `ingest_type`", text, table_of(settings.THIRD_PARTY)]
        elif name == "policies":
            text = "What holds for some channels; what a row leaves out is as the section says."
            parts += ["### `[[policies.channels]]`", text, core_table_of(CHANNEL)]
        elif name == "privacy":
            parts += ["and lists of patterns:", core_table_of(PRIVACY_LISTS)]
            text = (
                "An ordered list: the first rule that fits decides. See [PRIVACY.md](PRIVACY.md)."
            )
            parts += ["### `[[privacy.rules]]`", text, core_table_of(PRIVACY_RULE)]
    text = "When a reading becomes an event. See [RULES.md](RULES.md)."
    parts += ["### `[[rules]]`", text, core_table_of(RULE)]
    for kind, keys in settings.SINKS.items():
        parts += [f"### `[sinks.{kind}]`", settings.SINK_DOCS[kind], table_of(keys)]
    return "\n" + "\n\n".join(parts) + "\n\n"


def wrong_files():
    """Return ten wrong files beside the lines that they give."""
    sys.path[:0] = [str(TESTS)]
    from host.wrong_configs import WRONG, lines_of

    rows = ["| the file | what is said |", "|---|---|"]
    for name, text in WRONG:
        shown = "<br>".join(_code(line) if line else "" for line in text.rstrip().split("\n"))
        said = "<br>".join(map(_code, lines_of(name, text)))
        rows.append(_row(shown, said))
    return "\n" + "\n".join(rows) + "\n\n"


def generate(document):
    """Return the text of `document` with everything as the code has it now."""
    document = put_in(document, "settings", sections())
    return put_in(document, "wrong files", wrong_files())


if __name__ == "__main__":
    DOCUMENT.write_text(generate(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
