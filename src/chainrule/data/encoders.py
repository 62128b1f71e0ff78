"""Images, recordings and texts -> arrays for a network; what was learned from the training examples, as a file.

Each encoder does for its kind what :class:`~chainrule.data.preprocessing.TableEncoder` does for tables. Its
file ``preprocessing.json`` holds names and numbers alone.
"""

from __future__ import annotations

import math
import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from chainrule.data.examples import Examples
from chainrule.data.folders import files_of
from chainrule.data.image_files import ImageFormat, Images, images
from chainrule.data.lazy import Encoded, Lazy
from chainrule.data.preprocessing import DESCRIPTION
from chainrule.data.sound_files import SoundFormat, Sounds, sounds
from chainrule.data.storage import read_json, write_json
from chainrule.data.tables import as_table, column_of
from chainrule.data.text_files import ENDINGS, texts_of
from chainrule.data.text_files import texts as read_texts
from chainrule.data.tokens import PADDING, Tokenizer, rows_of_tokens, tokenizer, tokenizer_from_json
from chainrule.errors import ChainruleError, ConfigurationError, RunError

Array = NDArray[Any]
MOST_IN_MEMORY = 1 << 27
"""So many numbers of examples are kept in memory, 512 MB; to read more of them anew in every epoch takes longer."""
Represented = Literal["bag", "sequence"]


def fits_in_memory(shape: Sequence[int]) -> bool:
    """Whether examples of this shape are read once and kept."""
    return math.prod(shape) <= MOST_IN_MEMORY


