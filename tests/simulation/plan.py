"""From a seed to a world: boards, channels, rules, policies, lines. Nothing happens here yet.

Values are scaled by 10**-2 everywhere, so that levels are whole numbers for
whoever checks, and decimals in the tables that the code under test reads.
"""

from dataclasses import dataclass, field
from random import Random

from .clock_faults import ClockPlan, make_clock_plan
from .seals import share_keys

EXPONENT = -2
VALUE_LOW, VALUE_HIGH = 1000, 3000  # what sensors show, scaled
WRAP = 2**30
HOUR_S = 3600
KEY_PATH = "link.key"


@dataclass
class ChannelPlan:
    """One channel and what the two policies make of it."""

    name: str
    interval_ms: int
    at_board: str = "allow"  # allow, drop, quantize
    at_host: str = "allow"  # allow, drop, clamp, aggregate_only

    def board_value(self, value):
        """Return what the board's policy leaves of a value."""
        if self.at_board == "quantize":
            return (value + QUANTUM // 2) // QUANTUM * QUANTUM
        return value

    def host_value(self, value):
        return min(max(value, CLAMP_LOW), CLAMP_HIGH) if self.at_host == "clamp" else value


QUANTUM = 50
CLAMP_LOW, CLAMP_HIGH = 1400, 2600


@dataclass
class RulePlan:
    """One rule on one channel: the table for the code, whole numbers for the oracle."""

    name: str
    channel: int  # index on its board
    kind: str
    low: int | None = None  # scaled, as are all of these
    high: int | None = None
    low_clear: int | None = None
    high_clear: int | None = None
    size: int = 0
    window_ms: int = 0
    per_ms: int = 0
    for_ms: int = 0
    keep_for_ms: int = 0
    cooldown_ms: int = 0
    on_bad: str = "hold"

    def table(self, sensor):
        """Return the rule as a configuration has it."""
        table = {"name": self.name, "sensor": sensor, "late": "3d"}
        if self.kind == "deadband":
            table["deadband"] = self.size / 100
        elif self.kind == "outside":
            table["outside"] = [self.low / 100, self.high / 100]
            table["clear"] = [self.low_clear / 100, self.high_clear / 100]
        else:
            is_high = self.kind.endswith("above")
            table[self.kind] = (self.high if is_high else self.low) / 100
            table["clear"] = (self.high_clear if is_high else self.low_clear) / 100
        for key, ms in (
            ("window", self.window_ms),
            ("per", self.per_ms),
            ("for", self.for_ms),
            ("keep_for", self.keep_for_ms),
            ("cooldown", self.cooldown_ms),
        ):
            if ms:
                table[key] = ms / 1000
        if self.on_bad != "hold":
            table["on_bad"] = self.on_bad
        return table


@dataclass
class BoardPlan:
    """One board and its line."""

    name: str  # its device id
    alias: str  # what the host calls it
    ppm: int
    is_usb: bool
    byte_rate: int
    latency_us: int
    capacity: int
    events_capacity: int
    vitals_ms: int
    lull_ms: int  # how often it looks after its timers while nothing happens
    measure_us: int  # what one measurement takes
    link_key: str = ""  # that it shares with the host
    spill: dict | None = None  # what its settings say of pages on the flash; None: nothing
    sensors: list[list[ChannelPlan]] = field(default_factory=list)
    rules: list[RulePlan] = field(default_factory=list)  # evaluated on the board
    host_rules: list[RulePlan] = field(default_factory=list)

    @property
    def channels(self):
        return [channel for sensor in self.sensors for channel in sensor]

    def settings(self):
        """Return what its settings file holds."""
        drop = [channel.name for channel in self.channels if channel.at_board == "drop"]
        coarse = [channel.name for channel in self.channels if channel.at_board == "quantize"]
        values = {
            "device_id": self.name,
            "telemetry_capacity": self.capacity,
            "events_capacity": self.events_capacity,
            "vitals_interval_ms": self.vitals_ms,
            "sensors": [
                {"type": "simulation", "index": index, "interval_ms": sensor[0].interval_ms}
                for index, sensor in enumerate(self.sensors)
            ],
        }
        if self.spill:
            values["spill"] = self.spill
        if self.link_key:
            values["link_key_file"] = KEY_PATH
        if self.rules:
            names = [channel.name for channel in self.channels]
            values["rules"] = [
                rule.table(f"{self.name}.{names[rule.channel]}") for rule in self.rules
            ]
        if drop or coarse:
            values["privacy"] = {
                "rules": [{"channel": name, "action": "drop"} for name in drop]
                + [
                    {"channel": name, "action": "quantize", "step": QUANTUM / 100}
                    for name in coarse
                ]
            }
        return values


@dataclass
class Plan:
    """A whole world."""

    seed: int
    duration_s: int
    fault_every_s: int  # mean
    kinds: list[str]  # of faults; all of faults.KINDS if empty
    commit_ms: int
    link_wait_ms: int  # how long a link's thread waits for bytes
    has_clock_steps: bool = False
    has_attacks: bool = False  # on boards that have a key
    clock: ClockPlan = field(default_factory=ClockPlan)
    ask_every_s: int = 0  # mean time between two requests to boards; 0: there are none
    push_every_s: int = 0  # mean time between two pushes of settings; 0: there are none
    boards: list[BoardPlan] = field(default_factory=list)

    def host_policy(self):
        """Return the rules of the host's policy."""
        found = []
        for board in self.boards:
            for channel in board.channels:
                if channel.at_host != "allow":
                    rule = {"device": board.alias, "channel": channel.name}
                    rule["action"] = channel.at_host
                    if channel.at_host == "clamp":
                        rule["low"], rule["high"] = CLAMP_LOW / 100, CLAMP_HIGH / 100
                    found.append(rule)
        return found

    def host_rules(self):
        """Return the host's tables of rules."""
        return [
            rule.table(f"{board.alias}.{board.channels[rule.channel].name}")
            for board in self.boards
            for rule in board.host_rules
        ]


def make_plan(seed, duration_s=HOUR_S):
    """Return an ordinary world: a few boards at a few readings a second, for an hour in all."""
    rng = Random(f"plan {seed}")
    board_count = rng.choice((1, 1, 1, 2, 2, 3))
    plan = Plan(
        seed=seed,
        duration_s=duration_s // board_count,
        fault_every_s=rng.choice((8, 30, 60, 120)),
        kinds=[],
        commit_ms=rng.choice((500, 1000, 2000, 2000)),
        link_wait_ms=rng.choice((250, 500, 1000)),
        has_clock_steps=rng.random() < 0.35,
        clock=make_clock_plan(seed, duration_s // board_count),
    )
    for index in range(board_count):
        board = _make_board(rng, index)
        intervals = rng.choice(((500, 1000, 2000), (2000, 5000, 10000), (2000, 10000)))
        for _ in range(rng.randrange(1, 4)):
            _add_sensor(rng, board, rng.randrange(1, 4), rng.choice(intervals))
        _finish(rng, board)
        plan.boards.append(board)
    share_keys(plan)
    _plan_pages(Random(f"pages {seed}"), plan)
    _plan_requests(Random(f"requests {seed}"), plan)
    return plan


def _plan_pages(rng, plan):
    """See which boards keep readings on their flash."""
    for board in plan.boards:
        if rng.random() < 0.5:
            board.spill = {
                "size_kb": rng.choice((32, 32, 64, 256)),
                "pages_per_day": rng.choice((40, 5000, 20_000)),
                "after_s": rng.choice((5, 5, 5, 30)),
            }


def _plan_requests(rng, plan):
    """See whether anybody asks the boards for anything.

    A board that is told to be quiet may be so for longer than the silence after
    which time itself decides.
    """
    if rng.random() < 0.5:
        return
    plan.ask_every_s = rng.choice((5, 15, 30))
    if rng.random() < 0.5:
        plan.push_every_s = rng.choice((60, 200))
    for board in plan.boards:
        for rule in board.rules:
            rule.for_ms = rule.keep_for_ms = rule.cooldown_ms = 0


def make_busy_plan(seed, duration_s):
    """Return a world with as much to do as boards give: 16 channels each at 10 Hz."""
    rng = Random(f"busy {seed}")
    plan = Plan(seed, duration_s, 40, [], 1000, 250)
    for index in range(2):
        board = _make_board(rng, index)
        board.is_usb, board.byte_rate, board.latency_us = True, 400_000, 1000
        board.capacity, board.lull_ms, board.measure_us = 4096, 50, 0
        for _ in range(2):
            _add_sensor(rng, board, 8, 100)
        _finish(rng, board)
        plan.boards.append(board)
    return plan


def _make_board(rng, index):
    is_usb = rng.random() < 0.5
    return BoardPlan(
        name=f"dev-{index + 1}",
        alias=f"plant-{index + 1}",
        ppm=rng.choice((-500, 500, rng.randrange(-500, 501))),
        is_usb=is_usb,
        byte_rate=400_000 if is_usb else rng.choice((1920, 11520, 11520, 92160)),
        latency_us=rng.choice((200, 1000, 5000, 20000)),
        capacity=rng.choice((48, 128, 512, 2048)),
        events_capacity=rng.choice((16, 32, 128)),
        vitals_ms=rng.choice((10_000, 30_000, 60_000)),
        lull_ms=rng.choice((250, 500, 1000)),
        measure_us=rng.choice((0, 200, 8000)),
    )


def _add_sensor(rng, board, channel_count, interval_ms):
    sensor = []
    for _ in range(channel_count):
        channel = ChannelPlan(f"c{len(board.channels) + len(sensor)}", interval_ms)
        channel.at_board = rng.choice(("allow",) * 8 + ("drop", "quantize"))
        if channel.at_board != "drop":
            channel.at_host = rng.choice(("allow",) * 7 + ("drop", "clamp", "aggregate_only"))
        sensor.append(channel)
    board.sensors.append(sensor)


def _finish(rng, board):
    """See that something passes and something is dropped, and give it rules."""
    channels = board.channels
    channels[0].at_board = channels[0].at_host = "allow"
    if len(channels) > 3:
        channels[1].at_board = "drop"
        channels[1].at_host = "allow"
        channels[2].at_board, channels[2].at_host = "allow", "drop"
    for index, channel in enumerate(channels):
        if channel.at_board == "drop":
            continue
        if index % 4 == 0 or rng.random() < 0.1:
            name = f"{board.name} board {channel.name}"
            board.rules.append(_make_board_rule(rng, name, index, channel.interval_ms))
        if channel.at_host in ("allow", "clamp") and (index % 4 == 0 or rng.random() < 0.1):
            name = f"{board.name} host {channel.name}"
            board.host_rules.append(_make_level(rng, name, index))


def _make_level(rng, name, channel):
    """Return a rule that depends on values alone: levels with hysteresis, or a deadband."""
    kind = rng.choice(("above", "below", "outside", "deadband"))
    rule = RulePlan(name, channel, kind, on_bad=rng.choice(("hold", "hold", "resolve")))
    margin = rng.choice((0, 30, 200))
    if kind == "deadband":
        rule.size = rng.choice((100, 300))
    if kind in ("below", "outside"):
        rule.low = rng.randrange(1300, 1900)
        rule.low_clear = min(rule.low + margin, 1950)
    if kind in ("above", "outside"):
        rule.high = rng.randrange(2000, 2700)
        rule.high_clear = max(rule.high - margin, 1960)
    return rule


def _make_board_rule(rng, name, channel, interval_ms):
    """Return a rule of a board, whose own clock never jumps: it may have times too."""
    if rng.random() < 0.3:
        kind = rng.choice(("rate_above", "rate_below"))
        rule = RulePlan(name, channel, kind, window_ms=8 * interval_ms, per_ms=1000)
        level = rng.randrange(5, 60)
        if kind == "rate_above":
            rule.high, rule.high_clear = level, level // 2
        else:
            rule.low, rule.low_clear = -level, -(level // 2)
        return rule
    rule = _make_level(rng, name, channel)
    # Longer intervals are longer than the silence after which time itself decides; and so is a
    # sensor that fails for long, unless what is bad counts for nothing.
    if interval_ms <= 2000:
        rule.cooldown_ms = rng.choice((0, 0, 15_000))
        if rule.kind != "deadband":
            rule.for_ms = rng.choice((0, 3 * interval_ms, 7000))
            rule.keep_for_ms = rng.choice((0, 2 * interval_ms))
        if rule.cooldown_ms or rule.for_ms or rule.keep_for_ms:
            rule.on_bad = "hold"
    return rule
