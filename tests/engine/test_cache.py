"""The persistent compilation cache: where it lies, and that the next process finds in it what this one compiled."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import jax
import pytest

from chainrule.engine import user_folder
from chainrule.engine.xla import cache

SRC = Path(__file__).parents[2] / "src"
SETTINGS = {
    "jax_compilation_cache_dir": None,
    "jax_persistent_cache_min_compile_time_secs": 1.0,
    "jax_persistent_cache_min_entry_size_bytes": 0,
}

# --- the next process -------------------------------------------------------------------------------------

TRAINS = """
import collections, json, sys, jax
events = collections.Counter()
jax.monitoring.register_event_listener(lambda event, **_: events.update([event.rsplit("/", 1)[-1]]))
import chainrule as cr
x = cr.input("x", ("m", 2))
total = cr.compile(cr.sum(cr.tanh(x)))({x: [[0.0, 0.0]]})
rate = float(sys.argv[1])
run = cr.fit(cr.Sequential(cr.Dense(2, "tanh"), cr.Dense(1)), [[0.0], [1.0], [2.0]], [0.0, 1.0, 2.0],
             optimizer=cr.Adam(rate), batch_size=2, epochs=2)
print(json.dumps({"missed": events["cache_misses"], "found": events["cache_hits"], "total": float(total)}))
"""


def train(cache, rate, home):
    """How many programs a process that trains has compiled, and how many it has found."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("JAX_", "XDG_"))}
    environment |= {"PYTHONPATH": str(SRC), "CHAINRULE_CACHE": str(cache), "HOME": str(home), "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-W", "error", "-c", TRAINS, str(rate)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_second_process_compiles_nothing_also_at_another_learning_rate(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    first, second = (train(tmp_path / "cache", rate, home) for rate in (0.1, 0.02))
    assert first["missed"] >= 2
    assert first["found"] == 0
    assert second == {"missed": 0, "found": first["missed"], "total": 0.0}
    assert any((tmp_path / "cache" / "xla").iterdir())
    assert list(home.iterdir()) == []


def test_where_no_cache_can_be_written_it_works_without(tmp_path):
    (tmp_path / "file").write_text("")
    assert train(tmp_path / "file" / "cache", 0.1, tmp_path)["total"] == 0.0
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


# --- where it lies ----------------------------------------------------------------------------------------

HOME = Path("/home/ada")


@pytest.mark.parametrize(
    ("platform", "environment", "folder"),
    [
        ("linux", {}, HOME / ".cache" / "chainrule"),
        ("linux", {"XDG_CACHE_HOME": "/caches"}, Path("/caches/chainrule")),
        ("linux", {"XDG_CACHE_HOME": ""}, HOME / ".cache" / "chainrule"),
        ("linux", {"CHAINRULE_CACHE": "/mine", "XDG_CACHE_HOME": "/caches"}, Path("/mine")),
        ("linux", {"CHAINRULE_CACHE": ""}, HOME / ".cache" / "chainrule"),
        ("darwin", {}, HOME / "Library" / "Caches" / "chainrule"),
        ("darwin", {"CHAINRULE_CACHE": "/mine"}, Path("/mine")),
        ("win32", {"LOCALAPPDATA": "/local"}, Path("/local/chainrule/cache")),
        ("win32", {}, HOME / "chainrule" / "cache"),
        ("win32", {"CHAINRULE_CACHE": "/mine"}, Path("/mine")),
    ],
)
def test_it_lies_where_the_system_keeps_caches_or_where_the_user_says(monkeypatch, platform, environment, folder):
    monkeypatch.setattr(user_folder, "sys", SimpleNamespace(platform=platform))
    monkeypatch.setattr(user_folder, "os", SimpleNamespace(environ=environment))
    monkeypatch.setattr(Path, "home", lambda: HOME)
    assert user_folder.cache_folder() == folder


# --- what JAX is told -------------------------------------------------------------------------------------


@pytest.fixture
def config():
    """JAX's settings of a cache as they are where nobody has set any; afterwards what they were."""
    before = {name: getattr(jax.config, name) for name in SETTINGS}
    for name, value in SETTINGS.items():
        jax.config.update(name, value)
    yield lambda: {name: getattr(jax.config, name) for name in SETTINGS}
    for name, value in before.items():
        jax.config.update(name, value)


def test_every_program_is_kept_however_small(monkeypatch, tmp_path, config):
    monkeypatch.setenv("CHAINRULE_CACHE", str(tmp_path / "a" / "b"))
    cache.use_cache()
    assert list(config().values()) == [str(tmp_path / "a" / "b" / "xla"), 0, -1]
    assert (tmp_path / "a" / "b" / "xla").is_dir()


def test_a_cache_of_the_user_s_own_is_left_as_it_is(monkeypatch, tmp_path, config):
    monkeypatch.setenv("CHAINRULE_CACHE", str(tmp_path / "ours"))
    jax.config.update("jax_compilation_cache_dir", str(tmp_path / "theirs"))
    cache.use_cache()
    assert config() == SETTINGS | {"jax_compilation_cache_dir": str(tmp_path / "theirs")}
    assert list(tmp_path.iterdir()) == []


def no_home():
    raise RuntimeError("Could not determine home directory.")


def test_a_user_without_a_home_has_no_cache_and_no_error(monkeypatch, config):
    monkeypatch.setattr(user_folder, "os", SimpleNamespace(environ={}))
    monkeypatch.setattr(Path, "home", no_home)
    cache.use_cache()
    assert config() == SETTINGS
