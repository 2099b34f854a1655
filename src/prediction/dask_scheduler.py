"""Reaching a Dask scheduler, or starting one with workers on this machine."""
import asyncio
import contextlib
import functools
import logging
import multiprocessing
import os
import re
import shutil
import signal
import socket
import ssl
import sys
import tempfile
import time

import dask
import distributed
from distributed.comm import connect

from src.common import interrupts
from src.common import runtime
from src.common.errors import InputError

log = logging.getLogger("yt8m")

_ADDRESS = re.compile(r"(?:(tcp|tls)://)?(\[[0-9A-Fa-f:.%]+\]|[^\s/:@\[\]]+):(\d{1,5})")
_TLS = "DASK_DISTRIBUTED__COMM__TLS__"  # begins the environment's variables
_HANDSHAKE_SECONDS = 20.0  # for whoever listens to answer as a scheduler does
_CALL_SECONDS = 5.0  # a connection
_CLOSE_SECONDS = 10.0  # for a cluster of this process to end
_SILENT = logging.CRITICAL + 1
_SAY_SECONDS = 30.0  # between lines about a scheduler that does not answer


def client(address, timeout):
    """A distributed.Client of a scheduler.

    Args:
      address: tcp://HOST:PORT, or tls://HOST:PORT.
      timeout: seconds to wait for it.

    Raises:
      InputError: nobody answers, or whoever answers is no scheduler that this process can talk to.
    """
    scheme, host, port = _parsed(address)
    security = _security(address, scheme)
    _wait_for(address, (host, port), timeout)
    _silence()
    seconds = min(timeout, _HANDSHAKE_SECONDS)
    try:
        with contextlib.closing(asyncio.new_event_loop()) as loop:
            loop.run_until_complete(asyncio.wait_for(_greet(address, security, seconds), seconds))
        return distributed.Client(address, timeout=seconds, security=security, set_as_default=False)
    except Exception as error:  # pylint: disable=broad-except
        _wait_for(address, (host, port), 0)  # it may have ended meanwhile
        raise InputError(_no_scheduler(address, scheme, (host, port), error))


async def _greet(address, security, seconds):
    """Connects and closes again, in limited time: today's distributed.Client waits for a silent server for ever."""
    comm = await connect(address, timeout=seconds, **security.get_connection_args("client"))
    await comm.close()


def _silence():
    """Silences the tracebacks that Dask logs of whatever ends or is not understood: this project has its own lines."""
    dask_log = logging.getLogger("distributed")
    dask_log.propagate = False
    for handler in dask_log.handlers:
        handler.setLevel(_SILENT)
    logging.getLogger("asyncio").setLevel(_SILENT)


def _parsed(address):
    """(scheme, host, port) of a scheduler's address."""
    matched = _ADDRESS.fullmatch(address)
    if not matched or not 0 < int(matched.group(3)) < 1 << 16:
        raise InputError("No scheduler answers at %s (it is not of the form tcp://HOST:PORT or tls://HOST:PORT): start "
                         "dask-scheduler there, or correct the address." % address)
    return matched.group(1) or "tcp", matched.group(2).strip("[]"), int(matched.group(3))


def _security(address, scheme):
    """The distributed.Security in Dask's configuration.

    Raises:
      InputError: TLS lacks its certificates, or they cannot be read.
    """
    security = distributed.Security()
    if scheme == "tcp":
        _check_plain_allowed(address)
    else:
        if not (security.tls_ca_file and security.tls_client_cert):
            raise InputError("%s needs certificates: set %sCA_FILE and %sCLIENT__CERT to their files, and "
                             "%sCLIENT__KEY to the key's." % (address, _TLS, _TLS, _TLS))
        try:
            security.get_connection_args("client")
        except (OSError, TypeError, ValueError) as error:
            raise InputError("The certificates for %s cannot be used (%s): correct %sCA_FILE=%s, %sCLIENT__CERT=%s or "
                             "%sCLIENT__KEY=%s." % (address, error, _TLS, security.tls_ca_file, _TLS,
                                                    security.tls_client_cert, _TLS, security.tls_client_key))
    return security


def _check_plain_allowed(what):
    """Raises an InputError if Dask's configuration requires encryption."""
    if dask.config.get("distributed.comm.require-encryption"):
        raise InputError("Dask's configuration requires encryption, and %s has none: use --scheduler=tls://HOST:PORT, "
                         "or unset DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION." % what)


def _wait_for(address, host_and_port, timeout):
    """Waits until somebody listens at an address.

    Raises:
      InputError: nobody does in time.
    """
    start = said = time.time()
    while True:
        try:
            socket.create_connection(host_and_port, _CALL_SECONDS).close()
            return
        except (OSError, UnicodeError) as error:  # UnicodeError: the host's name is too long, for example
            now = time.time()
            if now - start >= timeout:
                raise InputError("No scheduler answers at %s (%.200s): start dask-scheduler there, or correct the "
                                 "address." % (address, error))
            if now - said >= _SAY_SECONDS:
                said = now
                log.info("waiting for the scheduler at %s (%.200s)", address, error)
            time.sleep(min(1.0, max(0.0, start + timeout - now)))


