"""Why a server gives no reply: what the library raises, in words that say what to do."""

import socket
import ssl
import struct
import threading
from contextlib import suppress

import pytest
from host.processes import certificates, free_port
from pyv_edge_agent.sinks.no_reply import why_no_reply

requests = pytest.importorskip("requests")

SECRET = "hunter2"
HEAD = b"HTTP/1.1 200 OK\r\n"


class Server:
    """Answers each connection with bytes and ends it; None: it says nothing."""

    def __init__(self, answer, wrap=None):
        self.answer, self.wrap = answer, wrap
        self.over = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                line, _ = self.listener.accept()
            except OSError:
                return
            with suppress(OSError):
                self._answer(line)

    def _answer(self, line):
        with line:
            if self.wrap is not None:
                line = self.wrap.wrap_socket(line, server_side=True)
            line.recv(1000)
            if self.answer is None:
                self.over.wait()
            elif self.answer == "reset":
                line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            else:
                line.sendall(self.answer)

    def close(self):
        self.over.set()
        with suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def why(url, timeout=20, **more):
    url = url.replace("//", f"//user:{SECRET}@", 1) + f"?token={SECRET}"
    with pytest.raises((requests.RequestException, OSError, ValueError)) as caught:
        requests.get(url, timeout=timeout, **more)
    found = why_no_reply(caught.value)
    assert SECRET not in found
    assert "\n" not in found
    return found


@pytest.mark.parametrize(
    ("answer", "scheme", "expected"),
    [
        (b"4711\n" * 10, "http", "what comes is no HTTP; check the port"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nzzz\r\n", "http", "what comes is no HTTP"),
        (HEAD + b"Content-Length: 9\r\n\r\nabc", "http", "the server has closed the connection"),
        (b"", "http", "the server has closed the connection"),
        ("reset", "http", "the server has closed the connection"),
        (b"4711\n" * 10, "https", "check that the port is for https"),
    ],
)
def test_server_that_does_not_answer_as_it_should(answer, scheme, expected):
    server = Server(answer)
    try:
        assert expected in why(f"{scheme}://127.0.0.1:{server.port}/in")
    finally:
        server.close()


def test_server_that_is_silent():
    server = Server(None)
    try:
        assert why(f"http://127.0.0.1:{server.port}/", timeout=0.1) == "no answer in time"
    finally:
        server.close()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://name.invalid/", "the name of the host is not known"),
        (f"http://{'a' * 70}.org/", "the name of the host is not known"),
        ("http://[::1", "it leads to what is no URL of a web server"),
        ("http://127.0.0.1:99999/", "it leads to what is no URL of a web server"),
        ("mailto://x", "it leads to what is no URL of a web server"),
    ],
)
def test_url_that_leads_nowhere(url, expected):
    assert expected in why(url)


def test_nobody_there():
    assert "connection refused" in why(f"http://127.0.0.1:{free_port()}/")


def test_proxy_that_refuses():
    server = Server(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
    try:
        proxies = {"https": f"http://127.0.0.1:{server.port}"}
        assert "the proxy" in why("https://cloud.example/", proxies=proxies)
    finally:
        server.close()


def test_certificates(tmp_path):
    ca, cert, key, *_ = certificates(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    server = Server(HEAD + b"Content-Length: 0\r\n\r\n", context)
    url = f"https://127.0.0.1:{server.port}/"
    try:
        assert "its certificate is not trusted (" in why(url)
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(ca)
        found = why(url, verify=str(ca))
        assert "check cert_file and key_file" in found
    finally:
        server.close()


def test_error_of_another_kind_is_told_by_its_name_or_what_the_system_says():
    assert why_no_reply(OSError(113, "No route to host")) == "No route to host"
    assert why_no_reply(RuntimeError(SECRET)) == "RuntimeError"


def test_errors_that_name_one_another_have_an_end():
    first, second = ValueError(), ValueError()
    first.__cause__, second.__cause__ = second, first
    assert why_no_reply(first) == "ValueError"
