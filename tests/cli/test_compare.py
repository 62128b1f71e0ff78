"""``chainrule compare``: the quick forms, what is saved, and what is refused."""

import json


def test_activations_by_name_with_figures(chainrule, tmp_path):
    answer = chainrule("compare", "activations", "relu", "softplus", "--quick", "-o", tmp_path / "found")
    assert answer.code == 0, answer.err
    assert "Softplus against ReLU" in answer.out
    assert "(0, 1)" in answer.out
    assert "1/5  timing, in turns" in answer.err
    records = json.loads((tmp_path / "found" / "records.json").read_text("utf-8"))
    assert [r["activation"] for r in records] == ["relu", "softplus"]
    assert (tmp_path / "found" / "report.txt").read_text("utf-8").strip() in answer.out
    assert {f.name for f in (tmp_path / "found").glob("*.png")} >= {"shapes.png", "depth.png", "scores.png"}


def test_losses(chainrule):
    answer = chainrule("compare", "losses", "--quick", "--seeds", 1)
    assert answer.code == 0, answer.err
    assert "not convex" in answer.out


def test_what_is_refused(chainrule, tmp_path):
    for words, said in [
        (["activatons"], "did you mean 'activations'?"),
        (["activations", "relo"], "did you mean 'relu'"),
        (["losses", "huber"], "of losses all are compared"),
        (["optimizers", "sgd"], "did you mean 'gradient_descent'?"),
        (["activations", "--seeds", 0], "at least 1"),
    ]:
        answer = chainrule("compare", *words)
        assert answer.code == 2
        assert said in answer.err
    (tmp_path / "file").write_text("")
    answer = chainrule("compare", "losses", "-o", tmp_path / "file")
    assert answer.code == 2
    assert "expected: a folder" in answer.err
