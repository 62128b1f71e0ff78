"""Why a network does not train: rules over what was watched, each with its number, its threshold and what to try.

A rule looks at the run and returns findings, or raises :class:`CannotTellError` with what it would need. Where a
threshold is somebody's, the rule names the source; the others were chosen so that no rule speaks on healthy runs of
digits, iris, house prices and a curve, and each finds its planted faults (``tests/explain/test_diagnosis.py``). A rule
that would only repeat what an earlier one has found, such as small steps where all units are dead, is silent.

Sources: [debugger] Amazon SageMaker Debugger, built-in rules; [autotrainer] Zhang et al., AUTOTRAINER, ICSE 2021;
[umlaut] Schoop et al., UMLAUT, CHI 2021; [cs231n] Stanford CS231n, notes on neural networks 3.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from chainrule.explain import rules
from chainrule.explain.patient import RULES, CannotTellError, Finding, Patient
from chainrule.train import Run
from chainrule.train.readings import READINGS


@dataclass(frozen=True)
class Diagnosis:
    """What the rules say of a run. Prints as a report.

    Attributes:
        findings: what is wrong.
        silent: the rules that ran and found nothing.
        could_not_run: the rules that did not run, and what they need.
    """

    findings: tuple[Finding, ...]
    silent: tuple[str, ...]
    could_not_run: Mapping[str, str]

    def __str__(self) -> str:
        ran, all_of_them = len(self.silent), len(self.silent) + len(self.could_not_run)
        head = "nothing suspicious was found" if not self.findings else ""
        if head and 2 * ran < all_of_them:
            head += f", but only {ran} of {all_of_them} rules could look"
        lines = [*([head] if head else []), *("\n" + str(f) for f in self.findings)]
        if self.silent:
            lines += ["", f"found nothing ({ran} rule{'' if ran == 1 else 's'}): {', '.join(self.silent)}"]
        if self.could_not_run:
            rules: dict[str, list[str]] = {}
            for rule, need in self.could_not_run.items():
                rules.setdefault(need, []).append(rule)
            lines += ["", "could not run:"]
            lines += [f"  {need}\n    {', '.join(those)}" for need, those in rules.items()]
        return "\n".join(lines).lstrip("\n")

    __repr__ = __str__

    def __bool__(self) -> bool:
        return bool(self.findings)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)


def why(run: Run, columns: Sequence[str] = ()) -> Diagnosis:
    """Ask every rule why this run did not train as it should; ``columns`` are the names of the inputs' columns."""
    patient = Patient(run, columns)
    findings: list[Finding] = []
    silent: list[str] = []
    could_not: dict[str, str] = {}
    for name, ask in RULES.items():
        try:
            found = list(ask(patient))
        except CannotTellError as need:
            could_not[name] = str(need)
            continue
        findings += found
        patient.found |= {f.rule for f in found}
        if not found:
            silent.append(name)
    return Diagnosis(tuple(findings), tuple(silent), could_not)


READINGS["why"] = why
__all__ = ["RULES", "Diagnosis", "Finding", "rules", "why"]
