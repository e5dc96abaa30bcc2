"""The agent of the simulation: its real parts, connected as `EdgeAgent` connects them.

One actor is its main thread, one more per link. What it has in memory lasts
until it is killed; what it has committed is on the disk.
"""

from collections import Counter
from random import Random

from pyv_edge_agent.alerting import Alerting
from pyv_edge_agent.errors import StoreError
from pyv_edge_agent.ingest import Ingest
from pyv_edge_agent.link import SerialLink
from pyv_edge_agent.pipeline import Pipeline
from pyv_edge_agent.recent import Recent
from pyv_edge_agent.store import Upkeep
from pyv_edge_core.host_event import Greeting, Loss
from pyv_edge_core.privacy import PrivacyPolicy
from pyv_edge_core.rule import read_rules

from . import seals
from .clock import Actor
from .disk import Killed
from .wire import HostPort

COMMIT_MAX = 500  # readings, as in the settings
WINDOW = 64  # values kept in memory per device
_OPEN_AGAIN_US = 5_000_000  # as a service that failed to start is started again


class LinkThread(Actor):
    """The thread of one `SerialLink`."""

    def __init__(self, world, board, put):
        super().__init__(world.queue)
        self._wait_us = world.plan.link_wait_ms * 1000
        self.port = HostPort(world.queue, board.place, self._wake)
        rng = Random(world.rng.getrandbits(32))
        alias, key = board.plan.alias, board.plan.link_key.encode()
        self.link = SerialLink(
            *(alias, self.port, world.clock, rng, put), key=key, random_bits=rng.getrandbits
        )
        if world.sabotage.unlock is not None:
            world.sabotage.unlock(self.link)
        self._is_over = False
        if world.sabotage.spoil_link is not None:
            world.sabotage.spoil_link(self.link)
        self.wake_by(self.queue.now_us)

    def _wake(self):
        self.wake_by(self.queue.now_us)

    def step(self):
        if self._is_over:
            return
        wait_s = self.link.step()
        # Without a wait it has read, or is to try again at once: the next bytes wake it.
        wait_us = int(wait_s * 1_000_000) or self._wait_us
        self.wake_by(self.queue.now_us + wait_us)

    def end(self):
        self._is_over = True
        self.port.close()


class Housekeeping(Upkeep):
    """Seals, summarises and keeps the audit log; evicts nothing: every reading is looked for."""

    def disk_is_full(self):
        pass