def _no_scheduler(address, scheme, host_and_port, error):
    """The sentence about whoever listens at an address, but does not answer as a scheduler does."""
    if scheme == "tcp" and _speaks_tls(host_and_port):
        return "What answers at %s speaks TLS: give --scheduler=tls://%s, with its certificates in %sCA_FILE, " \
            "%sCLIENT__CERT and %sCLIENT__KEY." % (address, address.split("://")[-1], _TLS, _TLS, _TLS)
    return "Something answers at %s, but not as a scheduler of distributed %s does%s (%.200s): correct %s, or start " \
        "dask-scheduler there with this project's %s." % (
            address, distributed.__version__, *(
                (" by TLS", _reason(error), "the address or the certificates") if scheme == "tls"
                else ("", _reason(error), "the address")), runtime.REQUIREMENTS)


def _reason(error):
    return str(error) or error.__cause__ or type(error).__name__


def _speaks_tls(host_and_port):
    """Whether a server speaks TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS)  # takes any certificate
    try:
        with socket.create_connection(host_and_port, _CALL_SECONDS) as plain, context.wrap_socket(plain):
            return True
    except ssl.SSLError as error:
        return "ALERT" in str(error.reason)  # such as for the lack of our certificate
    except OSError:
        return False


class _Worker(distributed.Worker):
    """A worker that says in one line why it cannot start."""

    def __init__(self, *args, **kwargs):
        try:
            super(_Worker, self).__init__(*args, **kwargs)
        except Exception as error:  # pylint: disable=broad-except
            sys.exit("a worker process cannot start (%s)" % error)


class _Nanny(distributed.Nanny):
    """Starts a worker process that sees one GPU, and starts it again if it dies, but not for the memory that it holds.

    Attributes:
      started: all of them.
    """

    started = []

    def __init__(self, *args, name, **kwargs):
        super(_Nanny, self).__init__(*args, name=name, env={"CUDA_VISIBLE_DEVICES": str(name)}, **kwargs)
        self.started.append(self)
        # This thread starts the worker, which inherits that. Ctrl-C is for the main thread, which ends the workers.
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])

    def memory_monitor(self):
        pass


def own(host, port, num_workers=0):
    """Starts a scheduler in this process, and one worker process per GPU.

    Args:
      host: address at which the scheduler serves.
      port: its port; 0: any.
      num_workers: worker processes, which may start after this function returns.

    Returns:
      distributed.SpecCluster, to be closed by `close`.

    Raises:
      InputError: Dask's configuration requires encryption.
      OSError: the scheduler cannot serve at the address.
    """
    _check_plain_allowed("the cluster that this process starts")
    _silence()
    # Has multiprocessing start its tracker in this thread: the one that does it gets Ctrl-C unblocked; see `_Nanny`.
    multiprocessing.get_context("spawn").Lock()
    started = distributed.SpecCluster(
        scheduler={"cls": distributed.Scheduler, "options": {
            "host": host, "port": port, "dashboard": False, "dashboard_address": "127.0.0.1:0"}},  # 0: any port
        worker={"cls": _Nanny, "options": {"nthreads": 1, "host": "127.0.0.1", "dashboard": False,
                                           "worker_class": _Worker, "silence_logs": _SILENT}},
        silence_logs=_SILENT)
    started.scale(num_workers)  # numbers them
    return started


def num_alive():
    """Number of worker processes that `own` has started and that run."""
    return sum(nanny.is_alive() for nanny in _Nanny.started)


def close(started):
    """Closes what `own` has started; its worker processes are killed, as a stopped one would never end."""
    _kill_workers()
    with contextlib.suppress(Exception):  # nothing is left to be lost
        started.close(timeout=_CLOSE_SECONDS)


def _kill_workers():
    """Kills the worker processes, and has Dask start none in their place."""
    for nanny in _Nanny.started:
        nanny.auto_restart = False
        if nanny.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(nanny.pid, signal.SIGKILL)


@contextlib.contextmanager
def own_workers():
    """Context for workers that this project starts.

    They keep their files below the temporary folder. Dask neither pauses nor ends them for the memory that they hold;
    results beyond Dask's share of the memory go to disk all the same.

    Raises:
      InputError: there is no temporary folder that can be written, or Dask's configuration requires encryption.
    """
    _check_plain_allowed("the cluster of this worker")
    try:
        folder = tempfile.mkdtemp(prefix="yt8m-workers-")
    except OSError as error:
        raise InputError("The workers' files need a temporary folder (%s): make room in it, or set TMPDIR to another "
                         "one." % error)
    remove_files = functools.partial(shutil.rmtree, folder, ignore_errors=True)
    with interrupts.cleaning_up(remove_files), interrupts.cleaning_up(_kill_workers):
        with dask.config.set({"temporary-directory": folder, "distributed.worker.memory.spill": False,
                              "distributed.worker.memory.pause": False,
                              "distributed.deploy.lost-worker-timeout": "1 day"}):  # they may take long to start again
            yield
