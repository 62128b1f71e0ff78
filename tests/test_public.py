"""What a user sees of the package: its names, their documentation, its version, its types, and no more than that."""

import importlib
import importlib.metadata
import inspect
import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import chainrule as cr
from chainrule.nn.activations import ACTIVATIONS
from chainrule.nn.losses import LOSSES
from chainrule.optimize import OPTIMIZERS

PACKAGE = Path(cr.__file__).parent
MODULES = [m.name for m in pkgutil.walk_packages(cr.__path__, "chainrule.") if not m.name.endswith("__main__")]


def public():
    """Every public function and class, and every public method and property of those classes, by name."""
    for name in cr.__all__:
        thing = getattr(cr, name)
        if isinstance(thing, ModuleType):
            continue
        yield name, thing
        for inner, member in vars(thing).items() if inspect.isclass(thing) else ():
            if not inner.startswith("_") and (inspect.isroutine(member) or isinstance(member, property)):
                yield f"{name}.{inner}", member


PUBLIC = dict(public())


# --- names ------------------------------------------------------------------------------------------------


def test_nothing_but_the_rooms_stands_beside_the_public_names():
    beside = {name for name in dir(cr) if not name.startswith("_")} - set(cr.__all__)
    assert [name for name in beside if f"chainrule.{name}" not in MODULES] == []


def test_everything_is_of_the_package_itself():
    homes = {name: getattr(cr, name).__module__ for name in PUBLIC if "." not in name}
    assert {name: home for name, home in homes.items() if not home.startswith("chainrule.")} == {}


def test_a_star_import_brings_the_public_names():
    names = {}
    exec("from chainrule import *", names)
    assert names.keys() - {"__builtins__"} == set(cr.__all__)


@pytest.mark.parametrize("table", [ACTIVATIONS, LOSSES, OPTIMIZERS], ids=["activations", "losses", "optimizers"])
def test_what_goes_by_name_in_a_layer_or_a_fit_is_public_under_that_name(table):
    spelt = {name.replace("_", "").lower() for name in cr.__all__}
    assert [name for name in table if name.replace("_", "").lower() not in spelt] == []


def test_every_module_says_what_it_is_for_and_has_what_it_lists():
    modules = [importlib.import_module(name) for name in MODULES]
    assert [module.__name__ for module in modules if not (module.__doc__ or "").strip()] == []
    listed = [(module, name) for module in modules for name in getattr(module, "__all__", [])]
    assert len(set(listed)) == len(listed)
    assert [f"{module.__name__}.{name}" for module, name in listed if not hasattr(module, name)] == []


# --- documentation ----------------------------------------------------------------------------------------

DOCS = {name: inspect.getdoc(thing) or "" for name, thing in PUBLIC.items()}


def test_methods_and_properties_are_documented_too():
    assert len(DOCS) > len(cr.__all__)
    assert [name for name, doc in DOCS.items() if not doc.split("\n")[0].strip()] == []


def arguments(doc):
    """The names that stand under Args."""
    section = re.search(r"^Args:\n((?:    .*\n?|\n)*)", doc, re.MULTILINE)
    entries = re.findall(r"^    (\w[\w, ]*):", section[1], re.MULTILINE) if section else []
    return [word for entry in entries for word in entry.split(", ")]


WITH_ARGUMENTS = [name for name, doc in DOCS.items() if arguments(doc)]


@pytest.mark.parametrize("name", WITH_ARGUMENTS)
def test_arguments_that_are_explained_are_those_that_it_takes(name):
    thing, doc = PUBLIC[name], DOCS[name]
    taken = [parameter for parameter in inspect.signature(thing).parameters if parameter != "self"]
    assert [word for word in arguments(doc) if word not in taken] == []
    if not inspect.isclass(thing):
        assert [word for word in taken if not re.search(rf"\b{word}\b", doc)] == []


def test_what_is_called_with_much_explains_its_arguments():
    verbs = {"fit", "gradient", "evaluate", "compile", "check_gradient", "formulas", "trace", "jacobian", "convexity"}
    assert verbs | {"input", "parameter", "Dense"} <= set(WITH_ARGUMENTS)


@pytest.mark.parametrize("name", ["gradient", "check_gradient", "fit", "load", "trace"])
def test_what_can_fail_on_good_arguments_says_how(name):
    assert re.search(r"^Errors:.*\w", DOCS[name], re.MULTILINE)


@pytest.mark.parametrize("name", [name for name, doc in DOCS.items() if ":`" in doc])
def test_what_its_documentation_refers_to_is_there(name):
    owner = getattr(cr, name.split(".")[0])
    places = [owner, sys.modules[owner.__module__], cr, cr.errors]
    for word in re.findall(r":(?:func|class|meth|data|mod):`~?(?:chainrule\.)?([\w.]+)`", DOCS[name]):
        assert any(hasattr(place, word) for place in places) or f"chainrule.{word}" in MODULES, word


# --- the package ------------------------------------------------------------------------------------------


def test_the_version_is_that_of_the_package():
    try:
        installed = importlib.metadata.version("chainrule")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("chainrule is not installed")
    assert cr.__version__ == installed
    assert re.fullmatch(r"\d+\.\d+\.\d+([ab.]\w+)?", cr.__version__)


def test_it_says_that_it_has_types():
    assert (PACKAGE / "py.typed").is_file()


def test_importing_it_loads_numpy_and_the_door_of_scipy_alone():
    code = """
import sys, numpy.random, scipy
before = set(sys.modules)
import chainrule
new = set(sys.modules) - before
print(*sorted({name.split(".")[0] for name in new} - sys.stdlib_module_names))
print(*sorted(name for name in new if name.startswith("scipy.")))
"""
    environment = os.environ | {"PYTHONPATH": str(PACKAGE.parent)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split("\n") == ["chainrule", "", ""]


def test_importing_it_writes_nothing_and_warns_of_nothing(tmp_path):
    environment = os.environ | {"PYTHONPATH": str(PACKAGE.parent), "HOME": str(tmp_path)}
    command = [sys.executable, "-B", "-W", "error", "-c", "import chainrule"]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []
