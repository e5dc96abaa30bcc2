"""Why a server gives no reply, and what to do, from what the HTTP library raises.

Its own texts repeat the URL, and with it what may be secret. So the error at the bottom of all
is looked for, and told in our words.
"""

import http.client
import socket
import ssl
from collections.abc import Iterator

CAUSES_MAX = 20  # of one error, that are looked at


def why_no_reply(error: BaseException) -> str:
    """Return why there is no reply and what to do, in one line without the URL."""
    causes = list(_causes(error))
    names = {type(one).__name__ for one in causes}
    for one in causes:
        if isinstance(one, ssl.SSLCertVerificationError):
            what = one.verify_message.rstrip(".")
            return f"its certificate is not trusted ({what}); check ca_file, and the host's name"
        if isinstance(one, ssl.SSLError):
            # What the server refuses comes as its alert, or as no more than the end of the line.
            reason = one.reason or "the server has ended it"
            is_refused = not one.reason or "ALERT" in one.reason
            remedy = "cert_file and key_file" if is_refused else "that the port is for https"
            return f"TLS: {reason}; check {remedy}"
        if isinstance(one, socket.gaierror | UnicodeError):
            return "the name of the host is not known; check it, and this computer's network"
        if isinstance(one, ConnectionRefusedError):
            return "connection refused; is the server running, and is the port right?"
    if names & {"ConnectTimeout", "ReadTimeout", "ReadTimeoutError", "TimeoutError"}:
        return "no answer in time"
    if names & {"InvalidURL", "MissingSchema", "InvalidSchema", "LocationParseError"}:
        return "it leads to what is no URL of a web server; check it"
    if "ProxyError" in names:
        return "the proxy that this computer's environment names does not let it through"
    if names & {"BadStatusLine", "LineTooLong", "HTTPException", "InvalidChunkLength"}:
        return "what comes is no HTTP; check the port"
    if any(isinstance(one, ConnectionError | http.client.IncompleteRead) for one in causes):
        return "the server has closed the connection"
    for one in reversed(causes):
        if isinstance(one, OSError) and one.strerror:
            return one.strerror
    return type(causes[-1]).__name__


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Return an error and what it came from, each a step deeper."""
    left, seen = [error], set[int]()
    while left and len(seen) < CAUSES_MAX:
        one = left.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        nearby = (one.__cause__, one.__context__, getattr(one, "reason", None), *one.args)
        left += [other for other in nearby if isinstance(other, BaseException)]
