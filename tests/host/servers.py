"""Real HTTP servers on loopback that answer as a test wants."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Answer:
    """One reply: status, headers, body, and what is done to it on the way."""

    def __init__(self, status=200, body=b"{}", headers=None, kind="application/json"):
        self.status = status
        self.body = body
        self.headers = headers or {}
        self.kind = kind
        self.announced = len(body)  # Content-Length


def half_answer():
    """Return a reply that breaks off in the middle of its body."""
    answer = Answer(200, b'{"accep')
    answer.announced = 100
    return answer


class Cloud:
    """A server that gives `answers` in turn, the last one for ever, and keeps the requests.

    An answer may be a function of the request's body.
    """

    def __init__(self, *answers):
        self.answers = list(answers) or [Answer()]
        self.requests = []  # (path, headers, parsed body)
        self.lock = threading.Lock()
        self.hang = threading.Event()  # set: a request under way goes on
        self.hangs = False
        self.on_request = lambda: None  # called before the answer goes out
        cloud = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with cloud.lock:
                    cloud.requests.append((self.path, dict(self.headers), json.loads(body)))
                    answer = cloud.answers[0]
                    if len(cloud.answers) > 1:
                        cloud.answers.pop(0)
                if callable(answer):
                    answer = answer(json.loads(body))
                cloud.on_request()
                if cloud.hangs:
                    cloud.hang.wait(60)
                    self.close_connection = True
                    return
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.kind)
                self.send_header("Content-Length", str(answer.announced))
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer.body)
                if answer.announced != len(answer.body):
                    self.close_connection = True

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/v1/ingest"

    @property
    def bodies(self):
        return [body for _, _, body in list(self.requests)]

    @property
    def keys(self):
        return [body["batch_id"] for body in self.bodies]


@contextmanager
def running(server):
    """Let a server answer while the block lasts; yields its port."""
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


@contextmanager
def serving(*answers, hangs=False):
    """Run a Cloud while the block lasts."""
    cloud = Cloud(*answers)
    cloud.hangs = hangs
    with running(cloud.server):
        try:
            yield cloud
        finally:
            cloud.hang.set()


@contextmanager
def recording(status=204, headers=(), reply=b""):
    """Run a server that always gives one answer.

    Yields its port and the requests: (path, headers, body as it was sent).
    """
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            asked.append((self.path, dict(self.headers), body))
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, *args):
            pass

    with running(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as port:
        yield port, asked
