"""How the boards differ at their serial port: sizes, patience, and what a reset looks like.

Each figure is a fact of MicroPython's source for that port, or of the chip; the
comment beside it says which. What real boards do beyond this (drivers, cables,
bridge chips that glitch) is for real boards to show.
"""

from collections.abc import Mapping
from dataclasses import dataclass

KEEP, WAIT, GIVE_UP = "keep latest", "wait", "give up"


@dataclass(frozen=True)
class Manner:
    """What one kind of serial port does."""

    name: str
    board: str  # what the firmware is told: $PYV_BOARD_KIND
    input_size: int  # bytes that wait for a program to read them
    is_input_held: bool  # whether a host waits while that is full; else bytes are lost
    is_input_cleared: bool  # whether Ctrl-C throws away what waits
    output_size: int  # bytes that wait for the host
    output_wait_s: float | None  # how long a write waits for a host that doesn't read
    when_closed: str  # what becomes of a write while no host has the port open
    baud: int | None  # None: as fast as it goes
    is_port_lasting: bool  # whether the port outlives a hard reset
    open_delay_s: float = 0.0  # from a host that opens the port until output is sent
    rom_text: str = ""  # what the chip's ROM says at a hard reset, {cause} in it


# ports/esp32/uart.c: the console's FIFO is 128 bytes and a write waits for it without a limit;
# ports/esp32/mphalport.c: stdin_ringbuf has 260 bytes, and what comes beyond is dropped unseen.
# The port belongs to a bridge chip on the board, which neither knows nor cares who listens.
ESP32_UART = Manner(
    name="esp32-uart",
    board="esp32",
    input_size=260,
    is_input_held=False,
    is_input_cleared=False,
    output_size=128,
    output_wait_s=None,
    when_closed=WAIT,
    baud=115200,
    is_port_lasting=True,
    rom_text=(
        "ets Jul 29 2019 12:21:46\r\n\r\nrst:{cause},boot:0x13 (SPI_FAST_FLASH_BOOT)\r\n"
        "configsip: 0, SPIWP:0xee\r\nmode:DIO, clock div:2\r\nentry 0x400805f0\r\n"
    ),
)

# shared/tinyusb/mp_usbd_cdc.c: with a host that has the port open a write waits up to
# MICROPY_HW_USB_CDC_TX_TIMEOUT (500 ms) since it last got on, then its rest is lost; without
# one the FIFO (256 bytes) keeps the latest, and is sent 16 ms after one came, which gets ready
# in that time. ports/rp2/mphalport.c: stdin_ringbuf has 512 bytes.
RP2_CDC = Manner(
    name="rp2-cdc",
    board="rp2",
    input_size=512,
    is_input_held=True,
    is_input_cleared=True,
    output_size=256,
    output_wait_s=0.5,
    when_closed=KEEP,
    baud=None,
    is_port_lasting=False,
    open_delay_s=0.016,
)

# ports/esp32/usb_serial_jtag.c: a write waits up to 200 ms for its 64-byte FIFO, then its rest
# is lost, and until the FIFO has room again so are others, without any wait.
USB_JTAG = Manner(
    name="usb-jtag",
    board="esp32",
    input_size=260,
    is_input_held=True,
    is_input_cleared=False,
    output_size=64,
    output_wait_s=0.2,
    when_closed=GIVE_UP,
    baud=None,
    is_port_lasting=False,
)

MANNERS: Mapping[str, Manner] = {manner.name: manner for manner in (ESP32_UART, RP2_CDC, USB_JTAG)}

# The ROM's own words for why it runs, by index into message_to_host.RESET_CAUSES.
ROM_CAUSES: Mapping[int, str] = {
    1: "0x1 (POWERON_RESET)",
    2: "0x1 (POWERON_RESET)",  # the EN pin can't be told from power
    3: "0x8 (TG1WDT_SYS_RESET)",
    4: "0xc (SW_CPU_RESET)",
}
