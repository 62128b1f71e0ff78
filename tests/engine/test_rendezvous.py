"""Processes that will train together find each other, or each is told what is wrong; here they are threads."""

import socket
import threading
import time

import pytest

from chainrule.engine import rendezvous as meeting
from chainrule.engine.rendezvous import rendezvous
from chainrule.errors import ConfigurationError, RunError


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def meet(*who, patience=20.0, port=None):
    """What each of some (processes, process) ends with: None, or its error."""
    address, ends = f"127.0.0.1:{port or free_port()}", [None] * len(who)

    def one(k):
        try:
            for connection in rendezvous(address, *who[k], patience):
                connection.close()
        except (ConfigurationError, RunError) as error:
            ends[k] = error

    threads = [threading.Thread(target=one, args=(k,)) for k in range(len(who))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    return ends


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)])
def test_all_are_there_and_the_port_is_free_again_at_once(order):
    port = free_port()
    for _ in range(3):
        assert meet(*((3, k) for k in order), port=port) == [None] * 3


def test_they_wait_for_one_that_is_late_and_say_for_whom(monkeypatch, capsys):
    monkeypatch.setattr(meeting, "SILENCE", 0.3)
    address, late = f"127.0.0.1:{free_port()}", []

    def come():
        time.sleep(1.5)
        late.append(time.monotonic())
        rendezvous(address, 2, 1, 20.0)[0].close()

    thread = threading.Thread(target=come)
    thread.start()
    rendezvous(address, 2, 0, 20.0)[0].close()
    assert late
    assert time.monotonic() > late[0]
    thread.join(20)
    assert capsys.readouterr().err == "waiting for process 1 of 2\n"


@pytest.mark.parametrize(
    ("who", "words"),
    [
        ([(3, 0), (3, 1), (3, 1)], "process 1 twice"),
        ([(2, 0), (3, 1)], "process 0 of 2, and process 1 of 3"),
    ],
)
def test_numbers_that_do_not_fit_are_told_to_each(who, words):
    for error in meet(*who):
        assert isinstance(error, ConfigurationError)
        assert "do not make a group" in str(error)
        assert words in str(error)


def test_one_that_does_not_come_is_named_to_those_that_did():
    for error in meet((3, 0), (3, 2), patience=1.0):
        assert "not all came within 1 s; missing: process 1 of 3" in str(error)
    (error,) = meet((2, 1), patience=1.0)
    assert "process 0 does not answer" in str(error)


def test_a_port_of_somebody_else():
    with socket.create_server(("", 0)) as server:
        port = server.getsockname()[1]
        (error,) = meet((2, 0), port=port, patience=1.0)
        assert f"port {port}: Address already in use" in str(error)

        def answer():
            with server.accept()[0] as peer:
                peer.sendall(b"HTTP/1.1 400 Bad request\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        (error,) = meet((2, 1), port=port, patience=1.0)
        thread.join()
    assert "no process 0 that waits for others" in str(error)


def test_somebody_else_who_calls_is_not_counted():
    port = free_port()
    first = threading.Thread(target=meet, args=((2, 0),), kwargs={"port": port})
    first.start()
    for _ in range(200):
        try:
            with socket.create_connection(("127.0.0.1", port)) as peer:
                peer.sendall(b"GET / HTTP/1.1\r\n\r\n")
            break
        except ConnectionRefusedError:
            time.sleep(0.05)
    assert first.is_alive()
    rendezvous(f"127.0.0.1:{port}", 2, 1, 20.0)[0].close()
    first.join(20)
    assert not first.is_alive()
