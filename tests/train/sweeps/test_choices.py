"""Choices: every combination, random ones, and where each name belongs."""

import numpy as np
import pytest
from scipy import stats

import chainrule as cr
from chainrule.errors import ConfigurationError
from chainrule.train.sweeps.choices import Between, Recipes, read_choices
from chainrule.train.sweeps.programs import shape_of
from chainrule.train.sweeps.sweep import SETTINGS


def network(width=4, activation="tanh"):
    return cr.Sequential(cr.Dense(width, activation), cr.Dense(1))


def written(choices, made=network):
    read = read_choices(made, choices)
    return [read.written(some) for some in read.grid()]


def test_a_grid_has_every_combination_and_names_functions_by_their_name():
    names = written({"activation": [cr.tanh, "relu", cr.ParametricReLU], "width": [1, 2]})
    assert names[::2] == ["activation tanh, width 1", "activation relu, width 1", "activation ParametricReLU, width 1"]
    assert len(names) == 6
    assert written({"layers": [(64,), (32, 16)]}) == ["layers 64", "layers 32-16"]
    assert written(None, {"deep": network, "wide": network}) == ["deep", "wide"]


def test_each_candidate_has_a_name_of_its_own_however_close_its_numbers_are():
    rates = [0.999, 0.99999, 0.999999, 0.01, 1 / 3, 1 / 3 + 1e-6, 1 / 3 + 1e-12]
    read = read_choices(network, {"learning_rate": rates})
    names = [name.removeprefix("learning rate ") for name, _ in read.named(read.grid())]
    assert names[:5] == ["0.999", "0.99999", "0.999999", "0.01", "0.3333"]
    assert names[5:] == ["0.33333433", "0.33333333"]
    closer = [name for name, _ in read.named([{"learning_rate": 1 / 3 + k * 1e-12} for k in range(4)])]
    assert len(set(closer)) == 4
    known = {"learning rate 0.3333": {"learning_rate": 0.33333}}
    assert read.named([{"learning_rate": 1 / 3}], known)[0][0] == "learning rate 0.33333333"


def test_random_draws_are_uniform_on_the_scale_that_was_asked_for():
    read = read_choices(network, {"a": Between(1e-4, 1e-1, log=True), "b": Between(2, 5), "c": stats.norm(3, 1)})
    drawn = list(read.draw(2000, 0))
    assert stats.kstest(np.log10([d["a"] for d in drawn]), stats.uniform(-4, 3).cdf).pvalue > 0.01
    counts = np.bincount([d["b"] for d in drawn], minlength=6)
    assert list(counts[:2]) == [0, 0]
    assert stats.chisquare(counts[2:]).pvalue > 0.01
    assert stats.kstest([d["c"] for d in drawn], stats.norm(3, 1).cdf).pvalue > 0.01
    assert drawn == list(read.draw(2000, 0))


def test_of_a_grid_random_draws_take_none_twice():
    read = read_choices(network, {"width": [1, 2, 3], "activation": ["tanh", "relu"]})
    drawn = [read.written(some) for some in read.draw(100, 3)]
    assert sorted(drawn) == sorted(read.written(some) for some in read.grid())
    assert len(list(read.draw(4, 3))) == 4


def test_a_name_belongs_to_the_network_the_training_or_the_optimizer():
    choices = {"width": [8], "batch_size": [5], "optimizer": ["momentum"], "learning_rate": [0.1], "momentum": [0.5]}
    read = read_choices(network, choices)
    recipe = Recipes(network, read, {"loss": "huber"}, SETTINGS).of(next(read.grid()))
    assert recipe.settings == {"loss": "huber", "batch_size": 5, "optimizer": cr.Momentum(0.1, momentum=0.5)}
    assert recipe.make().layers[0].units == 8


def test_a_constant_that_the_chosen_optimizer_has_not_is_the_candidate_s_error():
    read = read_choices(network, {"optimizer": ["adam", "momentum"], "beta_1": [0.5]})
    adam, momentum = read.grid()
    recipes = Recipes(network, read, {}, SETTINGS)
    assert recipes.of(adam).settings["optimizer"] == cr.Adam(beta_1=0.5)
    with pytest.raises(ConfigurationError, match="momentum has no beta_1"):
        recipes.of(momentum)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (cr.Adam(0.1), cr.Adam(0.2, beta_1=0.5), True),
        (cr.Adam(0.1), cr.AdamW(0.1), False),
        (cr.Adam(0.1), cr.Adam(0.1, beta_1=0.0), False),
        (cr.Adam(0.1), cr.Adam(0.1, weight_decay=0.1), False),
        (cr.Adam(0.1, clip_value=1.0), cr.Adam(0.1, clip_value=2.0), False),
        (cr.Adam(0.1, clip_norm=1.5), cr.Adam(0.1, clip_norm=2.0), True),
        (cr.Adam(cr.CosineDecay(0.1, 50)), cr.Adam(cr.CosineDecay(0.2, 50)), True),
        (cr.Adam(cr.CosineDecay(0.1, 50)), cr.Adam(cr.CosineDecay(0.1, 60)), False),
    ],
)
def test_rules_of_one_shape_differ_in_numbers_that_have_a_symbol(one, other, same):
    assert (shape_of(one)[0] == shape_of(other)[0]) == same


@pytest.mark.parametrize("ends", [(2, 1), (0.0, float("inf")), (1, 1), ("a", 2)])
def test_a_range_has_two_ends(ends):
    with pytest.raises(ConfigurationError, match="the lower one first"):
        Between(*ends)
    with pytest.raises(ConfigurationError, match="positive"):
        Between(0.0, 1.0, log=True)


def test_two_values_of_one_name_are_told_apart_by_the_user():
    with pytest.raises(ConfigurationError, match=r"(?s)one name.*'first'"):
        read_choices(network, {"activation": [lambda z: z, lambda z: 2 * z]})