class Encoder(ABC):
    """From a source of examples to the array that a network takes.

    Attributes:
        kind: its name in a file.
        notes: what was left out or changed in training.
    """

    kind: ClassVar[str]
    notes: tuple[str, ...]

    @property
    @abstractmethod
    def features(self) -> Sequence[str]:
        """The name of every number of an example, in the order of a flattened row."""

    @abstractmethod
    def transform(self, source: Any, remarks: list[str] | None = None) -> Array | Lazy:
        """The array of a source like the one trained on; `remarks` receives what was changed on the way."""

    @abstractmethod
    def of(self, items: Any) -> Array | Lazy:
        """The array of examples; what is too large for memory is read when it is needed."""

    def keys(self, source: Any) -> pl.DataFrame | None:
        """What tells the rows of a source apart, such as the names of files; None where the source does itself."""
        return None

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """What :meth:`from_json` reads."""

    @classmethod
    @abstractmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """The encoder that was described."""

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write ``preprocessing.json``."""
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        write_json(target / DESCRIPTION, {"kind": self.kind, **self.to_json(), "notes": list(self.notes)})

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Self:
        """Read what :meth:`save` wrote; RunError naming a file that is missing or altered."""
        file = Path(folder) / DESCRIPTION
        content = read_json(file)
        try:
            return cls.from_json(content)
        except RunError:
            raise
        except (KeyError, TypeError, ValueError, ChainruleError) as error:
            raise RunError(f"{file} is incomplete", given=f"{type(error).__name__}: {error}") from error


@dataclass(frozen=True, eq=False)
class _Standardising(Encoder):
    """An encoder of files: in one format, standardised along the last axis with what the training examples have."""

    format: Any
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    notes: tuple[str, ...] = ()

    @classmethod
    def fit(cls, items: Images | Sounds, notes: tuple[str, ...] = ()) -> Self:
        """Learn mean and standard deviation, (channels,) or (features,), of training examples, batch by batch."""
        waves = len(items.shape) == 2
        count, total, squares = 0, np.zeros(()), np.zeros(())
        for batch in items.batches():
            numbers = batch.reshape(-1, 1 if waves else batch.shape[-1]).astype(np.float64)
            count += len(numbers)
            total = total + numbers.sum(axis=0)
            squares = squares + (numbers**2).sum(axis=0)
        mean = total / count
        spread = np.sqrt(np.maximum(squares / count - mean**2, 0))
        # A mean of zero: silence, and what is padded with it, stays zero in a wave.
        return cls(items.format, mean * (not waves), np.where(spread > 1e-6, spread, 1.0), notes)

    def of(self, items: Any) -> Array | Lazy:
        """Examples standardised, float32 (m, ...); read now, or when they are needed if there are too many."""
        return np.asarray(self._standard(items)) if fits_in_memory(items.shape) else self._standard(items)

    def _standard(self, items: Any) -> Lazy:
        def standard(item: Array) -> Array:
            return ((item - self.mean) / self.scale).astype(np.float32)

        return Encoded(items, standard, tuple(items.shape))

    def keys(self, source: Any) -> pl.DataFrame | None:
        """The names of the files."""
        return pl.DataFrame({"file": [str(f) for f in self._read(source).items.files]})

    def transform(self, source: Any, remarks: list[str] | None = None) -> Array | Lazy:
        """The array of a folder, a file or files, brought to the format trained on; float32 (m, ...)."""
        if isinstance(source, Lazy):
            return self.of(source)
        found = self._read(source)
        if remarks is not None:
            remarks.extend(found.notes)
        return self.of(found.items)

    @abstractmethod
    def _read(self, source: Any) -> Examples: ...

    @property
    def features(self) -> Sequence[str]:
        return [", ".join(map(str, place)) for place in np.ndindex(self.format.shape)]

    def to_json(self) -> dict[str, Any]:
        return {"form": asdict(self.format), "mean": self.mean.tolist(), "scale": self.scale.tolist()}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        mean, scale = (np.array(content[k], dtype=np.float64) for k in ("mean", "scale"))
        if mean.shape != scale.shape or mean.ndim != 1:
            raise ValueError(f"mean of shape {mean.shape} and scale of shape {scale.shape}")
        return cls(cls._format(content["form"]), mean, scale, tuple(content["notes"]))

    @staticmethod
    @abstractmethod
    def _format(content: dict[str, Any]) -> Any: ...


@dataclass(frozen=True, eq=False)
class ImageEncoder(_Standardising):
    """Image files -> (m, height, width, channels), each channel with mean 0 and standard deviation 1 in training."""

    kind: ClassVar[str] = "images"

    def _read(self, source: Any) -> Examples:
        form = self.format
        return images(source, (form.height, form.width), channels=form.channels, fit=form.fit)

    @staticmethod
    def _format(content: dict[str, Any]) -> ImageFormat:
        return ImageFormat(**content)


@dataclass(frozen=True, eq=False)
class SoundEncoder(_Standardising):
    """Recordings -> (m, frames, features), each feature with mean 0 and standard deviation 1 in training."""

    kind: ClassVar[str] = "sounds"

    def _read(self, source: Any) -> Examples:
        form = self.format
        found = sounds(source, rate=form.rate, seconds=form.samples / form.rate, features="wave")
        return replace(found, items=Sounds(found.items.files, form))

    @staticmethod
    def _format(content: dict[str, Any]) -> SoundFormat:
        return SoundFormat(**content)


@dataclass(frozen=True, eq=False)
class TextEncoder(Encoder):
    """The texts of a column -> how often each token occurs, or its tokens in a row.

    ``"bag"``: log(1 + count) of every token, float32 (m, tokens). ``"sequence"``: numbers of tokens, int32
    (m, length), 0 behind the end.

    >>> encoder = TextEncoder.fit("note", ["a b b", "c"], represented="bag")
    >>> encoder.features, encoder.transform({"note": ["b", "b b a"]}).round(2).tolist()
    (('a', 'b', 'c'), [[0.0, 0.6899999976158142, 0.0], [0.6899999976158142, 1.100000023841858, 0.0]])
    """

    kind: ClassVar[str] = "text"
    column: str
    tokenizer: Tokenizer
    represented: Represented = "bag"
    length: int = 0
    longer: Literal["error", "cut"] = "cut"
    missing: Literal["error", "empty"] = "error"
    notes: tuple[str, ...] = ()

    @classmethod
    def fit(
        cls,
        column: str,
        texts: Sequence[str],
        tokens: str = "words",
        represented: Represented = "bag",
        most: int | None = 5_000,
        least: int = 1,
        length: int | None = None,
        longer: Literal["error", "cut"] = "cut",
        missing: Literal["error", "empty"] = "error",
    ) -> TextEncoder:
        """Learn the tokens of training texts, at most `most`, and for a sequence the length of the longest."""
        learned = tokenizer(tokens).learn(texts, most, least)
        size = 0
        if represented == "sequence":
            size = max([1, *(len(learned.encode(t)) for t in texts)]) if length is None else length
        return cls(column, learned, represented, size, longer, missing)

    @property
    def features(self) -> Sequence[str]:
        if self.represented == "bag":
            return self.tokenizer.vocabulary[2:]
        return [f"token {i + 1}" for i in range(self.length)]

    def keys(self, source: Any) -> pl.DataFrame | None:
        """The names of the files, where each is a text."""
        if not isinstance(source, (str, os.PathLike)):
            return None
        return pl.DataFrame({"file": [str(f) for f in files_of(source, ENDINGS, "texts")[0]]})

    def transform(self, source: Any, remarks: list[str] | None = None) -> Array | Lazy:
        """The array of a table with the column; of a folder of text files; or of a sequence of texts."""
        return self.of(self._texts(source, remarks))

    def inputs(self, source: Any, names: Sequence[str], remarks: list[str] | None = None) -> dict[str, Array]:
        """For each input of a network, by its name, the array of a source; of texts as sequences.

        Args:
            source: as :meth:`transform` takes it.
            names: of the inputs: ``"mask"`` gets where there is a token, 0 or 1 (m, T), ``"lengths"`` the number of
                tokens (m,), any other name the tokens' numbers (m, T).
            remarks: receives what was changed on the way.

        >>> encoder = TextEncoder.fit("note", ["a b b", "c"], represented="sequence")
        >>> found = encoder.inputs(["b", "c a"], ["tokens", "mask", "lengths"])
        >>> found["tokens"].tolist(), found["mask"].tolist(), found["lengths"].tolist()
        ([[3, 0, 0], [4, 2, 0]], [[1, 0, 0], [1, 1, 0]], [1, 2])
        """
        if self.represented != "sequence":
            raise ConfigurationError(
                "a bag of tokens has no mask: it has no order",
                given=f"represented='{self.represented}'",
                hint="represented='sequence'",
            )
        numbers, there = self._rows(self._texts(source, remarks))
        beside = {"mask": there.astype(np.int32), "lengths": there.sum(axis=1)}
        return {name: beside.get(name, numbers) for name in names}

    def _texts(self, source: Any, remarks: list[str] | None) -> list[str]:
        if isinstance(source, (list, np.ndarray)):
            found = list(source)
        elif isinstance(source, (str, os.PathLike)):
            found = list(read_texts(source).items)
        else:
            found = texts_of(column_of(as_table(source), self.column), self.missing)
        if remarks is not None and self.represented == "sequence" and self.longer == "cut":
            over = sum(len(self.tokenizer.encode(text)) > self.length for text in found)
            if over:
                remarks.append(f"cut {over:,} of {len(found):,} texts off after {self.length:,} tokens")
        return found

    def _rows(self, texts: Sequence[str]) -> tuple[Array, Array]:
        return rows_of_tokens([self.tokenizer.encode(text) for text in texts], self.length, self.longer)

    def of(self, items: Sequence[str]) -> Array | Lazy:
        """Rows of tokens, or their bags; each bag when it is needed if there are too many."""
        if self.represented == "sequence":
            return self._rows(items)[0]
        bags = Encoded(items, self._bag, (len(items), len(self.features)))
        return np.asarray(bags) if fits_in_memory(bags.shape) else bags

    def _bag(self, text: str) -> Array:
        """log(1 + count) of every token."""
        counts = np.bincount(np.array(self.tokenizer.encode(text), np.int64), minlength=len(self.tokenizer))
        return np.log1p(counts[PADDING + 2 :].astype(np.float32))

    def to_json(self) -> dict[str, Any]:
        settings = {k: getattr(self, k) for k in ("column", "represented", "length", "longer", "missing")}
        return {**settings, "tokenizer": self.tokenizer.to_json()}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> TextEncoder:
        settings = {k: content[k] for k in ("column", "represented", "length", "longer", "missing")}
        return cls(tokenizer=tokenizer_from_json(content["tokenizer"]), notes=tuple(content["notes"]), **settings)


ENCODERS: dict[str, type[Encoder]] = {e.kind: e for e in (ImageEncoder, SoundEncoder, TextEncoder)}


def load_encoder(folder: str | os.PathLike[str]) -> Any:
    """The encoder of a folder, of whichever kind it is; RunError for a kind that is not known."""
    from chainrule.data.preprocessing import TableEncoder

    kind = read_json(Path(folder) / DESCRIPTION).get("kind", "table")
    if kind == "table":
        return TableEncoder.load(folder)
    if kind not in ENCODERS:
        raise RunError(
            f"{Path(folder) / DESCRIPTION} is of an unknown kind",
            given=kind,
            expected=", ".join(["table", *ENCODERS]),
            hint="install the newest chainrule: pip install --upgrade chainrule",
        )
    return ENCODERS[kind].load(folder)
