"""Images from folders, files or arrays -> arrays (m, height, width, channels) of numbers from 0 to 1."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from chainrule.data.examples import Examples
from chainrule.data.folders import Where, files_of, named
from chainrule.data.lazy import Lazy
from chainrule.errors import ConfigurationError, DataError, ShapeError

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".pgm", ".ppm")
FITS = ("stretch", "crop", "pad")
LARGEST = 16_384
"""Pixels of a side that an image may be resized to."""


@dataclass(frozen=True)
class ImageFormat:
    """What every image becomes.

    Attributes:
        height, width: in pixels.
        channels: 1 for grey, 3 for red, green and blue.
        fit: how an image of another shape gets there: ``"stretch"`` it, ``"crop"`` what stands over on two sides, or
            ``"pad"`` it with black.
    """

    height: int
    width: int
    channels: int = 3
    fit: Literal["stretch", "crop", "pad"] = "stretch"

    def __post_init__(self) -> None:
        if not all(isinstance(n, int) and 1 <= n <= LARGEST for n in (self.height, self.width)):
            raise ConfigurationError(
                "this is no size of an image",
                given=f"({self.height}, {self.width})",
                expected=f"height and width in pixels, from 1 to {LARGEST:,}",
            )
        if self.channels not in (1, 3):
            raise ConfigurationError("an image has 1 channel (grey) or 3 (colour)", given=self.channels)
        if self.fit not in FITS:
            raise ConfigurationError("an image cannot be fitted so", given=self.fit, expected=", ".join(FITS))

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, channels)."""
        return self.height, self.width, self.channels


@dataclass(frozen=True, eq=False)
class Images(Lazy):
    """Image files as an array (m, height, width, channels), float32 from 0 to 1, each read when needed."""

    files: tuple[Path, ...]
    format: ImageFormat

    @property
    def shape(self) -> tuple[int, ...]:
        """(m, height, width, channels)."""
        return len(self.files), *self.format.shape

    def read(self, row: int) -> NDArray[np.float32]:
        """One image; DataError that names and counts all broken files if it is one."""
        try:
            return read_image(self.files[row], self.format)
        except DataError:
            raise _broken(*broken(self.files), self.files) from None

    def select(self, rows: NDArray[np.int64]) -> Images:
        """Some of them, unread."""
        return Images(tuple(self.files[i] for i in rows), self.format)


