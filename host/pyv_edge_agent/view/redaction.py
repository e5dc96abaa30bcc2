"""What may leave this machine of texts that were made for somebody at it.

Secrets are taken out, in whatever form they may stand there, and the names that the policy
keeps from sinks: of one that it hashes its pseudonym remains, of another `withheld-1`.
"""

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlsplit

SECRET = "(secret)"  # noqa: S105 - what stands in the place of one
_SHORT = 4  # characters: what is shorter is taken out only where it stands by itself


class Redaction:
    """Takes secrets and names out of texts, and of what JSON has."""

    def __init__(
        self,
        secrets: Iterable[str],
        names: Mapping[str, str],
        known: Iterable[str] = (),
        *,
        is_whole: bool = False,
    ) -> None:
        """Take out `secrets`, and put in the place of each of `names` what it is there for.

        What is `known` stays, also if there is one of them in it. If it `is_whole`, a name is
        one only where it stands by itself, and no part of another word.
        """
        self._instead = {
            form: instead
            for name, instead in names.items()
            for form in _quoted(name) | {quote(name), quote(name, safe="")}
        }
        self._instead.update(
            {
                quoted: SECRET
                for secret in secrets
                if secret
                for form in _forms(secret)
                for quoted in _quoted(form)
            }
        )
        is_needed = bool(self._instead)
        hidden = list(self._instead)
        self._instead.update(
            (one, one)
            for one in known
            if one not in self._instead and any(form in one for form in hidden)
        )
        words = sorted(self._instead, key=len, reverse=True)
        self._words = (
            re.compile("|".join(_alternative(one, is_whole) for one in words))
            if is_needed
            else None
        )

    def text(self, text: str) -> str:
        """Return what may be known of a text."""
        if self._words is None:
            return text
        return self._words.sub(lambda found: self._instead[found[0]], text)

    def tree(self, value: Any) -> Any:
        """Return what may be known of what JSON has, keys too."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(str(key)): self.tree(inner) for key, inner in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.tree(inner) for inner in value]
        return value


def _alternative(word: str, is_whole: bool) -> str:
    if len(word) >= _SHORT and not is_whole:
        return re.escape(word)
    return rf"(?<!\w){re.escape(word)}(?!\w)"


def _quoted(text: str) -> set[str]:
    """Return a text as it is, and as it stands in JSON, and in JSON that is a text of JSON."""
    found = {text}
    for _ in range(2):
        found |= {
            json.dumps(one, ensure_ascii=is_ascii)[1:-1]
            for one in found
            for is_ascii in (True, False)
        }
    return found


def _forms(secret: str) -> Iterator[str]:
    """Yield a secret as it is, and as what carries it may write it."""
    data = secret.encode(errors="surrogatepass")
    yield secret
    yield quote(secret, safe="")
    yield data.hex()
    yield data.hex().upper()
    for characters in (b"+/", b"-_"):
        yield b64encode(data, characters).decode().rstrip("=")


def secret_parts(value: Any, *, is_url: bool) -> set[str]:
    """Return what must not be shown of a setting's value: of a URL, what it has beside the place.

    Of a table, all its values.
    """
    if isinstance(value, dict):
        return {str(one) for one in value.values()}
    if not is_url:
        return {str(value)}
    parts: set[str] = set()
    for text in str(value).split(","):
        try:
            url = urlsplit(text.strip())
        except ValueError:
            parts.add(text.strip())
            continue
        user = url.netloc.rpartition("@")[0]
        parts |= {user, *user.split(":", 1), url.query, url.fragment}
        parts |= {pair.rpartition("=")[2] for pair in url.query.split("&")}
    return parts - {""}
