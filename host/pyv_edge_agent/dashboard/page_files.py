"""The files of the page: read once, and sent as long as the browser does not have them."""

import hashlib
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent / "page"
INDEX = "index.html"
KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
# Nothing but the agent's own files, and nobody may put the page into theirs.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class PageFile(NamedTuple):
    """One file as it is sent."""

    content: bytes
    headers: tuple[tuple[str, str], ...]
    tag: str


def read_page(folder: Path = FOLDER) -> dict[str, PageFile]:
    """Return the files of the page by the path at which they are served. Raises OSError."""
    found: dict[str, PageFile] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix in KINDS:
            found[f"/{path.name}"] = _file(path.read_bytes(), KINDS[path.suffix])
    found["/"] = found[f"/{INDEX}"]
    return found


def _file(content: bytes, kind: str) -> PageFile:
    tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    headers = (
        ("Content-Type", kind),
        ("Cache-Control", "no-cache"),  # with the tag: it is asked for, and seldom sent
        ("ETag", tag),
        ("Content-Security-Policy", POLICY),
        ("Referrer-Policy", "no-referrer"),
        ("X-Frame-Options", "DENY"),
    )
    return PageFile(content, headers, tag)
