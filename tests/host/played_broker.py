"""Stand-ins between an MQTT client and its broker: what no real one does when it is asked to."""

import socket
import struct
import threading
from contextlib import suppress

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK = 1, 2, 3, 4, 8, 9
UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT = 10, 11, 12, 13, 14


class _Server:
    """Takes connections, each in a thread, until it is closed."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.lines = []  # sockets, open or not
        self.connects = self.ended = self.resets = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                line, _ = self.listener.accept()
            except OSError:
                return
            self.connects += 1
            self.lines.append(line)
            threading.Thread(target=self._guarded, args=(line,), daemon=True).start()

    def _guarded(self, line):
        try:
            self.serve(line)
        except ConnectionResetError:
            self.resets += 1
        except OSError:
            pass
        self.ended += 1

    def cut(self):
        """End all connections at once."""
        lines, self.lines = self.lines, []
        for one in lines:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def close(self):
        # A listener that is only closed goes on waiting in accept().
        with suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.cut()


class Wire(_Server):
    """Passes everything on to a port behind it, until it is cut."""

    def __init__(self, port):
        self.behind = port
        self.towards_broker = lambda data: data  # what the wire does to bytes
        super().__init__()

    def serve(self, line):
        far = socket.create_connection(("127.0.0.1", self.behind))
        self.lines.append(far)
        threading.Thread(target=self._pass, args=(far, line, bytes), daemon=True).start()
        self._pass(line, far, lambda data: self.towards_broker(data))

    @staticmethod
    def _pass(source, target, change):
        with suppress(OSError):
            while data := source.recv(4096):
                target.sendall(change(data))
        for one in (source, target):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


class PlayedBroker(_Server):
    """Speaks MQTT as far as a subscriber needs it, and does what the test wants."""

    def __init__(self, *, connack=0, suback=1, is_kept=False, closes=False, disconnect=None):
        """`connack`, `suback`: codes; None: it says nothing. `closes`: when it has subscribed.

        `disconnect`: the code that MQTT 5 has for why.
        """
        self.connack, self.suback = connack, suback
        self.is_kept = is_kept
        self.closes = closes
        self.disconnect = disconnect
        self.subscribed = threading.Event()
        self.greetings = self.farewells = 0
        self.asked = []  # SUBSCRIBE, UNSUBSCRIBE
        self.acked = []
        self.pings = 0
        super().__init__()

    def serve(self, line):
        stream = line.makefile("rb")
        while head := stream.read(1):
            body = stream.read(self._length(stream))
            kind = head[0] >> 4
            if kind in (SUBSCRIBE, UNSUBSCRIBE):
                self.asked.append(kind)
            if kind == CONNECT:
                self.greetings += 1
                properties = [0] if body[6] == 5 else []  # none
            if kind == CONNECT and self.connack is not None:
                self._send(line, CONNACK, [int(self.is_kept), self.connack, *properties])
            elif kind == SUBSCRIBE and self.suback is not None:
                self._send(line, SUBACK, [*body[:2], *properties, self.suback])
                self.line = line
                self.subscribed.set()
                if self.disconnect is not None:
                    # With a text, since version 2.1 of the library overlooks a code alone.
                    self._send(line, DISCONNECT, [self.disconnect, 4, 0x1F, 0, 1, ord("?")])
                if self.closes:
                    line.shutdown(socket.SHUT_RDWR)
            elif kind == UNSUBSCRIBE:
                self._send(line, UNSUBACK, [*body[:2], *properties])
            elif kind == DISCONNECT:
                self.farewells += 1
                line.shutdown(socket.SHUT_WR)
            elif kind == PUBACK:
                self.acked.append(struct.unpack("!H", body)[0])
            elif kind == PINGREQ:
                self.pings += 1
                self._send(line, PINGRESP, [])

    @staticmethod
    def _send(line, kind, body):
        line.sendall(bytes([kind << 4, len(body), *body]))

    @staticmethod
    def _length(stream):
        size = shift = 0
        while True:
            (byte,) = stream.read(1)
            size |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return size

    def publish(self, mid, payload, topic="site/a", dup=False):
        name = topic.encode()
        body = struct.pack("!H", len(name)) + name + struct.pack("!H", mid) + payload
        assert len(body) < 128
        self.line.sendall(bytes([PUBLISH << 4 | 2 | dup << 3, len(body)]) + body)
