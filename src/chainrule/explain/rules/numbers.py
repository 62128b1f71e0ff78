"""Rules about numbers that are none: NaN and infinities."""

from __future__ import annotations

from collections.abc import Iterator

from chainrule.explain.patient import Finding, Patient, rule


@rule("first bad number")
def _first_bad(patient: Patient) -> Iterator[Finding]:
    bad = patient.run.first_bad
    if patient.run.history.diverged is None:
        if patient.run.watched is not None and patient.spoilt is not None:  # of a run at one of its steps
            yield Finding(
                "first bad number",
                f"step {patient.spoilt:,}",
                "a cost, parameter or derivative that is not finite",
                "every number is finite",
                "",
                "run.at().trace() shows where it arises; a smaller learning rate, or clip_norm=1",
            )
        return
    if bad is None:
        yield Finding(
            "first bad number",
            f"epoch {patient.run.history.diverged}",
            "a loss that is not finite",
            "every number is finite",
            "",
            "a smaller learning rate, or clip_norm=1",
        )
        return
    place = "the validation" if bad.batch is None else f"batch {bad.batch}"
    where = ", ".join(f"{a} = {b}" for a, b in bad.operands)
    because = f"where {where}" + (f"; {bad.growth}" if bad.growth else "")
    found = f"{bad.quantity} = {bad.value}"
    yield Finding(
        "first bad number", f"epoch {bad.epoch}, {place}", found, "every number is finite", because, bad.advice
    )
