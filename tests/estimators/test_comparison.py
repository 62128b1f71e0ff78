"""The script that compares the estimators with scikit-learn's networks, and its claim on two of its tables."""

from scripts.compare_estimators import BLOCK, PAGE, TABLES, lines


def test_it_writes_a_row_for_a_table():
    head, rule, row = lines(["wine"], range(2))
    assert head.count("|") == rule.count("|") == row.count("|")
    assert row.startswith("| wine | 178 | 13 | accuracy |")


def test_as_accurate_as_scikit_learns_networks_with_default_settings():
    for name in ("breast cancer", "diabetes"):
        *_, row = lines([name], range(3))
        theirs, _, ours = (float(c.strip("* ").split(" ")[0].replace("−", "-")) for c in row.split("|")[5:8])
        assert ours >= theirs, row


def test_the_page_has_a_row_for_every_table():
    table = BLOCK.search(PAGE.read_text("utf-8"))[0]
    assert [line.split("|")[1].strip() for line in table.splitlines()[2:]] == list(TABLES)
