"""Tokens: there and back, what was never seen, and rows of one length."""

import builtins
import json

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainrule.data import Characters, Subwords, Words, load, rows_of_tokens, texts, tokenizer
from chainrule.data.text_files import texts_of
from chainrule.data.tokens import UNKNOWN, tokenizer_from_json
from chainrule.errors import ConfigurationError, DataError, RunError

TEXTS = ["The cat sat on the mat.", "Don't sit there, cat!", "the the the"]


@given(st.lists(st.text(max_size=20), min_size=1).filter(any))
def test_characters_come_back(written):
    letters = Characters.learn(written)
    for text in written:
        assert letters.decode(letters.encode(text)) == text
    assert len(letters) == 2 + len({c for text in written for c in text})


def test_words_come_back_in_lower_case_with_blanks():
    words = Words.learn(TEXTS)
    assert words.decode(words.encode(TEXTS[1])) == "don't sit there , cat !"
    assert words.encode("The DOG sat") == [words.vocabulary.index("the"), UNKNOWN, words.vocabulary.index("sat")]
    assert words.encode("") == []


def test_only_the_most_frequent_are_learned():
    assert Words.learn(TEXTS, most=2).vocabulary[2:] == ("cat", "the")
    assert Words.learn(TEXTS, least=2).vocabulary[2:] == ("cat", "the")
    assert Characters.learn(["bbbaac"], most=1).vocabulary[2:] == ("b",)
    with pytest.raises(DataError, match="no token to learn"):
        Words.learn(TEXTS, least=9)
    with pytest.raises(DataError, match="no token to learn"):
        Words.learn(["", "  "])


def test_equal_texts_give_equal_numbers_whatever_their_order():
    assert Words.learn(TEXTS) == Words.learn(TEXTS[::-1])


# --- subwords ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pieces():
    pytest.importorskip("tokenizers", reason="subwords need the package tokenizers")
    return Subwords.learn(TEXTS * 3, most=300)


@pytest.mark.parametrize("text", [*TEXTS, "never seen: Größe 猫", "  two  blanks ", ""])
def test_subwords_come_back_of_every_text(pieces, text):
    numbers = pieces.encode(text)
    assert pieces.decode(numbers) == text
    assert pieces.decode([*numbers, 0, 0]) == text
    assert 0 not in numbers
    assert UNKNOWN not in numbers


def test_frequent_pairs_are_joined(pieces):
    assert len(pieces) <= 300
    assert [pieces.vocabulary[n] for n in pieces.encode(" the")] == ["Ġthe"]
    assert len(pieces.encode("xyz")) == 3
    with pytest.raises(ConfigurationError, match="a token for every byte"):
        Subwords.learn(TEXTS, most=100)


def test_subwords_without_the_package(monkeypatch):
    real = builtins.__import__

    def without(name, *rest):
        if name == "tokenizers":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(DataError, match="subwords need the package tokenizers"):
        Subwords.learn(TEXTS)


# --- files ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["characters", "words", "subwords"])
def test_they_come_back_from_a_file(kind):
    if kind == "subwords":
        pytest.importorskip("tokenizers", reason="subwords need the package tokenizers")
    learned = tokenizer(kind).learn(TEXTS)
    again = tokenizer_from_json(json.loads(json.dumps(learned.to_json())))
    assert again.vocabulary == learned.vocabulary
    for text in TEXTS:
        assert again.encode(text) == learned.encode(text)


@pytest.mark.parametrize("content", [{}, {"kind": "runes"}, {"kind": "words"}, {"kind": "words", "vocabulary": 3}])
def test_a_description_that_is_none(content):
    with pytest.raises(RunError, match="description of a tokenizer is not known"):
        tokenizer_from_json(content)


def test_a_name_that_is_not_known():
    with pytest.raises(ConfigurationError, match="no tokens 'word'") as caught:
        tokenizer("word")
    assert caught.value.hint == "did you mean 'words' or 'subwords'?"


# --- rows of one length -----------------------------------------------------------------------------------


@given(st.lists(st.lists(st.integers(1, 9), max_size=6), min_size=1))
def test_rows_hold_the_sequences_and_the_mask_says_where(sequences):
    numbers, mask = rows_of_tokens(sequences)
    assert numbers.shape == mask.shape == (len(sequences), max(1, *map(len, sequences), 1))
    assert [row[m].tolist() for row, m in zip(numbers, mask, strict=True)] == sequences
    assert (numbers[~mask] == 0).all()


def test_longer_sequences_are_refused_or_cut():
    sequences = [[1, 2], [1, 2, 3, 4], [5] * 7]
    with pytest.raises(DataError, match="2 of 3 sequences are longer than the length of 3") as caught:
        rows_of_tokens(sequences, 3)
    assert caught.value.given == "4 tokens in row 2 (line 3 of a file with a header line); the longest has 7"
    numbers, mask = rows_of_tokens(sequences, 3, "cut")
    assert numbers.tolist() == [[1, 2, 0], [1, 2, 3], [5, 5, 5]]
    assert mask.sum(axis=1).tolist() == [2, 3, 3]
    with pytest.raises(ConfigurationError, match="no length of a row"):
        rows_of_tokens(sequences, 0)
    with pytest.raises(ConfigurationError, match="no length of a row"):
        rows_of_tokens(sequences, 3, "trim")


# --- columns and files of texts ---------------------------------------------------------------------------


def test_missing_cells_are_an_error_or_empty():
    column = pl.Series("note", ["a", None, "c", None])
    with pytest.raises(DataError, match="the column 'note' holds no text in row 2") as caught:
        texts_of(column)
    assert caught.value.given == "2 missing cells in 4 rows"
    assert texts_of(column, "empty") == ["a", "", "c", ""]
    assert texts_of(pl.Series("code", [1, 2])) == ["1", "2"]
    with pytest.raises(DataError, match="holds no texts"):
        texts_of(pl.Series("lists", [[1], [2]]))


def test_a_folder_of_text_files(tmp_path):
    for name, content in {"good/a.txt": "fine", "good/b.txt": "größer".encode("cp1252"), "bad/c.txt": "no"}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    found = texts(tmp_path)
    assert found.items.tolist() == ["no", "fine", "größer"]
    assert found.names.tolist() == ["bad", "good", "good"]
    (tmp_path / "bad" / "d.txt").write_text(" \n")
    with pytest.raises(DataError, match=r"1 of 4 texts \(bad/d.txt\) cannot be read"):
        texts(tmp_path)
    assert len(texts(tmp_path, skip_broken=True)) == 3


def test_tokens_of_real_texts(own_data):
    plays = load("shakespeare").text
    letters = Characters.learn([plays])
    assert len(letters) == 2 + 65  # as published with the text
    numbers = np.array(letters.encode(plays))
    assert len(numbers) == 1_115_394
    assert letters.decode(numbers[:100]) == plays[:100]
    messages = load("sms").items
    words = Words.learn(messages, most=1000)
    known = np.concatenate([words.encode(m) for m in messages])
    assert (known == UNKNOWN).mean() < 0.3
