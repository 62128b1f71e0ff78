"""What a sweep goes through: values to choose from, and candidates, each a value of every choice."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import product
from typing import Any

import numpy as np

from chainrule.errors import ConfigurationError, near
from chainrule.graph.node import Node
from chainrule.nn import Layer, Model
from chainrule.nn.activations import activation_name
from chainrule.optimize import OPTIMIZERS, Optimizer
from chainrule.optimize import optimizer as optimizer_by_name

NOT_TO_CHOOSE = ("network", "X", "Y", "seed", "epochs", "validation_data", "validation_split", "sample_weight", "start")
"""Settings of a training that all candidates share, so that their scores can be compared."""


@dataclass(frozen=True)
class Between:
    """Any number between two, for a random search: ``Between(1e-4, 1e-1, log=True)``, ``Between(16, 256)``.

    Attributes:
        low, high: the ends; whole numbers where both are.
        log: every factor is as likely as another, instead of every difference.

    >>> Between(1e-4, 1e-1, log=True).at(0.5)
    0.00316...
    >>> Between(1, 6).at(0.99)
    6
    """

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        numbers = all(isinstance(end, (int, float, np.number)) and math.isfinite(end) for end in (self.low, self.high))
        if not numbers or not self.low < self.high:
            raise ConfigurationError(
                "the ends are two numbers, the lower one first",
                given=f"{self.low!r}, {self.high!r}",
                expected="such as Between(16, 256), or Between(1e-4, 1e-1, log=True)",
            )
        if self.log and self.low <= 0:
            raise ConfigurationError("on a logarithmic scale both ends are positive", given=f"{self.low}, {self.high}")

    @property
    def whole(self) -> bool:
        """Whether it is whole numbers that are meant."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def at(self, part: float) -> float:
        """The number that this part of the way from the lower to the higher end leads to, 0 ≤ part < 1."""
        low, high = (self.low, self.high + 1) if self.whole else (self.low, self.high)
        number = low * (high / low) ** part if self.log else low + (high - low) * part
        return min(math.floor(number), int(self.high)) if self.whole else float(number)

    def sample(self, rng: np.random.Generator) -> float:
        """A random number of it."""
        return self.at(float(rng.random()))


@dataclass(frozen=True, eq=False)
class Choices:
    """The choices of a sweep by name; for each its values, with the names under which they are shown, or a range."""

    by_name: Mapping[str, Any]
    plain: str | None = None

    def grid(self) -> Iterator[dict[str, Any]]:
        """Every combination, the last choice fastest."""
        ranges = [name for name, values in self.by_name.items() if not isinstance(values, dict)]
        if ranges:
            raise ConfigurationError(
                "a range has no end of values: say how many candidates are to be drawn at random",
                given=", ".join(ranges),
                hint="trials=30; or a list of values",
            )
        for some in product(*self.by_name.values()):
            yield dict(zip(self.by_name, some, strict=True))

    def draw(self, count: int, seed: int) -> Iterator[dict[str, Any]]:
        """So many combinations at random; of a grid without one that was drawn, and all of it where it has no more."""
        rng = np.random.default_rng(seed)
        if all(isinstance(values, dict) for values in self.by_name.values()):
            whole = list(self.grid())
            yield from (whole[i] for i in rng.permutation(len(whole))[:count])
            return
        for _ in range(count):
            yield {name: self._one(values, rng) for name, values in self.by_name.items()}

    @staticmethod
    def _one(values: Any, rng: np.random.Generator) -> Any:
        if isinstance(values, dict):
            return list(values)[int(rng.integers(len(values)))]
        if isinstance(values, Between):
            return values.sample(rng)
        found = values.rvs(random_state=int(rng.integers(2**31)))
        return found.item() if isinstance(found, np.generic) else found

    def value(self, name: str, shown: Any) -> Any:
        """The value behind what is shown of it."""
        values = self.by_name[name]
        return values[shown] if isinstance(values, dict) else shown

    def written(self, chosen: Mapping[str, Any], digits: int = 4) -> str:
        """A candidate's name: ``width 8, learning rate 0.01``; of numbers with many digits so many are written."""
        if self.plain is not None and list(chosen) == [self.plain]:
            return str(chosen[self.plain])
        if not chosen:
            return "as it is"
        return ", ".join(f"{name.replace('_', ' ')} {_short(shown, digits)}" for name, shown in chosen.items())

    def named(
        self, some: Iterable[Mapping[str, Any]], known: Mapping[str, Mapping[str, Any]] | None = None
    ) -> list[tuple[str, Mapping[str, Any]]]:
        """Candidates with their names, of which none is that of another candidate, here or among those known."""
        taken, pairs = dict(known or {}), []
        for chosen in some:
            names = (self.written(chosen, digits) for digits in (4, 8, 17))
            name = next((n for n in names if taken.get(n, chosen) == chosen), self.written(chosen, 17))
            taken[name] = chosen
            pairs.append((name, chosen))
        return pairs


