"""Every registered rule: its example fires it, changes no number, and the log says what was done and why."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.graph import Graph
from chainrule.rewrite import RULES, rewrite

SIZES = {"m": 5}


def numbers_for(*outputs, seed=0):
    rng = np.random.default_rng(seed)
    shapes = {
        leaf: [s if isinstance(s, int) else SIZES[str(s)] for s in leaf.shape] for leaf in Graph(outputs).leaves()
    }
    return {leaf: rng.normal(size=shape) for leaf, shape in shapes.items()}


@pytest.fixture(params=RULES.values(), ids=RULES, name="rule")
def _rule(request):
    return request.param


def test_the_example_fires_the_rule_and_keeps_every_number(rule):
    example = rule.example()
    rewriting = rewrite([example])
    assert rule.name in {step.rule.name for step in rewriting.log}
    for seed in range(5):
        numbers = numbers_for(example, seed=seed)
        before, after = cr.evaluate([example, rewriting.outputs[0]], numbers, sizes=SIZES, as_written=True)
        np.testing.assert_allclose(after, before, rtol=1e-12, atol=1e-12)


def test_every_step_replaces_a_node_by_an_equal_one_of_the_same_shape_and_kind(rule):
    for step in rewrite([rule.example()]).log:
        assert step.after.shape == step.before.shape
        assert step.after.dtype == step.before.dtype
        numbers = numbers_for(step.before, step.after)
        before, after = cr.evaluate([step.before, step.after], numbers, sizes=SIZES, as_written=True)
        np.testing.assert_allclose(after, before, rtol=1e-12, atol=1e-12, err_msg=str(step))


def test_the_rule_alone_is_enough_to_make_its_step(rule):
    """The rule itself does the rewriting, on operands that are in normal form."""
    fired = [step for step in rewrite([rule.example()]).log if step.rule is rule]
    for step in fired:
        again = rule.apply(step.before)
        numbers = numbers_for(step.before, again)
        before, after = cr.evaluate([step.before, again], numbers, sizes=SIZES, as_written=True)
        np.testing.assert_allclose(np.broadcast_to(after, before.shape), before, rtol=1e-12, atol=1e-12)


def test_the_log_names_the_rule_what_it_found_what_it_made_and_why(rule):
    assert rule.reason in ("stability", "simplicity", "speed")
    step = next(step for step in rewrite([rule.example()]).log if step.rule is rule)
    for part in (rule.name, rule.law, rule.reason, str(step.before), str(step.after)):
        assert part in str(step)


def test_the_normal_form_is_simplified_no_further(rule):
    assert rewrite(rewrite([rule.example()]).outputs).log == []


def test_rules_can_be_chosen_by_their_reason():
    z = cr.input("z", ())
    formula = cr.log(cr.sigmoid(z)) * 1
    assert {s.rule.reason for s in rewrite([formula], ["stability"]).log} == {"stability"}
    assert {s.rule.reason for s in rewrite([formula], ["simplicity"]).log} == {"simplicity"}
    assert str(rewrite([formula], ["speed"])) == "nothing to rewrite"


def test_a_rewriting_tells_each_step_once_and_counts_them():
    z = cr.input("z", ("m",))
    rewriting = cr.simplify([cr.log(cr.sigmoid(z)) + cr.log(cr.sigmoid(z)), 1 * z])
    (step,) = rewriting.because("stability")
    assert (str(step.before), str(step.after)) == ("log(σ(z))", "−softplus(−z)")
    assert rewriting.because("speed") == []
    assert "1 × log: log σ(z) = −softplus(−z)" in rewriting.summary()
