"""doctor about servers: names, addresses and certificates. Real sockets, real TLS, on loopback."""

import socket
import ssl
import threading
from contextlib import contextmanager

import pytest
from host.doctor_rig import only
from host.processes import certificates, free_port
from pyv_edge_agent.cli.checks import network, sinks, sources
from pyv_edge_agent.cli.checks.finding import Check
from pyv_edge_agent.cli.checks.network import Endpoint, TLSFiles
from pyv_edge_agent.clock import SystemClock

ADDRESS, TLS = Check("sink.address", "http"), Check("sink.tls", "http")


@contextmanager
def answering(answer):
    """Run `answer(connection)` for each connection, until the block ends; yields the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    try:
                        answer(connection)
                    except OSError:
                        continue  # the client has given up

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(10)


def secured(certificate, key, ca=None, greeting=b""):
    """Return what answers with a certificate; with `ca`, to clients that show one of its."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    if ca is not None:
        context.load_verify_locations(ca)
        context.verify_mode = ssl.CERT_REQUIRED

    def answer(connection):
        connection.sendall(greeting)
        with context.wrap_socket(connection, server_side=True) as line:
            line.recv(1)

    return answer


# -- names and addresses -----------------------------------------------------------------


def check_address(endpoint, **how):
    found, line = network.check_address(ADDRESS, endpoint, **how)
    if line is not None:
        line.close()
    return only([found]), line is not None


def test_server_that_is_there():
    with answering(lambda connection: connection.recv(1)) as port:
        found, is_connected = check_address(Endpoint("127.0.0.1", port))
    assert (found.level, found.text, is_connected) == (
        "ok",
        f"127.0.0.1:{port} can be reached",
        True,
    )


def test_server_that_refuses():
    port = free_port()
    found, is_connected = check_address(Endpoint("127.0.0.1", port))
    assert (found.level, is_connected) == ("fail", False)
    assert found.text == f"127.0.0.1:{port}: Connection refused"
    assert found.fix.startswith("nothing listens there")


def test_server_that_does_not_answer():
    """A listener whose queue is full lets further connections wait."""
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for one in (first, second):
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        found, is_connected = check_address(
            Endpoint(*full.getsockname()), connect=lambda place: network.connect(place, 0.2)
        )
    assert (found.level, is_connected) == ("fail", False)
    assert "no answer in time" in found.text
    assert "firewall" in found.fix


def test_name_that_is_not_known():
    def look_up(host, port):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    found, _ = check_address(Endpoint("cloud.invalid", 443), look_up=look_up)
    assert (found.level, found.text) == (
        "fail",
        "the name cloud.invalid is not known: Name or service not known",
    )
    for host in ("cloud..invalid", "x" * 70):  # no name at all
        found, _ = check_address(Endpoint(host, 443))
        assert "is not known" in found.text


def test_all_addresses_are_tried():
    tried = []

    def connect(place):
        tried.append(place[1])
        if len(tried) < 3:
            raise OSError(101, "Network is unreachable")
        return socket.socket()

    places = [(socket.AF_INET, (f"10.0.0.{number}", 1)) for number in range(9)]
    found, is_connected = check_address(
        Endpoint("cloud", 1), look_up=lambda *_: places, connect=connect
    )
    assert (found.level, is_connected, len(tried)) == ("ok", True, 3)
    tried.append(None)
    found, _ = check_address(Endpoint("cloud", 1), look_up=lambda *_: [], connect=connect)
    assert "it has no address" in found.text
    assert Endpoint("::1", 5).shown == "[::1]:5"


def test_network_that_is_down():
    def connect(place):
        raise OSError(101, "Network is unreachable")

    found, _ = check_address(Endpoint("127.0.0.1", 9), connect=connect)
    assert (found.level, "Network is unreachable" in found.text) == ("fail", True)


# -- certificates ------------------------------------------------------------------------


def check_tls(port, files, host="127.0.0.1", **more):
    endpoint = Endpoint(host, port, files, **more)
    line = network.connect((socket.AF_INET, ("127.0.0.1", port)), 2.0)
    return only([network.check_tls(TLS, endpoint, line, SystemClock().utc_ms())])


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return certificates(tmp_path_factory.mktemp("good"), days=400)


def test_certificate_that_is_right(good):
    ca, cert, key, _ = good
    with answering(secured(cert, key)) as port:
        found = check_tls(port, TLSFiles(ca))
    assert (found.level, "is good for 400 more days" in found.text) == ("ok", True)


def test_server_that_greets_before_tls(good):
    ca, cert, key, _ = good
    with answering(secured(cert, key, greeting=b'INFO {"tls_required": true}\r\n')) as port:
        assert check_tls(port, TLSFiles(ca), greets_first=True).level == "ok"
        assert check_tls(port, TLSFiles(ca)).level == "fail"


def test_authority_that_is_not_known(good):
    _, cert, key, other = good
    with answering(secured(cert, key)) as port:
        for files in (TLSFiles(other), TLSFiles()):
            found = check_tls(port, files)
            assert (found.level, "is refused" in found.text) == ("fail", True)
            assert found.fix.startswith("ca_file must be")


def test_certificate_that_has_expired_or_soon_will(tmp_path):
    ca, cert, key, _ = certificates(tmp_path / "old", days=-1)
    with answering(secured(cert, key)) as port:
        found = check_tls(port, TLSFiles(ca))
    assert (found.level, "expired" in found.text) == ("fail", True)
    ca, cert, key, _ = certificates(tmp_path / "short", days=3)
    with answering(secured(cert, key)) as port:
        found = check_tls(port, TLSFiles(ca))
    assert (found.level, "good for 3 more days" in found.text) == ("warn", True)


