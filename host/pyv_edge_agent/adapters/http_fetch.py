"""Asks one URL, within limits: of time for all of it, of size, of redirects.

`requests` is imported with the first request. A time-out of its own is for each read, and
a server that sends a byte now and then could hold it for ever; so the connection is cut
when the time for the whole is over, or when there is nobody any more who waits.
"""

import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

from ..clock import Clock
from ..sinks.http_reply import read_reply, retry_after_s, shown_url
from ..sinks.no_reply import why_no_reply

USER_AGENT = "Pyvorin-Edge/1.0"
NOT_MODIFIED = 304
REDIRECTS = (301, 302, 303, 307, 308)
VALIDATORS = {"ETag": "If-None-Match", "Last-Modified": "If-Modified-Since"}
VALIDATOR_SIZE_MAX = 1024  # characters; a longer one isn't kept


class FetchError(Exception):
    """There is no reply that is one; the text repeats no secret."""

    def __init__(self, problem: str, wait_s: float = 0.0) -> None:
        super().__init__(problem)
        self.wait_s = wait_s  # for which the server wants to be left alone


@dataclass(frozen=True)
class FetchOptions:
    """How a URL is asked."""

    url: str
    timeout_s: float
    size_max: int  # bytes
    redirects_max: int
    token: str = ""
    headers: Mapping[str, str] | None = None
    ca_file: Path | None = None  # whom to trust; None: whom the system does
    cert_file: Path | None = None  # ours, as a client
    key_file: Path | None = None


@dataclass(frozen=True)
class Fetched:
    """A reply's body; None if it is as it was."""

    body: bytes | None
    validators: dict[str, str]  # headers that ask whether it is still so


