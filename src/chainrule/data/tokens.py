"""Texts <-> numbers of tokens: characters, words, or subwords learned from the texts; and rows of one length.

Token 0 is padding, behind the end of a shorter text; token 1 stands for every token that was not seen in training.
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from chainrule.data.columns import place
from chainrule.errors import ConfigurationError, DataError, RunError, near

PADDING, UNKNOWN = 0, 1
RESERVED = ("(padding)", "(unknown)")
WORD = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")


class Tokenizer(ABC):
    """Texts <-> numbers of tokens.

    Attributes:
        kind: its name in a file.
        vocabulary: every token by its number.
    """

    kind: ClassVar[str]
    vocabulary: tuple[str, ...]

    @abstractmethod
    def encode(self, text: str) -> list[int]:
        """The numbers of a text's tokens."""

    @abstractmethod
    def decode(self, numbers: Iterable[int]) -> str:
        """The text of tokens; padding is left out."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """What :func:`tokenizer_from_json` reads."""

    def __len__(self) -> int:
        return len(self.vocabulary)


@dataclass(frozen=True)
class _Listed(Tokenizer):
    """A tokenizer whose tokens are those of a list; see :class:`Characters` and :class:`Words`."""

    vocabulary: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "_numbers", {token: i for i, token in enumerate(self.vocabulary)})

    @classmethod
    def learn(cls, texts: Iterable[str], most: int | None = None, least: int = 1) -> Any:
        """A tokenizer of the tokens that occur in some texts.

        Args:
            texts: those to train on.
            most: so many tokens at most, the most frequent; of equally frequent ones the first in the alphabet.
            least: a token has to occur so often.
        """
        counts = Counter(token for text in texts for token in cls.split(text))
        ranked = sorted((token for token, n in counts.items() if n >= least), key=lambda t: (-counts[t], t))
        if not ranked:
            raise DataError(
                "the texts hold no token to learn",
                given=f"{len(counts)} different tokens, each fewer than {least} times" if counts else "empty texts",
                expected="texts with tokens in them",
            )
        return cls((*RESERVED, *sorted(ranked[:most])))

    @staticmethod
    @abstractmethod
    def split(text: str) -> Sequence[str]:
        """The tokens of a text."""

    def encode(self, text: str) -> list[int]:
        numbers: dict[str, int] = self._numbers  # type: ignore[attr-defined]  # set in __post_init__
        return [numbers.get(token, UNKNOWN) for token in self.split(text)]

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "vocabulary": list(self.vocabulary)}

    def _shown(self, numbers: Iterable[int]) -> Iterator[str]:
        return ("�" if n == UNKNOWN else self.vocabulary[n] for n in map(int, numbers) if n != PADDING)


@dataclass(frozen=True)
class Characters(_Listed):
    """Every character is a token.

    >>> letters = Characters.learn(["anna", "ben"])
    >>> letters.vocabulary
    ('(padding)', '(unknown)', 'a', 'b', 'e', 'n')
    >>> letters.encode("bea!"), letters.decode([3, 4, 5, 0])
    ([3, 4, 2, 1], 'ben')
    """

    kind: ClassVar[str] = "characters"

    @staticmethod
    def split(text: str) -> Sequence[str]:
        return text

    def decode(self, numbers: Iterable[int]) -> str:
        return "".join(self._shown(numbers))


@dataclass(frozen=True)
class Words(_Listed):
    """Every word in lower case and every other sign is a token; blanks are not kept.

    >>> words = Words.learn(["Don't call, text!", "call me"])
    >>> words.vocabulary[2:]
    ('!', ',', 'call', "don't", 'me', 'text')
    >>> words.decode(words.encode("Call now"))
    'call �'
    """

    kind: ClassVar[str] = "words"

    @staticmethod
    def split(text: str) -> Sequence[str]:
        return WORD.findall(text.lower())

    def decode(self, numbers: Iterable[int]) -> str:
        return " ".join(self._shown(numbers))


class Subwords(Tokenizer):
    """Pieces of words, frequent pairs joined again and again (byte-pair encoding); no text is unknown to it.

    Learned by the package tokenizers from the texts given, without a download. Sennrich, Haddow and Birch (2016),
    Neural Machine Translation of Rare Words with Subword Units; here of bytes, as in GPT-2.
    """

    kind: ClassVar[str] = "subwords"

    def __init__(self, content: str) -> None:
        self._content = content
        self._tokenizer = _library().Tokenizer.from_str(content)
        numbers: dict[str, int] = self._tokenizer.get_vocab()
        self.vocabulary = tuple(sorted(numbers, key=lambda token: numbers[token]))

    @classmethod
    def learn(cls, texts: Iterable[str], most: int | None = None, least: int = 2) -> Subwords:
        """A tokenizer of at most `most` pieces (2,000 by default, 258 at least); joined pairs occur `least` times."""
        library, size = _library(), 2_000 if most is None else most
        if size < 256 + len(RESERVED):
            raise ConfigurationError(
                "subwords need a token for every byte", given=size, expected=f"at least {256 + len(RESERVED)}"
            )
        found = library.Tokenizer(library.models.BPE())
        found.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
        found.decoder = library.decoders.ByteLevel()
        trainer = library.trainers.BpeTrainer(
            vocab_size=size,
            min_frequency=least,
            special_tokens=list(RESERVED),
            initial_alphabet=library.pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        found.train_from_iterator(texts, trainer)
        return cls(found.to_str())

    def encode(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text).ids)

    def decode(self, numbers: Iterable[int]) -> str:
        return str(self._tokenizer.decode([int(n) for n in numbers]))

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "content": json.loads(self._content)}


TOKENIZERS: dict[str, Any] = {"characters": Characters, "words": Words, "subwords": Subwords}


def tokenizer(kind: str) -> Any:
    """The class of a tokenizer by its name: ``tokenizer("words").learn(texts)``."""
    if kind not in TOKENIZERS:
        raise ConfigurationError(
            f"there are no tokens '{kind}'", given=kind, expected=", ".join(TOKENIZERS), hint=near(kind, TOKENIZERS)
        )
    return TOKENIZERS[kind]


def tokenizer_from_json(content: dict[str, Any]) -> Tokenizer:
    """The tokenizer that ``to_json`` described; RunError for anything else.

    >>> tokenizer_from_json(Characters.learn(["ab"]).to_json()).encode("b")
    [3]
    """
    try:
        if content["kind"] == Subwords.kind:
            return Subwords(json.dumps(content["content"]))
        kind = TOKENIZERS[content["kind"]]
        return kind(tuple(str(token) for token in content["vocabulary"]))  # type: ignore[no-any-return]
    except DataError:
        raise
    except Exception as error:  # of whatever kind the library raises
        raise RunError("the description of a tokenizer is not known", given=str(content)[:200]) from error


def rows_of_tokens(
    sequences: Sequence[Sequence[int]], length: int | None = None, longer: Literal["error", "cut"] = "error"
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Sequences of tokens as rows of one length, and a mask that is true where there is a token.

    Args:
        sequences: m sequences of numbers.
        length: of a row; by default that of the longest.
        longer: what becomes of longer sequences: ``"error"``, or ``"cut"`` their end off.

    Returns:
        Numbers (m, length), 0 behind the end of a shorter sequence; mask (m, length).

    Errors: sequences longer than the length, the first named and all counted.

    >>> numbers, mask = rows_of_tokens([[5, 6, 7], [8]])
    >>> numbers.tolist(), mask.sum(axis=1).tolist()
    ([[5, 6, 7], [8, 0, 0]], [3, 1])
    """
    lengths = np.array([len(s) for s in sequences], dtype=np.int64)
    size = max(int(lengths.max(initial=0)), 1) if length is None else length
    if size < 1 or longer not in ("error", "cut"):
        raise ConfigurationError(
            "this is no length of a row",
            given=f"length={length}, longer={longer!r}",
            expected="at least 1, and 'error' or 'cut'",
        )
    over = np.flatnonzero(lengths > size)
    if len(over) and longer == "error":
        raise DataError(
            f"{len(over):,} of {len(lengths):,} sequences {'is' if len(over) == 1 else 'are'} longer than the length "
            f"of {size:,}",
            given=f"{lengths[over[0]]:,} tokens in {place(int(over[0]))}; the longest has {lengths.max():,}",
            expected=f"at most {size:,} tokens",
            hint="a longer length, or longer='cut' to cut their ends off",
        )
    numbers = np.full((len(lengths), size), PADDING, np.int32)
    for row, sequence in zip(numbers, sequences, strict=True):
        row[: min(len(sequence), size)] = sequence[:size]
    mask: NDArray[np.bool_] = np.arange(size) < np.minimum(lengths, size)[:, None]
    return numbers, mask


def _library() -> Any:
    try:
        import tokenizers
        from tokenizers import decoders, models, pre_tokenizers, trainers  # noqa: F401  # as attributes
    except ImportError:
        raise DataError(
            "subwords need the package tokenizers",
            given="no module tokenizers",
            expected="the package, or tokens of another kind: words, characters",
            hint="pip install 'chainrule[text]'",
        ) from None
    return tokenizers
