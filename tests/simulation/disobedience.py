"""Ways to break what is asked of boards: each must be found by the invariant that it breaks."""

from pyv_edge_core import message
from pyv_edge_core.device_session import DeviceSession
from pyv_edge_core.frame import FrameDecoder, encode


def alter_commands(**changes):
    """Return a wire that adds to fields of COMMANDs and mends the FCS."""

    def tamper(data):
        payloads = FrameDecoder().feed(data)
        if len(payloads) != 1 or payloads[0][1] != message.COMMAND:
            return data
        _, command = message.parse(payloads[0])
        for name, more in changes.items():
            command = command._replace(**{name: getattr(command, name) + more})
        return encode(message.pack(message.COMMAND, *command))

    return tamper


class _HastySession(DeviceSession):
    """Believes that the host has all, always."""

    is_idle = True


def reset_at_once(app):
    """Let the node not wait for the host before a reset."""
    app.session.__class__ = _HastySession


def do_twice(app):
    """Let the node carry out every request again when it has answered it."""
    session = app.session
    answer = session.answer

    def answer_and_keep(code, value=0, text=""):
        asked = session.request
        answer(code, value, text)
        session.request = asked

    session.answer = answer_and_keep


def do_not(app):
    """Let the node answer that it is in safe mode, and go on."""
    answer = app.session.answer

    def answer_only(code, value=0, text=""):
        app.is_safe = False
        answer(code, value, text)

    app.session.answer = answer_only


def never_answer(link):
    """Let the link not look after its requests."""
    link.dialogue.run_requests = lambda is_open: None


def expire_as(code):
    """Return what lets a link say `code` of requests that it gives up."""

    def spoil(link):
        requester = link.requests.requester
        expire = requester.expire

        def expire_wrong(boot, now_ms):
            return [answer._replace(code=code) for answer in expire(boot, now_ms)]

        requester.expire = expire_wrong

    return spoil


def keep_bad_settings(app):
    """Let the node go on with its trial whatever fails."""
    trial = app.trial
    if trial is None:
        return
    watch = trial.watch

    def watch_unless_it_fails(app):
        if not app.errors_total:
            watch(app)

    trial.watch = watch_unless_it_fails


def spoil_renames(app):
    """Let what is put in force be other bytes than what came."""
    flash = app.board.flash

    def rename(name, target):
        content = flash.read(name)
        flash.remove(name)
        flash.write(target, content + b" ")

    flash.rename = rename