class _Line:
    """The connection of a request under way, which another thread may cut."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: list[socket.socket] = []
        self.is_cut = False

    def hold(self, connection: socket.socket) -> None:
        """Note a new connection; its own socket may become one of TLS, so keep another."""
        with self._lock:
            self._held.append(connection.dup())
            if self.is_cut:
                self._shut()

    def cut(self) -> None:
        """End what is read from it, now and later."""
        with self._lock:
            self.is_cut = True
            self._shut()

    def _shut(self) -> None:
        for one in self._held:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # it has ended by itself

    def release(self) -> None:
        """Close what is held."""
        with self._lock:
            for one in self._held:
                one.close()
            self._held.clear()


class Fetcher:
    """Asks one URL, from one thread. `cut` is for any."""

    def __init__(self, options: FetchOptions, clock: Clock) -> None:
        """Prepare; nothing is opened yet."""
        self._options = options
        self._clock = clock
        self._lock = threading.Lock()
        self._line: _Line | None = None
        self._is_over = False

    @property
    def shown(self) -> str:
        """The URL without user, password and query, which may be secrets."""
        return shown_url(self._options.url)

    def cut(self) -> None:
        """End a request under way, and begin no other."""
        with self._lock:
            self._is_over = True
            if self._line is not None:
                self._line.cut()

    def fetch(self, validators: Mapping[str, str]) -> Fetched:
        """Ask for what is new; `validators` are those of the last reply. Raises FetchError."""
        import requests
        import urllib3

        line = _Line()
        with self._lock:
            if self._is_over:
                raise FetchError("stopped")
            self._line = line
        timer = threading.Timer(self._options.timeout_s, line.cut)
        timer.daemon = True
        timer.start()
        try:
            return self._follow(line, validators)
        except (
            requests.RequestException,
            urllib3.exceptions.HTTPError,
            OSError,
            ValueError,  # `requests` looks where a redirect leads, also if it isn't to follow
        ) as error:
            if line.is_cut:
                raise self._late() from None
            problem = f"no reply from {self.shown}: {why_no_reply(error)}"
            raise FetchError(problem) from None
        finally:
            timer.cancel()
            with self._lock:
                self._line = None
            line.release()

    def _late(self) -> FetchError:
        return FetchError(f"no whole reply from {self.shown} in {self._options.timeout_s:g} s")

    def _follow(self, line: _Line, validators: Mapping[str, str]) -> Fetched:
        url = self._options.url
        for _ in range(self._options.redirects_max + 1):
            # One each: a connection that a server has just closed would be used again.
            with _session(line) as session, self._get(session, url, validators) as reply:
                location = reply.headers.get("Location")
                if reply.status_code not in REDIRECTS or location is None:
                    return self._judge(reply, bool(validators))
                url = self._redirected(url, location)
        raise FetchError(f"{self.shown}: more than {self._options.redirects_max} redirects")

    def _redirected(self, url: str, location: str) -> str:
        try:
            target = urljoin(url, location)
            parts = urlsplit(target)
            is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            is_url = False
        if not is_url:
            raise FetchError(f"{self.shown}: a redirect to what is no URL")
        if url.startswith("https:") and parts.scheme != "https":
            raise FetchError(f"{self.shown}: a redirect away from TLS")
        return target

    def _get(self, session: Any, url: str, validators: Mapping[str, str]) -> Any:
        options = self._options
        headers = {"User-Agent": USER_AGENT, "Accept": "application/json"}
        headers |= {"Accept-Encoding": "identity", **validators}
        is_ours = _origin(url) == _origin(options.url)
        if is_ours:  # nobody else gets what may be secrets
            headers |= options.headers or {}
        verify = None if options.ca_file is None else str(options.ca_file)
        cert = None
        if is_ours and options.cert_file is not None:
            both = (str(options.cert_file), str(options.key_file))
            cert = both if options.key_file is not None else both[0]
        return session.get(
            _without_user(url),
            headers=headers,
            auth=lambda request: self._authorise(request, is_ours=is_ours),
            timeout=options.timeout_s,
            allow_redirects=False,
            stream=True,
            # With each request: the environment would have precedence over the session's.
            verify=verify,
            cert=cert,
        )

    def _authorise(self, request: Any, *, is_ours: bool) -> Any:
        """Add who we are. Always called, or a .netrc would say it."""
        from requests.auth import HTTPBasicAuth

        parts = urlsplit(self._options.url)
        if is_ours and self._options.token:
            request.headers["Authorization"] = f"Bearer {self._options.token}"
        elif is_ours and parts.username is not None:
            user, password = unquote(parts.username), unquote(parts.password or "")
            return HTTPBasicAuth(user.encode(), password.encode())(request)
        return request

    def _judge(self, reply: Any, is_conditional: bool) -> Fetched:
        status = reply.status_code
        if status == NOT_MODIFIED and is_conditional:
            return Fetched(None, {})
        if status != 200:
            hint = ": look at token, headers or the URL's user" if status in (401, 403) else ""
            problem = f"{self.shown} answers with status {status}{hint}"
            raise FetchError(problem, retry_after_s(reply.headers) or 0.0)
        if reply.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise FetchError(f"{self.shown} answers compressed, which was not asked for")
        size_max = self._options.size_max
        body = read_reply(reply, self._clock, self._options.timeout_s, size_max)
        if body is None:
            raise FetchError(
                f"{self.shown} answers with more than {size_max} bytes, or too slowly"
            )
        validators = {
            ours: reply.headers[theirs]
            for theirs, ours in VALIDATORS.items()
            if len(reply.headers.get(theirs, "")) in range(1, VALIDATOR_SIZE_MAX)
        }
        return Fetched(body, validators)


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port


def _without_user(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _session(line: _Line) -> Any:
    """Return a session whose connections `line` holds."""
    import requests
    import urllib3
    from requests.adapters import HTTPAdapter
    from urllib3.connection import HTTPConnection, HTTPSConnection

    class Plain(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            made = super()._new_conn()
            line.hold(made)
            return made

    class Encrypted(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            made = super()._new_conn()
            line.hold(made)
            return made

    class PlainPool(urllib3.HTTPConnectionPool):
        ConnectionCls = Plain

    class EncryptedPool(urllib3.HTTPSConnectionPool):
        ConnectionCls = Encrypted

    class Adapter(HTTPAdapter):
        def get_connection_with_tls_context(self, *args: Any, **options: Any) -> Any:
            self.poolmanager.pool_classes_by_scheme = {"http": PlainPool, "https": EncryptedPool}
            return super().get_connection_with_tls_context(*args, **options)

        def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
            made = super().proxy_manager_for(proxy, **options)
            made.pool_classes_by_scheme = {"http": PlainPool, "https": EncryptedPool}
            return made

    session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, Adapter(max_retries=0))
    return session
