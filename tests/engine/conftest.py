"""What the tests of compiled programs share."""

import jax
import pytest


@pytest.fixture
def compiled():
    """The programs that JAX has compiled so far, or found in its cache."""
    programs = []

    def listen(event, duration, fun_name="", **_):
        if event.endswith("backend_compile_duration"):
            programs.append(fun_name)

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield programs
    jax.monitoring.unregister_event_duration_listener(listen)