FEW_DIGITS = 7
"""A number that so many digits write exactly is written with them: 0.99999 is not 1."""


def _short(shown: Any, digits: int) -> str:
    if not isinstance(shown, float):
        return str(shown)
    exact = f"{shown:.{FEW_DIGITS}g}"
    return exact if float(exact) == shown else f"{shown:.{digits}g}"


def read_choices(network: Any, choices: Mapping[str, Any] | None) -> Choices:
    """The choices as a user gives them: lists, mappings from names to values, :class:`Between`, SciPy's distributions.

    Several networks, functions by name, are a choice as well.
    """
    if choices is not None and not isinstance(choices, Mapping):
        raise ConfigurationError(
            "choices are a mapping from names to values", given=repr(choices), expected="{'learning_rate': [0.01, 0.1]}"
        )
    by_name: dict[str, Any] = {}
    if isinstance(network, Mapping):
        by_name["network"] = dict(network)
    for name, values in (choices or {}).items():
        by_name[str(name)] = _values(str(name), values)
    for name, values in by_name.items():
        if isinstance(values, dict) and not values:
            raise ConfigurationError("a choice needs values", given=f"{name}: none")
    return Choices(by_name, "network" if list(by_name) == ["network"] else None)


def _values(name: str, values: Any) -> Any:
    if isinstance(values, Mapping):
        return {str(k): v for k, v in values.items()}
    if isinstance(values, Between) or hasattr(values, "rvs"):
        return values
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise ConfigurationError(
            "a choice has several values",
            given=f"{name}: {values!r}",
            expected=f"{{{name!r}: [{values!r}, …]}}, a mapping from names to values, or cr.Between(low, high)",
        )
    shown: dict[Any, Any] = {}
    for value in values:
        plain = value.item() if isinstance(value, np.generic) else value
        key = plain if isinstance(plain, (int, float, str, bool, type(None))) else _name_of(plain)
        if key in shown:
            raise ConfigurationError(
                "two values of a choice have one name",
                given=f"{name}: {key}",
                hint=f"name them: {{{name!r}: {{'first': …, 'second': …}}}}",
            )
        shown[key] = plain
    return shown


