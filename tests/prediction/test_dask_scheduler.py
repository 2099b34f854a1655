"""Addresses at which no Dask scheduler answers, or something else does; and what workers of this project start with."""
import contextlib
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading

import dask
import pytest

from src.common.errors import InputError
from src.prediction import dask_scheduler
from tests.programs import runner

TLS = "distributed.comm.tls."  # begins the keys of Dask's configuration


def refusal(address, timeout=1):
    """The sentence about an address."""
    with pytest.raises(InputError) as raised:
        dask_scheduler.client(address, timeout)
    assert "\n" not in str(raised.value) and len(str(raised.value)) < 600
    return str(raised.value)


@pytest.mark.parametrize("address", [
    "ucx://127.0.0.1:8786", "inproc://10.0.0.1/1/2", "http://127.0.0.1:8786", "nonsense", "tcp://127.0.0.1",
    "127.0.0.1", "8786", "tcp://127.0.0.1:99999", "tcp://:8786", "tcp://127.0.0.1:8786/x", "tcp://a b:8786",
    "tcp://::1:8786"])
def test_what_is_no_address(address):
    assert refusal(address).startswith("No scheduler answers at %s (it is not of the form tcp://HOST:PORT or tls://" %
                                       address)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "127.0.0.1:1", "tcp://[::1]:1", "tcp://%s:1" % ("x" * 64)])
def test_nobody_at_an_address(address):
    assert refusal(address).startswith("No scheduler answers at %s (" % address)


def test_nobody_answers_is_said_while_it_is_waited_for(monkeypatch, caplog):
    monkeypatch.setattr(dask_scheduler, "_SAY_SECONDS", .5)
    monkeypatch.setattr(dask_scheduler.log, "propagate", True)
    with caplog.at_level("INFO", "yt8m"):
        refusal("tcp://127.0.0.1:1", 2)
    assert caplog.messages[0] == "waiting for the scheduler at tcp://127.0.0.1:1 ([Errno 111] Connection refused)"


@contextlib.contextmanager
def server(serve):
    """Context of the port of a server that calls serve(connection) for each connection."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        connections = []

        def accept():
            with contextlib.suppress(OSError):
                while True:
                    connections.append(listening.accept()[0])
                    threading.Thread(target=serve, args=(connections[-1],), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield listening.getsockname()[1]
        for each in connections:
            each.close()


def _is_silent(connection):
    """As a web server is, until it is asked."""


def _greets(connection):
    with contextlib.suppress(OSError):
        connection.sendall(b"SSH-2.0-OpenSSH_8.9\r\n")
        connection.close()


@pytest.mark.parametrize("serve", [_is_silent, _greets])
@pytest.mark.parametrize("scheme", ["tcp", "tls"])
def test_something_else_at_an_address(serve, scheme, certificates, monkeypatch):
    monkeypatch.setattr(dask_scheduler, "_CALL_SECONDS", 1.0)
    with server(serve) as port, dask.config.set(certificates):
        address = "%s://127.0.0.1:%d" % (scheme, port)
        assert refusal(address).startswith("Something answers at %s, but not as a scheduler of distributed" % address)


def test_whoever_ends_while_it_is_connected_to_does_not_answer():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        address = "tcp://127.0.0.1:%d" % listening.getsockname()[1]

        def accept():
            listening.accept()[0].close()  # of the look whether anybody listens
            connection = listening.accept()[0]
            listening.close()
            connection.close()

        threading.Thread(target=accept, daemon=True).start()
        assert refusal(address).startswith("No scheduler answers at %s (" % address)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """Dask's configuration of TLS."""
    if not shutil.which("openssl"):
        pytest.skip("needs openssl")
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = str(folder / "cert.pem"), str(folder / "key.pem")
    subprocess.check_call(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out",
                           certificate, "-days", "9", "-subj", "/CN=dask"], stderr=subprocess.DEVNULL)
    return {TLS + "ca-file": certificate, TLS + "client.cert": certificate, TLS + "client.key": key}


