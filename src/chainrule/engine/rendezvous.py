"""Processes that will train together find each other first, by plain sockets.

JAX's own way of joining waits for minutes and then ends a process from within, without an error that could be read.
So everything that may go wrong before is found here: a process that is missing, a number that is taken twice, another
count, a port that belongs to somebody else.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import time
from typing import Any

from chainrule.errors import ConfigurationError, RunError

PATIENCE = 300.0
"""So many seconds the processes wait for each other, as JAX does."""
SILENCE = 5.0
"""After so many seconds of waiting a line says for whom."""


def rendezvous(coordinator: str, processes: int, process: int, patience: float = PATIENCE) -> None:
    """Return when all the processes are there, ``coordinator`` being ``"HOST:PORT"`` of process 0.

    Errors: :class:`RunError` where one does not come in time; :class:`ConfigurationError` where they do not fit each
    other, the same one in each of them.
    """
    host, _, port = coordinator.rpartition(":")
    address = host.strip("[]"), int(port)
    if process == 0:
        _gather(address, processes, patience)
    else:
        _report(address, processes, process, patience)


def _gather(address: tuple[str, int], processes: int, patience: float) -> None:
    """Process 0: wait until each of the others has told its number, then tell all to begin."""
    try:
        server = socket.create_server(("", address[1]), backlog=processes)
    except OSError as error:
        raise ConfigurationError(
            "process 0 cannot listen at the port of the coordinator",
            given=f"port {address[1]}: {os.strerror(error.errno or 0)}",
            hint="another port; or is there a process 0 already?",
        ) from None
    there: dict[int, socket.socket] = {}
    wrong = ""
    with server, contextlib.ExitStack() as open_ones:
        waiting = _Waiting(patience)
        while len(there) < processes - 1 and not wrong:
            missing = [k for k in range(1, processes) if k not in there]
            names = f"process {', '.join(map(str, missing[:8]))}{' …' if len(missing) > 8 else ''} of {processes}"
            server.settimeout(waiting.next(names))
            with contextlib.suppress(TimeoutError):
                peer = open_ones.enter_context(server.accept()[0])
                told = _receive(peer)
                number = told.get("process")
                if not isinstance(number, int):
                    continue  # somebody else's connection
                if told.get("processes") != processes:
                    wrong = f"process 0 of {processes}, and process {number} of {told.get('processes')}"
                elif number in there:
                    wrong = f"process {number} twice"
                there.setdefault(number, peer)
                if wrong:
                    _send(peer, {"wrong": wrong})
            if waiting.over:
                wrong = f"not all came within {patience:.0f} s; missing: {names}"
        for peer in there.values():
            _send(peer, {"wrong": wrong})
        for peer in there.values():  # who closes first keeps its port for a while; that should not be process 0
            with contextlib.suppress(OSError):
                peer.settimeout(1.0)
                peer.recv(1)
    if wrong:
        raise _mismatch(wrong)


def _report(address: tuple[str, int], processes: int, process: int, patience: float) -> None:
    """Every other process: tell process 0 the own number, and wait until it says that all are there."""
    waiting = _Waiting(patience)
    while True:
        left = waiting.next(f"process 0 at {address[0]}:{address[1]}")
        try:
            with socket.create_connection(address, timeout=left) as peer:
                if peer.getsockname() == peer.getpeername():  # nobody is there, and its own port happens to be that one
                    raise ConnectionRefusedError
                _send(peer, {"process": process, "processes": processes})
                peer.settimeout(patience + SILENCE)  # process 0 says so if another one does not come
                answer = _receive(peer)
            break
        except (ConnectionRefusedError, TimeoutError):
            time.sleep(min(left, 0.2))
        except OSError as error:
            raise ConfigurationError(
                "the coordinator cannot be reached", given=f"{address[0]}:{address[1]}: {error.strerror or error}"
            ) from None
        if waiting.over:
            raise RunError(
                "process 0 does not answer",
                given=f"{address[0]}:{address[1]}, for {patience:.0f} s",
                hint="is it started, with the same --coordinator, and may its port be reached from here?",
            )
    if "wrong" not in answer:
        raise RunError(
            "what answers there is no process 0 that waits for others",
            given=f"{address[0]}:{address[1]}",
            hint="has the training begun without this process, or does the port belong to something else?",
        )
    if answer["wrong"]:
        raise _mismatch(answer["wrong"])


def _mismatch(wrong: str) -> ConfigurationError:
    return ConfigurationError(
        "the processes do not make a group",
        given=wrong,
        expected="each number from 0 to N - 1 once, with the same N",
        hint="--processes N --process I, cr.distributed(coordinator, processes, process)",
    )


class _Waiting:
    """How long is waited, and a line that says for whom where that takes a while."""

    def __init__(self, patience: float) -> None:
        self.begun, self.end, self.told = time.monotonic(), time.monotonic() + patience, False

    @property
    def over(self) -> bool:
        """Whether it has been long enough."""
        return time.monotonic() >= self.end

    def next(self, whom: str) -> float:
        """So many seconds are waited before one looks again."""
        now = time.monotonic()
        if now - self.begun > SILENCE and not self.told:
            self.told = True
            print(f"waiting for {whom}", file=sys.stderr, flush=True)
        return max(0.01, min(1.0, self.end - now))


def _send(peer: socket.socket, message: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):  # who has gone meanwhile is missed by the others
        peer.sendall(json.dumps(message).encode() + b"\n")


def _receive(peer: socket.socket) -> dict[str, Any]:
    """A line of JSON; nothing where it is something else."""
    if peer.gettimeout() is None:
        peer.settimeout(SILENCE)
    with contextlib.suppress(OSError, ValueError), peer.makefile("rb") as lines:
        found = json.loads(lines.readline(1000))
        if isinstance(found, dict):
            return found
    return {}