class Agent(Actor):
    """The agent's process, through all its runs."""

    def __init__(self, world):
        super().__init__(world.queue)
        self.is_alive = False
        self.links = []  # LinkThread, one per board
        self.duplicates_total = 0
        self.seals = {board.alias: Counter() for board in world.plan.boards}
        self.late_total = 0  # readings that came too late for the rules
        self.commit_failures_total = 0
        self.runs = 0
        self._world = world
        self._ingest = None
        self._is_busy = False  # its main thread waits for the disk
        self._stored_ms = 0  # when it last looked into its inbox
        self._policy = PrivacyPolicy(world.plan.host_policy())
        self._rules = read_rules(world.plan.host_rules())

    @property
    def is_retiming(self):
        """Whether it corrects what was dated by a clock that wasn't set."""
        return self._ingest is not None and self._ingest.time.is_retiming

    # -- life ----------------------------------------------------------------------

    def start(self, _=None):
        """Begin a run, unless there is one. Tries again later if the store can't be opened."""
        if self.is_alive or self._is_busy:
            return
        world = self._world
        # It lives while it opens the store: that writes, and may be killed in the middle.
        self.is_alive = True
        self.runs += 1
        try:
            self._work(self._build)
        except Killed:
            return
        except StoreError as error:
            self.is_alive = False
            world.trace("agent", "can't start: " + str(error).replace(str(world.folder), "STORE"))
            world.disk.close()
            self.queue.at(self.queue.now_us + _OPEN_AGAIN_US, self.start)
            return
        self._stored_ms = world.clock.monotonic_ms()
        self.wake_by(self.queue.now_us)
        world.trace("agent", "starts")

    def _build(self):
        world = self._world
        store = world.disk.open_store()
        boards = world.boards
        buffers = {board.plan.alias: Recent(WINDOW) for board in boards}
        alerting = Alerting(self._rules, store.rule_state)
        self._ingest = Ingest(
            store,
            Pipeline(self._policy, buffers, alerting),
            world.clock,
            Random(world.rng.getrandbits(32)),
            self,  # it is woken as an Event is set
            commit_max=COMMIT_MAX,
            pins=world.sabotage.pins,
            upkeep=Housekeeping(store, free_size=lambda _: 1 << 50),
        )
        self._ingest.resume(buffers)
        wrap = world.sabotage.wrap_put
        put = self._put if wrap is None else wrap(self._put)
        self.links = [LinkThread(world, board, put) for board in boards]

    def die(self):
        """End the process: all that is not on the disk is gone."""
        if not self.is_alive:
            return
        if self.is_retiming:
            self._world.struck("killed_while_retiming")
        self._end()
        self._world.disk.kill()
        self._world.trace("agent", "is killed")

    def stop(self):
        """End the process in order, as `EdgeAgent.stop` does."""
        if not self.is_alive or self._is_busy:
            return
        try:
            self._work(self._ingest.end)
        except Killed:
            return
        for thread in self.links:
            thread.link.stop()
        self._end()
        self._world.disk.close()
        self._world.trace("agent", "stops")

    def _end(self):
        """Count the run, and let all that it has in memory go."""
        self._count()
        self.is_alive = False
        for thread in self.links:
            thread.end()
        self.links = []
        self._ingest = None
        self.rest()

    def _count(self):
        if self._ingest is None:  # it had not got so far
            return
        for thread in self.links:
            status = thread.link.status()
            self.duplicates_total += status["duplicates_total"]
            self.seals[thread.link.name].update({name: status[name] for name in seals.COUNTERS})
            if status["quarantined_total"]:
                self._world.struck("quarantined", status["quarantined_total"])
            dialogue = thread.link.dialogue
            if dialogue.challenge is not None and dialogue.challenge.seal.session is not None:
                self._world.struck("sealed_session")
        self.late_total += self._ingest.pipeline.alerting.late_total
        self.commit_failures_total += self._ingest.commit_failures_total

    def settle(self):
        """Count the run that is still going on, at the end of the world."""
        if self.is_alive:
            self._count()

    # -- the main thread -----------------------------------------------------------

    def set(self):
        """Be woken, as an Event would be set."""
        if not self._is_busy:  # else it looks anyway when it is done
            self.wake_by(self.queue.now_us)

    def step(self):
        if not self.is_alive or self._is_busy:
            return
        clock, commit_ms = self._world.clock, self._world.plan.commit_ms
        if clock.monotonic_ms() >= self._ingest.due_ms(self._stored_ms, commit_ms):
            self._stored_ms = clock.monotonic_ms()
            try:
                self._work(self._ingest.run)
            except Killed:
                return
        due_ms = self._ingest.due_ms(self._stored_ms, commit_ms)
        self.wake_by(self.queue.now_us + max(1, due_ms - clock.monotonic_ms()) * 1000)

    def _work(self, call):
        self._is_busy = True
        try:
            call()
        finally:
            self._is_busy = False

    def wait(self, duration_us):
        """Wait for the disk while everybody else goes on. Raises Killed if that was the end."""
        run = self.runs
        self.queue.run_until(self.queue.now_us + duration_us, lambda: self.runs_out(run))
        if self.runs_out(run):
            self._world.struck("killed_while_slow")
            raise Killed

    def runs_out(self, run):
        """Return whether that run is over."""
        return not self.is_alive or self.runs != run

    def _put(self, link, event):
        trace = self._world.trace
        if trace.is_on:
            if isinstance(event, Greeting):
                trace(link.name, "greeting of boot %08x" % event.hello.boot)
            elif isinstance(event, Loss):
                text = "gap %d..%d of stream %d" % (event.first_seq, event.last_seq, event.stream)
                trace(link.name, text)
        return self._ingest.put(link, event)
