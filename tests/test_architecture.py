"""The plan of the house holds: who imports whom, what ``import chainrule`` costs, and what it offers."""

from __future__ import annotations

import importlib.util
import inspect
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

import chainrule

ROOT = Path(__file__).parents[1]
CONFIGURATION = ROOT / "pyproject.toml"
CONTRACTS = tomllib.loads(CONFIGURATION.read_text("utf-8"))["tool"]["importlinter"]["contracts"]

# What `import chainrule` leaves for the moment in which it is needed.
HEAVY = {"jax", "matplotlib", "narwhals", "optax", "pandas", "polars"}
HEAVY |= {"rich", "safetensors", "sklearn", "skops", "torch", "typer"}

SECONDS = 0.3  # that `import chainrule` may take, NumPy included
TIMES_NUMPY = 3  # or, on a slow machine, this many times what NumPy takes there
ROUNDS = 8


def fresh_interpreter(code: str, **variables: str) -> str:
    """What ``code`` prints in a new process that sees this checkout."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")} | variables
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("contract", [c["id"] for c in CONTRACTS])
def test_import_contract(contract: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # The linter puts the current folder on the path and keeps a new handler for every run.
    monkeypatch.setattr(sys, "path", [*sys.path])
    broken = lint_imports(
        config_filename=str(CONFIGURATION), limit_to_contracts=(contract,), no_cache=True, verbose=False
    )
    assert not broken, f"import contract '{contract}' is broken: the imports in question are printed below"


def test_import_loads_nothing_heavy() -> None:
    code = f"import sys, chainrule; print(*sorted(sys.modules.keys() & {HEAVY!r}))"
    assert fresh_interpreter(code).split() == []


def test_import_is_fast(tmp_path: Path) -> None:
    # The time of this thread alone, so that other work on the machine does not count; the best of several. The
    # first round compiles to bytecode, as an installer does, also where the environment says not to write any.
    bytecode = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(tmp_path)}
    code = (
        "from time import thread_time as now; a = now(); import numpy; b = now(); import chainrule; "
        "print(b - a, now() - a)"
    )
    rounds = []
    for _ in range(ROUNDS):
        numpy_alone, both = map(float, fresh_interpreter(code, **bytecode).split())
        rounds.append((both, numpy_alone))
        if both <= max(SECONDS, TIMES_NUMPY * numpy_alone):
            return
    both, numpy_alone = min(rounds)
    pytest.fail(
        f"`import chainrule` took {both:.2f} s at best, {numpy_alone:.2f} s of it NumPy; "
        f"allowed are {SECONDS} s or {TIMES_NUMPY} times NumPy. "
        "Look: python -X importtime -c 'import chainrule'"
    )


def test_public_names_exist_and_are_documented() -> None:
    names = chainrule.__all__
    assert len(set(names)) == len(names)
    assert set(names) <= set(dir(chainrule))
    bare = []
    for name in names:
        thing = getattr(chainrule, name)
        own = vars(thing).get("__doc__") if inspect.isclass(thing) else inspect.getdoc(thing)
        if not (own or "").strip():
            bare.append(name)
    assert bare == [], "public names without a docstring"


def test_documents_name_only_what_is_public() -> None:
    documents = [d for d in (ROOT / "README.md", *ROOT.glob("docs/**/*.md")) if d.exists()]
    used = {name for d in documents for name in re.findall(r"\bcr\.([A-Za-z]\w*)", d.read_text("utf-8"))}
    unknown = used - set(chainrule.__all__)
    assert [name for name in sorted(unknown) if not is_room(name)] == []


def is_room(name: str) -> bool:
    """Whether ``chainrule.name`` is a module."""
    return importlib.util.find_spec(f"chainrule.{name}") is not None
