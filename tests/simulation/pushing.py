"""Settings that hosts give to boards: what they are, and which ones a board may boot with.

Known by their bytes. Some are good, others can't be used, and some bring a
sensor whose code fails in the first step.
"""

import json
from dataclasses import replace
from random import Random

from pyv_edge_agent.errors import RequestError
from pyv_edge_core.request import CONFIG_SIZE_MAX
from pyv_edge_node.trial import BOOTS_MAX, TRIAL_MS

from .broken import Broken
from .plan import ChannelPlan

_QUIET_S = 100  # before the faults end: time for a trial that fails
_HANG_MS = 30_000  # a program that hangs on top of its trial
_PUSH_CUT_MAX = 60  # changes of the flash until the power goes, as the push begins
_APPLY_CUT_MAX = 14  # and as the settings are about to be put in force
STRIKES = (
    *("settings_pushed", "settings_in_force", "settings_refused", "settings_too_large"),
    *("settings_unusable", "settings_fail", "settings_taken_back", "flash_cut"),
)
_FATES = ("good",) * 6 + ("unknown type", "raises", "no JSON", "too large")


class Pushing:
    """All that is pushed in a world."""

    def __init__(self, world):
        self._world = world
        self._rng = Random(f"pushing {world.plan.seed}")
        self._added = 0

    def schedule(self):
        """Put the pushes of a whole run into the world's queue."""
        every_s = self._world.plan.push_every_s
        at_us = 0
        while every_s:
            at_us += int(self._rng.expovariate(1 / every_s) * 1_000_000)
            if at_us >= self._world.heal_us - _QUIET_S * 1_000_000:
                return
            self._world.queue.at(at_us, self._push)

    def _push(self, _):
        world, rng = self._world, self._rng
        board = rng.choice(world.boards)
        fate = rng.choice(_FATES)
        content, plan = self._make(board.plan, fate)
        if rng.random() < 0.3:
            board.flash.changes_left = rng.randrange(_PUSH_CUT_MAX)
        if not world.agent.links:
            return
        board.history.knows(content, plan, fate)
        link = world.agent.links[world.boards.index(board)].link
        world.trace("pushing", "%s settings to %s" % (fate, board.plan.name))
        try:
            future = link.push_settings(content)
        except RequestError:
            if fate != "too large":
                raise
            world.struck("settings_too_large")
            return
        world.struck("settings_pushed")
        future.add_done_callback(lambda done: self._answered(board, fate, done))

    def _answered(self, board, fate, future):
        if future.exception() is not None:  # its agent has stopped, or too many wait
            return
        outcome = future.result()
        self._world.trace("pushing", "%s settings: %s" % (fate, outcome.name))
        if outcome.name == "failed":
            self._world.struck("settings_refused")
        if outcome.is_done and fate in ("no JSON", "too large"):
            raise Broken("nonsense is refused: %s took %s settings" % (board.plan.name, fate))

    def arm(self, board):
        """Let the power go, now and then, as settings are put in force."""
        if self._rng.random() < 0.5:
            board.flash.changes_left = self._rng.randrange(_APPLY_CUT_MAX)

    # -- settings ------------------------------------------------------------------

    def _make(self, base, fate):
        """Return other settings as bytes, and what they stand for."""
        if fate == "no JSON":
            return b'{"sensors": [%d' % self._rng.randrange(1000), None
        if fate == "too large":
            return b" " * (CONFIG_SIZE_MAX + 1), None
        plan = self._other_plan(base)
        values = plan.settings()
        if fate == "unknown type":
            self._rng.choice(values["sensors"])["type"] = "of another planet"
        elif fate == "raises":
            self._rng.choice(values["sensors"])["raises"] = 1
        return json.dumps(values).encode(), plan

    def _other_plan(self, base):
        rng = self._rng
        ruled = {base.channels[rule.channel].name for rule in base.host_rules}
        sensors = []
        for sensor in base.sensors:
            # What the host has rules on stays: their state goes when a channel does.
            is_needed = any(channel.name in ruled for channel in sensor)
            if not is_needed and rng.random() < 0.3:
                continue
            interval_ms = rng.choice((sensor[0].interval_ms, 1000, 3000))
            sensor = [replace(channel, interval_ms=interval_ms) for channel in sensor]
            for channel in sensor:
                if channel.name not in ruled and rng.random() < 0.2:
                    channel.at_board = "drop" if channel.at_board == "allow" else "allow"
            sensors.append(sensor)
        if not sensors or rng.random() < 0.4:
            self._added += 1
            sensors.append([ChannelPlan(f"n{self._added}", 2000)])
        rng.shuffle(sensors)
        plan = replace(base, sensors=sensors, rules=[])
        places = {channel.name: place for place, channel in enumerate(plan.channels)}
        for rule in base.rules:
            name = base.channels[rule.channel].name
            if name in places and plan.channels[places[name]].at_board != "drop":
                plan.rules.append(replace(rule, channel=places[name]))
        return plan


class History:
    """Which settings one board has had, and which ones it may boot with next."""

    def __init__(self, world, plan, content):
        self.current = content  # of the latest boot
        self._plan = plan
        self._world = world
        self._known = {content: (plan, "good")}
        self._before = None  # what is to come back if the current ones fail
        self._applied = None  # those that the latest boot has taken over
        self._boots = 0  # in a row with settings that can't come up

    def knows(self, content, plan, fate):
        """Note settings that are pushed."""
        self._known[content] = plan, fate

    def takes(self, crc, crc32):
        """Note that the board has taken over the settings of that hash."""
        found = [content for content in self._known if crc32(content) == crc]
        if len(found) != 1:
            raise Broken("settings come whole: %08x was never pushed" % crc)
        self._applied = found[0]

    def boots(self, content):
        """Return what the settings of a boot stand for, if it may have them."""
        allowed = {self.current, self._applied, self._before}
        if content is None or content not in allowed:
            raise Broken(
                "old settings or new ones, whole: %s boots with %s" % (self._plan.name, content)
            )
        if content == self._before != self.current and content != self._applied:
            self._world.struck("settings_taken_back")
        if content == self._applied != self.current:
            self._before = self.current
            self._world.struck("settings_in_force")
        self._applied = None
        self.current = content
        plan, fate = self._known[content]
        if fate == "good":
            self._boots = 0
        else:
            self._boots += 1
            self._world.struck("settings_fail" if fate == "raises" else "settings_unusable")
            if self._boots > BOOTS_MAX:
                raise Broken("bad settings are taken back: %s has them still" % self._plan.name)
        return plan

    def lasts(self, duration_us):
        """See that a boot with settings that can't come up was short."""
        _, fate = self._known[self.current]
        if fate != "good" and duration_us > (TRIAL_MS + _HANG_MS) * 1000:
            raise Broken("bad settings are taken back: %s ran for %d us" % (fate, duration_us))
