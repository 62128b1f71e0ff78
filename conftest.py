"""What all tests share, those in ``src`` and the README too: a quiet, repeatable surrounding."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).parent

# Read when JAX and Matplotlib are imported. The tests are about values: on the CPU unless told otherwise.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_NUM_CPU_DEVICES", "4")
os.environ.setdefault("MPLBACKEND", "Agg")
# What the tests compile stays out of the user's own cache, and makes their second run faster.
os.environ.setdefault("CHAINRULE_CACHE", str(ROOT / ".pytest_cache" / "compiled"))

# The first example of a property test may compile a program: no deadline. In CI the same examples every time.
settings.register_profile("chainrule", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "chainrule")


@pytest.fixture(autouse=True)
def _doctest(request: pytest.FixtureRequest) -> None:
    """Every doctest, also of ``src`` and the README, runs where it may write files."""
    if not isinstance(request.node, pytest.DoctestItem):
        return
    folder = request.getfixturevalue("tmp_path")
    request.getfixturevalue("monkeypatch").chdir(folder)
    for example in request.node.dtest.examples:
        # In Markdown the fence that closes a block follows the last output; doctest would expect it too.
        example.want = re.sub(r"^```.*\Z", "", example.want, flags=re.MULTILINE | re.DOTALL)
