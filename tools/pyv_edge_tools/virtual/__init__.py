"""Virtual boards: a MicroPython of this computer behind a serial port, with a flash of its own."""

from .board import Board
from .image import FlashImage
from .manners import ESP32_UART, MANNERS, RP2_CDC, USB_JTAG, Manner

__all__ = ["ESP32_UART", "MANNERS", "RP2_CDC", "USB_JTAG", "Board", "FlashImage", "Manner"]
