"""The guard: who may ask, and from which page.

On loopback whoever is at this machine may, but no page of somebody else's: neither by its
origin, nor by a name that its DNS has pointed here (DNS rebinding). Beyond loopback only who
has the token.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..http_exchange import RefusalError, bears
from ..loopback import is_address

METHODS = "GET, HEAD, OPTIONS"
SINGLE_HEADERS = ("Authorization", "Content-Length", "Host", "Origin", "Transfer-Encoding")
_PREFLIGHT = (
    ("Access-Control-Allow-Methods", METHODS),
    ("Access-Control-Allow-Headers", "Authorization, Content-Type"),
    ("Access-Control-Max-Age", "600"),
)

Headers = Mapping[str, str]


@dataclass(frozen=True)
class Guard:
    """Judges requests by their headers."""

    token: str = ""  # "": none is needed
    origins: frozenset[str] = frozenset()  # whose pages may read what is answered
    is_local: bool = True  # whether only this machine reaches us

    def check(self, headers: Headers) -> None:
        """Raise RefusalError for a request that is not to be answered."""
        if self.token:
            self._check_token(headers.get("Authorization", ""))
        else:
            _check_host(headers.get("Host", ""))
            self._check_site(headers)

    def _check_token(self, given: str) -> None:
        if not bears(given, self.token):
            problem = "Authorization: Bearer TOKEN is missing, or wrong"
            raise RefusalError(401, problem, headers={"WWW-Authenticate": "Bearer"})

    def _check_site(self, headers: Headers) -> None:
        """Raise RefusalError for what a page of somebody else's has a browser ask."""
        is_foreign = headers.get("Sec-Fetch-Site", "") in ("cross-site", "same-site")
        if is_foreign and headers.get("Origin", "") not in self.origins:
            raise RefusalError(403, "a page of another origin asks; see health.cors_origins")

    def cors(self, headers: Headers) -> list[tuple[str, str]]:
        """Return what lets a page of another origin read the answer, if it may."""
        if not self.origins:
            return []
        origin = headers.get("Origin", "")
        allowed = [("Access-Control-Allow-Origin", origin)] if origin in self.origins else []
        return [("Vary", "Origin"), *allowed]

    def preflight(self, headers: Headers) -> list[tuple[str, str]]:
        """Return what a browser is told that asks whether it may ask."""
        return [*self.cors(headers), *_PREFLIGHT]


def check_headers(defects: Iterable[object], all_of: Mapping[str, list[str]]) -> None:
    """Raise RefusalError for headers that could be understood in more than one way.

    `all_of` has every value of SINGLE_HEADERS.
    """
    if list(defects):
        raise RefusalError(400, "the headers are not as HTTP has them")
    for name, values in all_of.items():
        if len(values) > 1:
            raise RefusalError(400, f"{name} stands twice")


def _check_host(host: str) -> None:
    """Raise RefusalError for a name that others give out: it may be theirs by now."""
    name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
    name = name.strip("[]").lower()
    if name not in ("", "localhost") and not is_address(name):
        problem = "Host: is a name; ask by address or as localhost, or set health.token"
        raise RefusalError(403, problem)
