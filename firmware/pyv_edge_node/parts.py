"""What a node is made of, made from its settings. Loaded for the start only, then forgotten."""

import gc

from pyv_edge_core import __version__ as core_version
from pyv_edge_core import message
from pyv_edge_core._compat import TYPE_CHECKING
from pyv_edge_core.device_session import DeviceSession
from pyv_edge_core.errors import FieldError
from pyv_edge_core.identity import Identity
from pyv_edge_core.reading import check_name
from pyv_edge_core.record_ring import RecordRing

from . import __version__
from .pipeline import Pipeline
from .sampler import Sampler
from .settings import Section, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyv_edge_core.seal import Seal

    from .boots import Boots
    from .flash import Flash
    from .settings import Settings
    from .spill import Spill
    from .status_led import StatusLed


class Parts:
    """The parts of one node."""

    def __init__(
        self,
        config: "Settings",
        board: "Any",
        flash: "Flash",
        open_sensor: "Callable[[str, Section, Any], Any] | None",
        boots: "Boots | None",
    ) -> None:
        """Make them; touch no sensor yet. Raises SettingsError."""
        gc.collect()
        self.telemetry = RecordRing(config.telemetry_capacity)  # first, while the heap is whole
        self.events = RecordRing(config.events_capacity)
        now_ms = board.ticks_ms()
        self.sampler = Sampler(config.sensors, now_ms, board, open_sensor)
        _claim_pins(config, board)
        identity = _identity(config, board, boots)
        self.pipeline = Pipeline(
            config, identity.device, self.sampler.channels, self.telemetry, self.events, now_ms
        )
        self.seal = _seal(config)
        rings: Any = (self.telemetry, self.events)
        self.spill = _spill(config, flash, identity, rings)
        if self.spill is not None:
            rings = self.spill.rings
        self.session = DeviceSession(identity, self.pipeline.rows, rings[0], rings[1], self.seal)
        self.first_session = self.session
        if self.spill is not None:
            self.first_session = self.spill.open_over(self.seal) or self.session
        self.led = _led(config, board)


def _identity(config: "Settings", board: "Any", boots: "Boots | None") -> Identity:
    """Return who the board is. Raises SettingsError."""
    device = config.device_id or board.unique_id()
    try:
        check_name("device_id", device)
    except FieldError as error:
        raise SettingsError("%s.%s" % (config.path, error))
    identity = Identity(device, board.boot_id(), board.name, __version__, core_version)
    identity.reset_cause = board.reset_cause()
    if boots is not None:
        identity.reset_cause = boots.reset_cause
        identity.boots = boots.total
        identity.last = boots.last
        identity.firmware_hash = boots.firmware_hash
        identity.flags = boots.is_safe * message.HELLO_SAFE
        if boots.is_on_trial:
            identity.flags |= message.HELLO_TRIAL
    identity.config_hash = config.config_hash
    if config.policy is not None:
        identity.policy_hash = config.policy.fingerprint
    return identity


def _claim_pins(config: "Settings", board: "Any") -> None:
    """See that no sensor has a pin of the light or the link. Raises SettingsError."""
    claim = getattr(board, "claim", None)
    if claim is None:
        return  # it has no pins
    section = Section({}, config.path)
    if len(config.led) <= 2 and config.led.encode().isdigit():  # bytes: no digits but ours
        claim(section, "led", int(config.led))
    if config.uart is not None:
        claim(section, "uart.tx", config.uart[1])
        claim(section, "uart.rx", config.uart[2])


def _led(config: "Settings", board: "Any") -> "StatusLed | None":
    """Return the light that says how the board does. Raises SettingsError."""
    try:
        pin = board.led(config.led)
    except ValueError as error:
        raise SettingsError("%s.led: %r: %s" % (config.path, config.led, error))
    if pin is None:
        return None
    from .status_led import StatusLed

    return StatusLed(pin)


def _seal(config: "Settings") -> "Seal | None":
    """Return what the board seals its messages with, None without a key."""
    if not config.link_key:
        return None
    from pyv_edge_core.seal import TO_HOST, Seal

    return Seal(config.link_key, TO_HOST)


def _spill(config: "Settings", flash: "Flash", identity: Identity, rings: "Any") -> "Spill | None":
    """Return what keeps readings on the flash, None if it isn't to and has kept none."""
    if identity.flags & message.HELLO_SAFE or not (config.spill or flash.has("spill")):
        return None
    from .spill import Spill

    return Spill(flash, config.spill, identity, rings)
