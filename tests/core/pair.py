"""A board's session and a host's, joined by a link that can do harm, under a clock that is moved.

    samples -> rings -> DeviceSession == to_host ==> HostSession -> Store
                                      <= to_board ==

The store plays the part of the host's database: what it has acknowledged it
keeps, each number once and in order, and it refuses anything else.
"""

from pyv_edge_core import device_states, host_states, message, seal
from pyv_edge_core.device_session import DeviceSession
from pyv_edge_core.frame import FLAG, FrameDecoder
from pyv_edge_core.host_event import Batch, Greeting, Loss, Refusal, Report, TimeExchange
from pyv_edge_core.host_session import HostSession
from pyv_edge_core.identity import Identity
from pyv_edge_core.reading import Channel
from pyv_edge_core.record_ring import RECORD_SIZE, RecordRing
from ring_model import unpack_slots

DROP = "drop"
DUPLICATE = "duplicate"
CORRUPT = "corrupt"

_TICK_MASK = 0x3FFFFFFF


def parse_frame(framed):
    """Return (type, message) of one frame as encoded, None if it isn't a known one."""
    payloads = FrameDecoder().feed(framed)
    return message.parse(seal.content(payloads[0]) or payloads[0]) if payloads else None


def split_frames(data):
    """Return the frames in `data`, each with both of its flags."""
    return [FLAG + body + FLAG for body in data.split(FLAG) if body]


def corrupt(framed):
    """Return a frame of the same size that no FCS will accept."""
    middle = len(framed) // 2
    code = framed[middle] ^ 0x01
    if code == 0x7E or code == 0x7D:
        code ^= 0x03
    return framed[:middle] + bytes((code,)) + framed[middle + 1 :]


class Wire:
    """One direction of a link."""

    def __init__(self):
        self.delay_ms = 0
        self.is_cut = False  # whether everything vanishes
        self.faults = []  # [type of message, action], each for one frame
        self.schedule = None  # function() -> (action, extra delay), for every frame
        # Type and first two bytes of the body of every frame: what streams() and ack_flags()
        # need, and no more, since 192 kB have to hold it all.
        self._sent = bytearray()
        self._in_transit = []  # (time of arrival, bytes)

    def harm_next(self, kind, action, count=1):
        """Do `action` to each of the next `count` frames of that type."""
        self.faults.extend([(kind, action)] * count)

    def put(self, framed, now_ms):
        payload = FrameDecoder().feed(framed)[0]
        kind = payload[1]
        self._sent.extend(bytes((kind,)) + (payload[4:6] + b"\x00\x00")[:2])
        action = None
        delay_ms = self.delay_ms
        if self.schedule is not None:
            action, extra_ms = self.schedule()
            delay_ms += extra_ms
        for index in range(len(self.faults)):
            if self.faults[index][0] == kind:
                action = self.faults.pop(index)[1]
                break
        if self.is_cut or action == DROP:
            return
        if action == CORRUPT:
            framed = corrupt(framed)
        arrival_ms = now_ms + delay_ms
        if self._in_transit:
            # A cable is late but never out of order.
            arrival_ms = max(arrival_ms, self._in_transit[-1][0])
        self._in_transit.append((arrival_ms, framed))
        if action == DUPLICATE:
            self._in_transit.append((arrival_ms, framed))

    def inject(self, data, now_ms):
        """Put bytes on the wire that neither session has sent."""
        self._in_transit.append((now_ms, data))

    def take(self, now_ms):
        arrived = b""
        while self._in_transit and self._in_transit[0][0] <= now_ms:
            arrived += self._in_transit.pop(0)[1]
        return arrived

    def kinds(self):
        """Return the type of every frame put on the wire."""
        return [self._sent[place] for place in range(0, len(self._sent), 3)]

    def streams(self):
        """Return the stream of each DATA message."""
        return self._bodies(message.DATA, 1)

    def ack_flags(self):
        """Return the flags of each ACK."""
        return self._bodies(message.ACK, 2)

    def _bodies(self, kind, offset):
        sent = self._sent
        places = range(0, len(sent), 3)
        return [sent[place + offset] for place in places if sent[place] == kind]


