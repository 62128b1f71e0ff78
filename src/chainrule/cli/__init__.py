"""The command line: ``chainrule train | predict | formulas | demo``. Thin: it reads options and prints."""

from chainrule.cli.app import main

__all__ = ["main"]
