"""What a host may ask of a board, and what a board may answer.

A request is a COMMAND or a document sent in CONFIG messages. It has a number
that no other request to the device has, so that the board can tell a repetition
from a new one: `requester` sends it again until there is a RESULT, and
`device_session` has it done once and repeats its RESULT. A COMMAND names the
boot that it is for and the uptime until which it may be done.
"""

from ._compat import const

IDENTIFY = const(1)
SET_RATE = const(2)  # target: a channel of the sensor; value: interval in ms
READ_NOW = const(3)  # target: a channel of the sensor, or ALL_CHANNELS
RESET = const(4)  # value 1: even if the host has not acknowledged everything by then
SAFE_MODE = const(5)  # value 1: sample nothing more; 0: sample again
ALL_CHANNELS = const(255)

CONFIG_SIZE_MAX = const(8192)  # bytes of a document: a board must hold it, and what it says