class Store:
    """What a host has for good, and what it has taken but not committed."""

    def __init__(self):
        self.batches = {}  # (boot, stream): [(first_seq, base_s, base_ms, records)]
        self.gaps = []  # (boot, stream, cause, first, last)
        self.next_seq = {}  # (boot, stream): next number to commit
        self.pending = []  # (boot, Batch or Loss)

    def resume(self, boot, stream):
        return self.next_seq.get((boot, stream), 0)

    def commit_next(self):
        """Make the oldest pending entry durable; return (boot, stream, next number)."""
        boot, entry = self.pending.pop(0)
        key = (boot, entry.stream)
        expected = self.resume(*key)
        assert entry.first_seq == expected, (entry, expected)
        if isinstance(entry, Loss):
            assert entry.last_seq >= entry.first_seq, entry
            self.gaps.append((boot, entry.stream, entry.cause, entry.first_seq, entry.last_seq))
            next_seq = entry.last_seq + 1
        else:
            assert entry.records, "a batch without a reading"
            batch = (entry.first_seq, entry.base_s, entry.base_ms, entry.records)
            self.batches.setdefault(key, []).append(batch)
            next_seq = entry.first_seq + len(entry.records) // RECORD_SIZE
        self.next_seq[key] = next_seq
        return boot, entry.stream, next_seq

    def readings(self, boot, stream):
        """Yield (seq, channel, quality, value, uptime in ms) of what is stored."""
        for batch in self.batches.get((boot, stream), ()):
            yield from unpack_slots(*batch)


def make_channels(count=2):
    """Return a channel table of `count` rows."""
    return [Channel("channel-%d" % index, "Cel", -2) for index in range(count)]


