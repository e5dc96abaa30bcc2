"""MQTT clients: what the sink and the adapter have in common."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from .mqtt_bounded import BoundedClient, GatheringClient

Made = TypeVar("Made", bound="BoundedClient")

MQTT_3, MQTT_5 = 4, 5  # protocol levels


@dataclass(frozen=True)
class BrokerOptions:
    """Which broker, and how it is spoken to."""

    host: str
    port: int = 1883
    client_id: str = "pyv-edge"
    username: str = ""
    password: str = ""
    protocol: int = MQTT_3
    is_tls: bool = False
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    keepalive: int = 60  # seconds
    timeout_seconds: float = 30.0

    @property
    def shown(self) -> str:
        """The broker, as a URL without anybody's name."""
        return f"{'mqtts' if self.is_tls else 'mqtt'}://{self.host}:{self.port}"


def broker_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the options that have another name, or another type, in settings."""
    return {
        "protocol": MQTT_5 if settings["protocol"] == "5" else MQTT_3,
        "is_tls": settings["tls"],
        "keepalive": settings["keepalive_seconds"],
    }


def make_client(options: BrokerOptions, **more: Any) -> "BoundedClient":
    """Return a client of the library that is not connected; `more` goes to its constructor.

    It never connects again by itself. Raises OSError or ValueError for a certificate that
    can't be used.
    """
    from .mqtt_bounded import BoundedClient

    return _make(BoundedClient, options, more)


def make_gathering_client(options: BrokerOptions, **more: Any) -> "GatheringClient":
    """Return the same, for who drives it by calls of `loop_read`: see GatheringClient."""
    from .mqtt_bounded import GatheringClient

    return _make(GatheringClient, options, more)


def _make(kind: "type[Made]", options: BrokerOptions, more: dict[str, Any]) -> "Made":
    from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

    client = kind(
        CallbackAPIVersion.VERSION2,
        client_id=options.client_id,
        protocol=MQTTProtocolVersion(options.protocol),
        reconnect_on_failure=False,
        **more,
    )
    client.connect_timeout = options.timeout_seconds
    if options.username:
        client.username_pw_set(options.username, options.password)
    if options.is_tls:
        ca_file, cert_file, key_file = (
            None if one is None else str(one)
            for one in (options.ca_file, options.cert_file, options.key_file)
        )
        client.tls_set(ca_file, cert_file, key_file)
    return client