def test_a_scheduler_that_speaks_tls(certificates):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS)
    context.load_cert_chain(certificates[TLS + "client.cert"], certificates[TLS + "client.key"])
    context.load_verify_locations(certificates[TLS + "ca-file"])
    context.verify_mode = ssl.CERT_REQUIRED  # as Dask does

    def serve(connection):
        with contextlib.suppress(OSError):
            context.wrap_socket(connection, server_side=True)

    with server(serve) as port:
        assert refusal("tcp://127.0.0.1:%d" % port).startswith(
            "What answers at tcp://127.0.0.1:%d speaks TLS: give --scheduler=tls://127.0.0.1:%d, with its certificates "
            "in DASK_DISTRIBUTED__COMM__TLS__CA_FILE, " % (port, port))


def test_tls_needs_certificates():
    assert refusal("tls://127.0.0.1:1").startswith(
        "tls://127.0.0.1:1 needs certificates: set DASK_DISTRIBUTED__COMM__TLS__CA_FILE and DASK_DISTRIBUTED__")


@pytest.mark.parametrize("wrong", ["ca-file", "client.cert", "client.key"])
def test_certificates_that_cannot_be_read(certificates, wrong):
    with dask.config.set(dict(certificates, **{TLS + wrong: "/nowhere"})):
        told = refusal("tls://127.0.0.1:1")
    assert told.startswith("The certificates for tls://127.0.0.1:1 cannot be used (")
    assert "DASK_DISTRIBUTED__COMM__TLS__%s=/nowhere" % {
        "ca-file": "CA_FILE", "client.cert": "CLIENT__CERT", "client.key": "CLIENT__KEY"}[wrong] in told


def test_required_encryption_is_kept():
    with dask.config.set({"distributed.comm.require-encryption": True}):
        assert refusal("tcp://127.0.0.1:1").startswith("Dask's configuration requires encryption, and tcp://127.0.0.1")
        for start in lambda: dask_scheduler.own("127.0.0.1", 0), lambda: dask_scheduler.own_workers().__enter__():
            with pytest.raises(InputError, match="^Dask's configuration requires encryption, and the cluster "):
                start()


def test_workers_of_this_project_have_a_temporary_folder_and_do_not_pause(tmp_path, monkeypatch):
    monkeypatch.setattr(dask_scheduler.tempfile, "tempdir", str(tmp_path))
    before = dask.config.get("distributed.worker.memory.pause")
    with dask_scheduler.own_workers():
        folder, = tmp_path.iterdir()
        assert dask.config.get("temporary-directory") == str(folder) and os.stat(str(folder)).st_mode & 0o77 == 0
        assert dask.config.get("distributed.worker.memory.pause") is False
        assert dask.config.get("distributed.worker.memory.spill") is False
    assert not list(tmp_path.iterdir()) and dask.config.get("distributed.worker.memory.pause") == before


def test_workers_need_a_temporary_folder(monkeypatch):
    monkeypatch.setattr(dask_scheduler.tempfile, "tempdir", "/nowhere")
    with pytest.raises(InputError, match="^The workers' files need a temporary folder [(].*/nowhere.*set TMPDIR to"):
        dask_scheduler.own_workers().__enter__()


def _close_beside_a_stopped_process():
    """Exits with 0 if a worker process that is stopped while it starts has ended once its cluster is closed."""
    with dask_scheduler.own_workers():
        started = dask_scheduler.own("127.0.0.1", 0, 1)
        runner.wait_until(lambda: dask_scheduler.num_alive() == 1)
        nanny, = dask_scheduler._Nanny.started
        pid = nanny.pid
        os.kill(pid, signal.SIGSTOP)
        dask_scheduler.close(started)
    runner.wait_until(lambda: not os.path.exists("/proc/%d" % pid))
    sys.exit(0)


def test_a_stopped_worker_process_does_not_keep_the_cluster_from_its_end():
    process = runner.start(_close_beside_a_stopped_process)
    process.join(100)
    assert process.exitcode == 0


def test_a_worker_that_cannot_start_says_why_in_one_line():
    with pytest.raises(SystemExit) as raised, dask.config.set({"temporary-directory": "/proc/nowhere"}):
        dask_scheduler._Worker("tcp://127.0.0.1:1")
    assert str(raised.value).startswith("a worker process cannot start ([Errno 2] No such file or directory: '/proc/")