class Pair:
    """Both ends, the link between them, a store, and the one clock."""

    def __init__(self, telemetry=256, events=64, channels=2, window=64, now_ms=0, host=""):
        self.now_ms = now_ms
        self.window = window
        self.host_name = host
        self.to_host = Wire()
        self.to_board = Wire()
        self.store = Store()
        self.is_committing = True  # whether the store commits at once
        self.is_welcoming = True  # whether a Greeting is answered at once
        self.greetings = []
        self.exchanges = []
        self.reports = []
        self.refusals = []
        self.sampled = {}  # (boot, stream): [(first number, uptime in ms)] of each sample()
        self.unread_max = 0  # most bytes towards the board without a sign that it read them
        self._unread = []  # [size, token if it is a TIME_REQUEST] of what the board may not have
        self._sizes = (telemetry, events)
        self.channels = make_channels(channels)
        self.boot = 0
        self.start_board(0xC0FFEE01)
        self.start_host()

    # -- what happens to the two ends --------------------------------------------------

    def start_board(self, boot):
        """Switch the board on, or reset it: its rings are empty, its boot id is new."""
        self.boot = boot
        self.booted_ms = self.now_ms
        self.telemetry = RecordRing(self._sizes[0])
        self.events = RecordRing(self._sizes[1])
        self.rings = (self.telemetry, self.events)
        identity = Identity("device-1", boot, "fake", "0.1", "0.1")
        self.device = DeviceSession(identity, self.channels, self.telemetry, self.events)
        self.sampled[(boot, 0)] = []
        self.sampled[(boot, 1)] = []

    def start_host(self):
        """Start the host, or start it again: it has only what its store committed."""
        self.host = HostSession(self.window, self.host_name)
        self.store.pending = []
        self._unread = []

    def uptime_ms(self):
        return self.now_ms - self.booted_ms

    def sample(self, count, stream=0):
        """Put `count` readings of this moment into a ring."""
        uptime_ms = self.uptime_ms()
        ring = self.rings[stream]
        self.sampled[(self.boot, stream)].append((ring.next_seq, uptime_ms))
        for _ in range(count):
            channel, quality, value = self._reading_of(ring.next_seq)
            ring.push(channel, quality, value, uptime_ms // 1000, uptime_ms % 1000)

    def _reading_of(self, seq):
        # The number decides the rest, so that a reading in the wrong place shows.
        return seq % max(1, len(self.channels)), seq % 3, seq * 31 % 1009 - 500

    # -- time ----------------------------------------------------------------------------

    def step(self, ms=10):
        """Move the clock on and let each end do what it would in its loop."""
        self.now_ms += ms
        self._run_board()
        self._run_host()
        self.device.receive(self.to_board.take(self.now_ms), self.now_ms & _TICK_MASK)

    def run(self, duration_ms, step_ms=10):
        """Step until `duration_ms` are over."""
        for _ in range(duration_ms // step_ms):
            self.step(step_ms)

    def _run_board(self):
        uptime_ms = self.uptime_ms()
        for _ in range(8):
            framed = self.device.transmit(
                self.now_ms & _TICK_MASK, uptime_ms // 1000, uptime_ms % 1000
            )
            if not framed:
                return
            self.to_host.put(framed, self.now_ms)

    def _run_host(self):
        events = self.host.receive(self.to_host.take(self.now_ms), self.now_ms)
        for event in events:
            self._take(event)
        while self.is_committing and self.store.pending:
            self.host.committed(*self.store.commit_next())
        framed = self.host.transmit(self.now_ms)
        for frame in split_frames(framed):
            parsed = parse_frame(frame)
            token = parsed[1].token if parsed[0] == message.TIME_REQUEST else None
            self._unread.append((len(frame), token))
            self.to_board.put(frame, self.now_ms)
        self.unread_max = max(self.unread_max, sum([size for size, _ in self._unread]))

    def _take(self, event):
        if isinstance(event, Greeting):
            self.greetings.append(event)
            if self.is_welcoming:
                self.welcome(event.hello.boot)
        elif isinstance(event, (Batch, Loss)):
            self.store.pending.append((event.boot, event))
        elif isinstance(event, TimeExchange):
            self.exchanges.append(event)
            self._mark_read()
        elif isinstance(event, Report):
            self.reports.append(event)
        else:
            assert isinstance(event, Refusal), event
            self.refusals.append(event)

    def _mark_read(self):
        # The answer to the oldest request that is still out: all before it has been read.
        for index in range(len(self._unread)):
            if self._unread[index][1] is not None:
                self._unread = self._unread[index + 1 :]
                return

    def welcome(self, boot):
        """Answer a greeting with where the store stands, as a host does: all committed first."""
        while self.is_committing and self.store.pending:
            self.store.commit_next()
        self.store.pending = []
        return self.host.welcome(boot, self.store.resume(boot, 0), self.store.resume(boot, 1))

    # -- what came of it -----------------------------------------------------------------

    def is_settled(self):
        """Whether the host has acknowledged all that this boot has sampled."""
        return self.device.state == device_states.UP and self.device.in_flight == 0

    def delivered(self, stream=0):
        """Return the numbers of this boot that the store has."""
        return [entry[0] for entry in self.store.readings(self.boot, stream)]

    def gaps(self, stream=0):
        """Return (cause, first, last) of this boot's gaps."""
        return [gap[2:] for gap in self.store.gaps if gap[:2] == (self.boot, stream)]

    def check_all_accounted_for(self):
        """Assert that each reading of this boot is in the store once, unharmed, or in one gap."""
        for stream in (0, 1):
            self.check_stream(self.boot, stream, self.rings[stream].next_seq)

    def check_stream(self, boot, stream, count):
        """Assert it of the first `count` readings of one stream."""
        runs = self.sampled[(boot, stream)]
        run_index = 0
        owners = bytearray(count)  # how many hold each number
        for seq, channel, quality, value, uptime_ms in self.store.readings(boot, stream):
            owners[seq] += 1
            assert (channel, quality, value) == self._reading_of(seq), seq
            while run_index + 1 < len(runs) and runs[run_index + 1][0] <= seq:
                run_index += 1
            assert uptime_ms == runs[run_index][1], seq
        for gap in self.store.gaps:
            if gap[:2] == (boot, stream):
                for seq in range(gap[3], gap[4] + 1):
                    owners[seq] += 1
        for seq in range(count):
            assert owners[seq] == 1, "number %d of stream %d is accounted for %d times" % (
                seq,
                stream,
                owners[seq],
            )


def pair_that_is_up(**arguments):
    """Return a Pair whose two ends have greeted each other."""
    pair = Pair(**arguments)
    pair.run(100)
    assert pair.device.state == device_states.UP and pair.host.state == host_states.UP
    return pair
