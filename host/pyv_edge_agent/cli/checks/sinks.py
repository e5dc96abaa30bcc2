"""Sinks: where they send to, and whether the other side takes what they send."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ...clock import Clock
from ...errors import StartError
from ...sinks.delivery import REFUSED, THROTTLED, UNAUTHORISED, Delivery
from ...uploads import CLOUD, make_sink
from .finding import Check, Finding
from .network import Endpoint, TLSFiles

TIMEOUT_S = 10.0  # of what is asked of a sink, if its own is not shorter
_PORTS = {"http": 80, "https": 443, "nats": 4222, "tls": 4222, "ws": 80, "wss": 443}


def endpoints(name: str, settings: dict[str, Any], folder: Path) -> Iterator[Endpoint]:
    """Yield the servers of a sink, none for one that writes files."""
    files = TLSFiles.of(settings, folder)
    if name == CLOUD:
        yield of_url(settings["endpoint"], files)
    elif name == "influxdb":
        yield of_url(settings["url"], files, has_proxy=False)
    elif name == "mqtt":
        yield Endpoint(settings["host"], settings["port"], files if settings["tls"] else None)
    elif name == "nats":
        for server in settings["servers"].split(","):
            url = urlsplit(server.strip())
            is_tls = url.scheme in ("tls", "wss") or bool(files.all)
            yield Endpoint(
                url.hostname or "",
                url.port or _PORTS[url.scheme],
                files if is_tls else None,
                greets_first=url.scheme in ("nats", "tls"),
            )


def of_url(url: str, files: TLSFiles, *, has_proxy: bool = True) -> Endpoint:
    """Return where the server of a URL is, for `requests`: whom it trusts, and its proxies."""
    from requests.utils import DEFAULT_CA_BUNDLE_PATH, get_environ_proxies, select_proxy

    parts = urlsplit(url)
    host = parts.hostname or ""
    if has_proxy:
        proxy = select_proxy(url, get_environ_proxies(url))
        if proxy:
            via = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
            port = via.port or _PORTS.get(via.scheme, 1080)
            return Endpoint(via.hostname or "", port, via=f", the proxy on the way to {host}")
    trusting = replace(files, ca=files.ca or Path(DEFAULT_CA_BUNDLE_PATH))
    port = parts.port or _PORTS[parts.scheme]
    return Endpoint(host, port, trusting if parts.scheme == "https" else None)


def check_acceptance(
    name: str, settings: dict[str, Any], folder: Path, clock: Clock
) -> list[Finding]:
    """Ask the other side, while no agent runs, whether it would take readings. None are sent."""
    about = Check("sink", name)
    own = settings.get("timeout_seconds", TIMEOUT_S)
    try:
        sink = make_sink(name, {**settings, "timeout_seconds": min(own, TIMEOUT_S)}, folder, clock)
    except StartError as error:
        text, _, fix = str(error).partition("; ")
        return [about.fail(text, fix)]
    try:
        return [judge(about, sink.shown, sink.probe())]
    finally:
        sink.close()


def judge(about: Check, shown: str, probe: Delivery) -> Finding:
    """Say what an answer to nothing means for readings."""
    if probe.is_accepted:
        return about.ok(f"{shown} would take readings")
    problem = probe.problem if shown in probe.problem else f"{shown}: {probe.problem}"
    if probe.outcome == UNAUTHORISED:
        fix = (
            "its secret is wrong, or may not write there (one that systemd keeps isn't known here)"
        )
        return about.fail(problem, fix)
    if probe.outcome == THROTTLED:
        return about.warn(problem, "it has too much to do; what waits is sent later")
    if probe.outcome == REFUSED:
        fix = "it was asked with an empty batch, which it may have no use for; watch the first one"
        return about.warn(problem, fix)
    return about.fail(problem, "see to the server; nothing is lost while there is room here")