@dataclass(frozen=True, eq=False)
class Pixels(Lazy):
    """An array of images of whole numbers 0 to 255 as one (m, height, width, channels) of numbers from 0 to 1."""

    pixels: NDArray[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """(m, height, width, channels)."""
        return self.pixels.shape

    def read(self, row: int) -> NDArray[np.float32]:
        """One image."""
        return np.asarray(self.pixels[row].astype(np.float32) / 255)

    def select(self, rows: NDArray[np.int64]) -> Pixels:
        """Some of them."""
        return Pixels(self.pixels[rows])


def images(
    source: Where | Iterable[Where] | NDArray[Any],
    size: tuple[int, int] | None = None,
    *,
    channels: int | None = None,
    fit: Literal["stretch", "crop", "pad"] = "stretch",
    labels: Any = None,
    skip_broken: bool = False,
) -> Examples:
    """Images as examples: from a folder with a subfolder for each class, from files, or from an array.

    Args:
        source: a folder; files; or an array (m, h, w) or (m, h, w, channels) of whole numbers 0 to 255, which may be a
            memory map.
        size: (height, width) that every image is brought to; by default all have to be of one size.
        channels: 1 for grey, 3 for colour; by default grey where all images are.
        fit: ``"stretch"``, ``"crop"`` or ``"pad"``, for an image whose sides have another ratio.
        labels: a class for each image of an array or list, (m,).
        skip_broken: leave out files that cannot be read; every file is read once to find them.

    Returns:
        :class:`~chainrule.data.examples.Examples`; its items are (m, height, width, channels), float32 from 0 to 1,
        read when they are needed.

    Errors: no images; sizes that differ where no `size` is given; broken files, all named and counted: at once where
    their head shows it, else when one is read.

    >>> found = images(np.zeros((2, 4, 4), np.uint8), labels=["cat", "dog"])
    >>> found.items.shape, found.classes
    ((2, 4, 4, 1), ('cat', 'dog'))
    """
    if isinstance(source, np.ndarray):
        if size is not None:
            raise ConfigurationError(
                "an array of images has the size that it has", given=f"size={size}", hint="resize the array itself"
            )
        return _labelled(Examples(_pixels(source)), labels)
    files, codes, classes = files_of(source, ENDINGS, "images")
    bad = broken(files, whole=skip_broken)
    if bad[0] and not skip_broken:
        raise _broken(*bad, files)
    kept = np.array([f not in set(bad[0]) for f in files])
    good = tuple(f for f, keep in zip(files, kept, strict=True) if keep)
    if not good:
        raise _broken(*bad, files)
    notes = (f"left out {named(bad[0], len(files), 'images')}: they cannot be read",) if bad[0] else ()
    form = _format(good, size, channels, fit)
    own = None if codes is None else codes[kept]
    return _labelled(Examples(Images(good, form), own, classes, notes=notes, files=good), labels)


def read_image(file: Path, form: ImageFormat) -> NDArray[np.float32]:
    """One image file, (height, width, channels), from 0 to 1; turned as its camera notes, the first frame of several.

    Sixteen bits of grey become eight. Transparency is dropped.
    """
    from PIL import Image, ImageOps

    size = (form.width, form.height)
    try:
        with Image.open(file) as opened:
            image: Image.Image = ImageOps.exif_transpose(opened)
            if image.mode.startswith("I"):
                image = Image.fromarray((np.asarray(image).astype(np.float64) / 257).clip(0, 255).astype(np.uint8))
            image = image.convert("L" if form.channels == 1 else "RGB")
            if image.size != size and form.fit == "stretch":
                image = image.resize(size, Image.Resampling.BILINEAR)
            elif image.size != size:
                bring = ImageOps.fit if form.fit == "crop" else ImageOps.pad
                image = bring(image, size, Image.Resampling.BILINEAR)
            return np.asarray(image, dtype=np.float32).reshape(form.shape) / np.float32(255)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{file} cannot be read as an image", given=_reason(error), expected="a whole image") from None


def broken(files: tuple[Path, ...], whole: bool = True) -> tuple[list[Path], str]:
    """The files that cannot be read, and why the first cannot; without `whole` only their heads are looked at."""
    from PIL import Image

    bad, reason = [], ""
    for file in files:
        try:
            with Image.open(file) as image:
                if whole:
                    image.load()
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            reason = reason or _reason(error)
            bad.append(file)
    return bad, reason


def _reason(error: Exception) -> str:
    from PIL import UnidentifiedImageError

    return "no image, or of a kind that is not known" if isinstance(error, UnidentifiedImageError) else str(error)


def _broken(bad: list[Path], reason: str, files: tuple[Path, ...]) -> DataError:
    return DataError(
        f"{named(bad, len(files), 'images')} cannot be read",
        given=reason,
        expected="whole image files",
        hint="replace them, or leave them out: skip_broken=True (--skip-broken)",
    )


def _format(files: tuple[Path, ...], size: tuple[int, int] | None, channels: int | None, fit: Any) -> ImageFormat:
    from PIL import Image

    sizes: Counter[tuple[int, int]] = Counter()
    grey = True
    for file in files if size is None or channels is None else ():
        with Image.open(file) as image:
            sizes[image.size if _turned(image) else image.size[::-1]] += 1
            grey = grey and image.mode in ("1", "L", "LA", "I", "F", "I;16", "I;16B")
    if size is None and len(sizes) > 1:
        common = sizes.most_common()
        shown = ", ".join(f"{h} × {w} ({count:,})" for (h, w), count in common[:4])
        raise DataError(
            f"the images have {len(sizes):,} different sizes",
            given=shown + (", …" if len(common) > 4 else ""),
            expected="one size, height × width",
            hint="bring them to one: size=({0}, {1}) (--size {0},{1})".format(*common[0][0]),
        )
    height, width = next(iter(sizes)) if size is None else _pair(size)
    return ImageFormat(height, width, channels if channels is not None else 1 if grey else 3, fit)


def _turned(image: Any) -> bool:
    """Whether the camera notes that it was held upright; a PNG that notes nothing in its head is not searched."""
    return (image.format != "PNG" or "exif" in image.info) and image.getexif().get(0x0112, 1) in (5, 6, 7, 8)


def _pair(size: Any) -> tuple[int, int]:
    if isinstance(size, int):
        return size, size
    if isinstance(size, (tuple, list)) and len(size) == 2:
        return size[0], size[1]
    raise ConfigurationError("size is a height and a width", given=repr(size), expected="such as (32, 32)")


def _pixels(array: NDArray[Any]) -> Lazy | NDArray[np.float32]:
    if array.ndim not in (3, 4) or (array.ndim == 4 and array.shape[3] not in (1, 3)):
        raise ShapeError(
            "this array holds no images",
            given=f"shape {array.shape}",
            expected="(m, height, width), or (m, height, width, channels) with 1 or 3 channels",
        )
    if len(array) == 0:
        raise DataError("the array holds no images", given=f"shape {array.shape}")
    stacked = array if array.ndim == 4 else array[..., None]
    if array.dtype == np.uint8:
        return Pixels(stacked)
    if array.dtype.kind in "iuf":
        low, high = float(array.min()), float(array.max())
        if low >= 0 and high <= 1 and array.dtype.kind == "f":
            return stacked.astype(np.float32)
        if low >= 0 and high <= 255:
            return (stacked / 255).astype(np.float32)
        given = f"numbers from {low:g} to {high:g}"
    else:
        given = f"an array of {array.dtype}"
    raise DataError("this array holds no images", given=given, expected="numbers from 0 to 255, or from 0 to 1")


def _labelled(found: Examples, labels: Any) -> Examples:
    if labels is None:
        return found
    if found.labels is not None:
        raise ConfigurationError("the folders tell the classes already", given="labels for a folder of classes")
    given = np.asarray(labels)
    if given.shape != (len(found),):
        raise ShapeError(
            "labels and images differ in number", given=f"{given.shape} labels", expected=f"({len(found):,},)"
        )
    classes, codes = np.unique(given, return_inverse=True)
    return replace(found, labels=codes.astype(np.int64), classes=tuple(str(c) for c in classes))