def _name_of(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return "-".join(str(_name_of(v)) for v in value) or "none"
    if isinstance(value, Optimizer):
        return repr(value)
    return activation_name(value) if callable(value) else str(value)


@dataclass(frozen=True, eq=False)
class Recipe:
    """How a candidate is trained: the network (or what makes it) and the settings, the optimizer made.

    Attributes:
        make: makes the network.
        settings: those of :class:`chainrule.Trainer`.
        apart: what its program depends on, apart from numbers that are fed.
    """

    make: Callable[[], Any]
    settings: Mapping[str, Any]
    apart: tuple[Any, ...] = ()


@dataclass(frozen=True, eq=False)
class Recipes:
    """Turns what was chosen into a recipe: names are arguments of the network, settings, or the optimizer's constants.

    Args:
        network: a network, a function that makes one, or such functions by name.
        choices: what is chosen from.
        settings: what all candidates share.
        known: the names of a training's settings.
    """

    network: Any
    choices: Choices
    settings: Mapping[str, Any]
    known: Sequence[str]
    rooms: Mapping[str, str] = field(init=False)

    def __post_init__(self) -> None:
        unknown = [s for s in self.settings if s not in self.known]
        if unknown:
            raise ConfigurationError(
                "a training has no such setting",
                given=unknown[0],
                expected=", ".join(self.known),
                hint=near(unknown[0], self.known),
            )
        networks = list(self.network.values()) if isinstance(self.network, Mapping) else [self.network]
        for made in networks:
            if isinstance(self.network, Mapping) and (not callable(made) or isinstance(made, (Layer, Model, Node))):
                raise ConfigurationError(
                    "of several networks each is a function that makes it",
                    given=repr(made),
                    expected="such as {'wide': lambda: cr.Sequential(…)}",
                )
        object.__setattr__(self, "rooms", {name: self._room(name, networks) for name in self.choices.by_name})

    def _room(self, name: str, networks: Sequence[Any]) -> str:
        """Where a choice belongs."""
        arguments = {a for made in networks for a in _arguments(made)}
        if name == "network" and isinstance(self.network, Mapping):
            return "network"
        if name in arguments:
            return "argument"
        if name in self.known and name not in NOT_TO_CHOOSE:
            return "setting" if name != "learning_rate" else "optimizer"
        optimizers = self.choices.by_name.get("optimizer") or {0: self.settings.get("optimizer", "adam")}
        constants = {f.name for o in optimizers.values() for f in fields(_rule(o, None))}
        if name in constants:
            return "optimizer"
        expected = {
            "arguments of the network": sorted(arguments),
            "settings": [k for k in self.known if k not in NOT_TO_CHOOSE],
            "constants of the optimizer": sorted(constants),
        }
        raise ConfigurationError(
            f"nothing is called {name}",
            given=name,
            expected="; ".join(f"{what}: {', '.join(names)}" for what, names in expected.items() if names),
            hint=near(name, [n for names in expected.values() for n in names])
            or ("all candidates share it" if name in NOT_TO_CHOOSE else None),
        )

    def of(self, chosen: Mapping[str, Any]) -> Recipe:
        """How to train what was chosen."""
        values = {name: self.choices.value(name, shown) for name, shown in chosen.items()}
        room = {
            r: {n: v for n, v in values.items() if self.rooms[n] == r} for r in ("argument", "setting", "optimizer")
        }
        network = values["network"] if self.rooms.get("network") == "network" else self.network
        settings, constants = {**self.settings, **room["setting"]}, room["optimizer"]
        given = settings.pop("learning_rate", None)
        if "learning_rate" not in constants and given is not None:
            constants["learning_rate"] = given
        if constants or isinstance(settings.get("optimizer", "adam"), (str, Optimizer, type)):
            settings["optimizer"] = _rule(settings.get("optimizer", "adam"), constants)
        make = _maker(network, {n: v for n, v in room["argument"].items() if n in _arguments(network)})
        apart = tuple((n, chosen[n]) for n in chosen if self.rooms[n] != "optimizer" and n != "optimizer")
        return Recipe(make, settings, apart)


def _maker(network: Any, arguments: Mapping[str, Any]) -> Callable[[], Any]:
    """What makes the network: it with these arguments, or, where it takes others (a node), it is one itself."""
    if arguments or (callable(network) and not isinstance(network, (Layer, Model, Node)) and not _needed(network)):
        return lambda: network(**arguments)
    return lambda: network


def _arguments(network: Any) -> tuple[str, ...]:
    """The names that a function which makes a network takes."""
    if isinstance(network, (Layer, Model, Node)) or not callable(network):
        return ()
    return tuple(inspect.signature(network).parameters)


def _needed(network: Any) -> list[str]:
    """The arguments that have no default."""
    return [
        n
        for n, p in inspect.signature(network).parameters.items()
        if p.default is p.empty and p.kind < p.VAR_POSITIONAL
    ]


def _rule(value: Any, constants: Mapping[str, Any] | None) -> Optimizer:
    """An optimizer, with other constants where they are given."""
    rule = optimizer_by_name(value)
    known = [f.name for f in fields(rule)]
    foreign = [n for n in constants or {} if n not in known]
    if foreign:
        name = (
            next(k for k, kind in OPTIMIZERS.items() if type(rule) is kind) if type(rule) in OPTIMIZERS.values() else ""
        )
        raise ConfigurationError(
            f"{name or type(rule).__name__} has no {foreign[0]}", given=foreign[0], expected=", ".join(known)
        )
    return replace(rule, **constants) if constants else rule
