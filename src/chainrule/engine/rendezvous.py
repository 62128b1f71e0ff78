"""Processes that will train together find each other first, by plain sockets.

JAX's own way of joining waits for minutes and then ends a process from within, without an error that could be read.
So everything that may go wrong before is found here: a process that is missing, a number that is taken twice, another
count, a port that belongs to somebody else. The connections stay: where process 0 is gone, the others say so and end,
before JAX aborts them.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import socket
import sys
import threading
import time
from typing import Any

from chainrule.errors import ConfigurationError, RunError

PATIENCE = 300.0
"""So many seconds the processes wait for each other, as JAX does."""
SILENCE = 5.0
"""After so many seconds of waiting a line says for whom."""
START_AGAIN = "start them all again: cr.resume, or chainrule train --resume, goes on from the last checkpoint"


def rendezvous(coordinator: str, processes: int, process: int, patience: float = PATIENCE) -> list[socket.socket]:
    """Return when all the processes are there, ``coordinator`` being ``"HOST:PORT"`` of process 0.

    Returns:
        The connections: of process 0 to each of the others, of these to process 0.

    Errors: :class:`RunError` where one does not come in time; :class:`ConfigurationError` where they do not fit each
    other, the same one in each of them.
    """
    host, _, port = coordinator.rpartition(":")
    address = host.strip("[]"), int(port)
    if process == 0:
        return _gather(address, processes, patience)
    return [_report(address, processes, process, patience)]


def _gather(address: tuple[str, int], processes: int, patience: float) -> list[socket.socket]:
    """Process 0: wait until each of the others has told its number, then tell all to begin."""
    try:
        server = socket.create_server(("", address[1]), backlog=processes)
    except OSError as error:
        raise ConfigurationError(
            "process 0 cannot listen at the port of the coordinator",
            given=f"port {address[1]}: {os.strerror(error.errno or 0)}",
            hint="another port; or is there a process 0 already?",
        ) from None
    there: set[int] = set()
    peers: list[socket.socket] = []
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
                if not isinstance(number, int):  # somebody else
                    peer.close()
                    continue
                if told.get("processes") != processes:
                    wrong = f"process 0 of {processes}, and process {number} of {told.get('processes')}"
                elif number in there:
                    wrong = f"process {number} twice"
                there.add(number)
                peers.append(peer)
            if waiting.over:
                wrong = f"not all came within {patience:.0f} s; missing: {names}"
        for peer in peers:
            _send(peer, {"wrong": wrong})
            peer.settimeout(None)
        if wrong:
            raise _mismatch(wrong)
        open_ones.pop_all()
    return peers


def _report(address: tuple[str, int], processes: int, process: int, patience: float) -> socket.socket:
    """Every other process: tell process 0 the own number, and wait until it says that all are there."""
    waiting, where = _Waiting(patience), f"{address[0]}:{address[1]}"
    with contextlib.ExitStack() as opened:
        while True:
            left = waiting.next(f"process 0 at {where}")
            try:
                peer = opened.enter_context(socket.create_connection(address, timeout=left))
                if peer.getsockname() != peer.getpeername():  # else nobody is there, it is its own port
                    break
                peer.close()
                time.sleep(0.2)
            except (ConnectionRefusedError, TimeoutError):
                time.sleep(min(left, 0.2))
            except OSError as error:
                raise ConfigurationError(
                    "the coordinator cannot be reached", given=f"{where}: {error.strerror or error}"
                ) from None
            if waiting.over:
                raise RunError(
                    "process 0 does not answer",
                    given=f"{where}, for {patience:.0f} s",
                    hint="is it started, with the same --coordinator, and may its port be reached from here?",
                )
        _send(peer, {"process": process, "processes": processes})
        peer.settimeout(patience + SILENCE)  # process 0 says so if another one does not come
        answer = _receive(peer)
        if "wrong" not in answer:
            raise RunError(
                "what answers there is no process 0 that waits for others",
                given=where,
                hint="has the training begun without this process, or does the port belong to something else?",
            )
        if answer["wrong"]:
            raise _mismatch(answer["wrong"])
        opened.pop_all()
    peer.settimeout(None)
    return peer


def watch_over(process: int, connections: list[socket.socket]) -> None:
    """Process 0 says goodbye when it ends; where it ends without, the others end as well, and say why."""
    if process == 0:
        for peer in connections:
            atexit.register(_send, peer, {"ended": True})
    else:
        threading.Thread(target=_until_process_0_ends, args=(process, connections[0]), daemon=True).start()


def _until_process_0_ends(process: int, peer: socket.socket) -> None:
    with contextlib.suppress(OSError):
        if peer.recv(1):
            return
    error = RunError(
        "process 0 of this training has ended, so this one ends too", given=f"process {process}", hint=START_AGAIN
    )
    os.write(2, f"\nerror: {error}\n".encode())  # at once: JAX is about to abort
    os._exit(1)


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
