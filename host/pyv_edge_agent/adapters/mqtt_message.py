"""From a message of MQTT, its topic and its payload, to samples."""

from typing import Any

from ..errors import SubmissionError
from ..submission import Sample
from .mapping import Mapper, read_json
from .topic import ChannelPattern, TopicFilter

PAYLOAD_SIZE_MAX = 262_144  # bytes; a larger message is rejected
TOPICS_MAX = 1000  # of which the channel is remembered


class MessageReader:
    """Reads messages as a device's table says. No text of an error repeats what is in one."""

    def __init__(self, device: dict[str, Any]) -> None:
        """Read a checked table."""
        self._topics = TopicFilter(device["topic"])
        self._pattern = ChannelPattern(device["channel"], self._topics)
        self._is_number = device["payload"] == "number"
        self._mapper = Mapper(device)
        self._channels: dict[str, str] = {}  # by topic

    def read(self, topic: str, payload: bytes) -> list[Sample]:
        """Return the samples of a message. Raises SubmissionError."""
        if len(payload) > PAYLOAD_SIZE_MAX:
            raise SubmissionError(f"a message is longer than {PAYLOAD_SIZE_MAX} bytes")
        channel = self._channels.get(topic)
        if channel is None:
            channel = self._channel_of(topic)
        try:
            text = payload.decode()
            if self._is_number:
                return self._mapper.map_number(text, channel)
            return self._mapper.map(read_json(text), channel)
        except UnicodeDecodeError:
            raise SubmissionError("a message: the payload is no text") from None
        except SubmissionError as error:
            raise SubmissionError(f"a message: {error}") from None

    def _channel_of(self, topic: str) -> str:
        levels = self._topics.levels(topic)
        if levels is None:
            raise SubmissionError(
                "a message of another topic: it was sent for the one that the device had before;"
                " or others use the session at the broker, then give it a client_id of its own"
            )
        if len(self._channels) >= TOPICS_MAX:
            self._channels.clear()
        channel = self._channels[topic] = self._pattern.name(levels)
        return channel
