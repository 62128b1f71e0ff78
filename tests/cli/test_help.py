"""Help and version."""

import pytest

from chainrule import __version__


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_the_help_names_every_command(chainrule, flag):
    answer = chainrule(flag)
    assert (answer.code, answer.err) == (0, "")
    for command in ("train", "predict", "formulas", "demo"):
        assert f" {command} " in answer.out


def test_without_a_command_the_help_is_shown(chainrule):
    assert chainrule().out.strip() == chainrule("--help").out.strip()
    assert chainrule().code == 2


@pytest.mark.parametrize(
    ("command", "names"),
    [
        ("train", "FILE target task layers activation loss optimizer learning-rate epochs batch-size seed validation"),
        ("train", "patience out formulas"),
        ("predict", "RUN FILE out"),
        ("formulas", "RUN latex rewrites"),
        ("demo", "out"),
    ],
)
def test_the_help_of_a_command_names_its_words(chainrule, command, names):
    answer = chainrule(command, "--help")
    assert answer.code == 0
    for name in names.split():
        assert f" {name} " in answer.out if name.isupper() else f"--{name} " in answer.out


def test_the_version(chainrule):
    assert chainrule("--version").out == f"chainrule {__version__}\n"