def test_certificate_of_another_name(tmp_path):
    ca, cert, key, _ = certificates(tmp_path, name="DNS:other.example")
    with answering(secured(cert, key)) as port:
        for host in ("127.0.0.1", "cloud.example"):
            found = check_tls(port, TLSFiles(ca), host)
            assert (found.level, found.fix) == ("fail", "use the name that is in the certificate")


def test_server_that_speaks_no_tls_or_nothing(good):
    ca = good[0]
    with answering(lambda connection: connection.sendall(b"220 mail\r\n" * 9)) as port:
        found = check_tls(port, TLSFiles(ca))
    assert (found.level, "does not begin TLS" in found.text) == ("fail", True)
    silent = threading.Event()
    with answering(lambda connection: silent.wait(10)) as port:
        endpoint = Endpoint("127.0.0.1", port, TLSFiles(ca))
        line = network.connect((socket.AF_INET, ("127.0.0.1", port)), 0.2)
        found = only([network.check_tls(TLS, endpoint, line, 0)])
        silent.set()
    assert (found.level, "no answer in time" in found.text) == ("fail", True)


def test_files_that_can_not_be_used(good, tmp_path):
    ca, cert, key, _ = good
    (tmp_path / "text.pem").write_text("no certificate")
    with answering(secured(cert, key)) as port:
        for files in (
            TLSFiles(tmp_path / "none.pem"),
            TLSFiles(tmp_path / "text.pem"),
            TLSFiles(ca, tmp_path / "none.pem"),
            TLSFiles(ca, cert, tmp_path / "text.pem"),
        ):
            found = check_tls(port, files)
            assert (found.level, "can't be used" in found.text) == ("fail", True)
            assert str(tmp_path) in found.text


def test_own_certificate_is_shown_to_a_server_that_wants_it(good):
    ca, cert, key, _ = good
    with answering(secured(cert, key, ca)) as port:
        assert check_tls(port, TLSFiles(ca, cert, key)).level == "ok"


# -- where sinks and devices send to -----------------------------------------------------


@pytest.fixture
def without_proxies(monkeypatch):
    for name in ("http_proxy", "https_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def of_sink(name, folder, **settings):
    files = {"ca_file": "", "cert_file": "", "key_file": ""}
    return list(sinks.endpoints(name, {**files, **settings}, folder))


def test_servers_of_sinks(tmp_path, without_proxies):
    (http,) = of_sink("http", tmp_path, endpoint="https://u:p@cloud.example/in?k=1")
    assert (http.host, http.port, http.tls.ca.name) == ("cloud.example", 443, "cacert.pem")
    (http,) = of_sink("http", tmp_path, endpoint="https://cloud.example:8443/", ca_file="ca.pem")
    assert (http.port, http.tls.ca) == (8443, tmp_path / "ca.pem")
    (influx,) = of_sink("influxdb", tmp_path, url="http://db:8086")
    assert (influx.host, influx.port, influx.tls) == ("db", 8086, None)
    (mqtt,) = of_sink("mqtt", tmp_path, host="broker", port=8883, tls=True)
    assert (mqtt.host, mqtt.port, mqtt.tls) == ("broker", 8883, TLSFiles())
    one, two, three = of_sink(
        "nats", tmp_path, servers="nats://a, tls://me:pw@b:4333,wss://c", cert_file=""
    )
    assert [(one.host, one.port, one.tls, one.greets_first)] == [("a", 4222, None, True)]
    assert [(two.host, two.port, two.tls, two.greets_first)] == [("b", 4333, TLSFiles(), True)]
    assert [(three.host, three.port, three.greets_first)] == [("c", 443, False)]
    (one,) = of_sink("nats", tmp_path, servers="nats://a", ca_file="ca.pem")
    assert one.tls == TLSFiles(tmp_path / "ca.pem")
    assert of_sink("file", tmp_path) == []


def test_proxy_is_what_has_to_be_reached(tmp_path, without_proxies, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    (http,) = of_sink("http", tmp_path, endpoint="https://cloud.example/in")
    assert (http.host, http.port, http.tls) == ("proxy.example", 3128, None)
    assert http.shown == "proxy.example:3128, the proxy on the way to cloud.example"
    (influx,) = of_sink("influxdb", tmp_path, url="https://db.example")
    assert influx.host == "db.example"  # which goes past it
    monkeypatch.setenv("NO_PROXY", "cloud.example")
    (http,) = of_sink("http", tmp_path, endpoint="https://cloud.example/in")
    assert http.host == "cloud.example"


def test_servers_of_devices(tmp_path, without_proxies):
    tls = {"ca_file": "ca.pem", "cert_file": "", "key_file": ""}
    mqtt = {"ingest_type": "mqtt", "host": "broker", "port": 1883, "tls": False, **tls}
    assert sources.endpoint(mqtt, tmp_path) == Endpoint("broker", 1883)
    assert sources.endpoint({**mqtt, "tls": True}, tmp_path).tls == TLSFiles(tmp_path / "ca.pem")
    poll = {"ingest_type": "http_poll", "url": "https://weather.example/now?key=1", **tls}
    assert sources.endpoint(poll, tmp_path).shown == "weather.example:443"
    assert sources.endpoint({"ingest_type": "simulator"}, tmp_path) is None
