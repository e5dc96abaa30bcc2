"""Where a value in force comes from."""

from typing import NamedTuple

DEFAULT, FILE, ENVIRONMENT = "default", "file", "environment variable"
SECRET_FILE, CREDENTIAL = "secret file", "credential"
SETTING = "setting"  # another one, whose value it takes over


class Origin(NamedTuple):
    """Where one value comes from. As a text: `environment variable EDGE_KEY, line 7`."""

    kind: str  # one of the above
    name: str = ""  # of the variables, the secret file or the credential
    line: int | None = None  # of the config file

    def __str__(self) -> str:
        kind = "" if self.kind == FILE and self.line is not None else self.kind
        line = "" if self.line is None else f"line {self.line}"
        return ", ".join(part for part in (f"{kind} {self.name}".strip(), line) if part)
