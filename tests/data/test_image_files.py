"""Images: read as Pillow reads them, refused with names and counts, never all in memory."""

import numpy as np
import pytest
from PIL import Image

from chainrule.data import images
from chainrule.errors import ConfigurationError, DataError, ShapeError

RANDOM = np.random.default_rng(0).integers(0, 256, (6, 8, 3))


@pytest.fixture
def pets(write_image, tmp_path):
    """Three cats and two dogs in colour, 6 × 8."""
    for name in ("cat/a_1.png", "cat/a_2.png", "cat/a_10.png", "dog/x.png", "dog/y.bmp"):
        write_image(f"pets/{name}", (RANDOM + len(name) + ord(name[6])) % 256)
    return tmp_path / "pets"


def test_classes_are_the_folders_and_numbers_are_counted(pets):
    (pets / "cat" / "notes.txt").write_text("no image")
    (pets / "cat" / ".hidden.png").write_text("no image")
    found = images(pets)
    assert [f.name for f in found.items.files] == ["a_1.png", "a_2.png", "a_10.png", "x.png", "y.bmp"]
    assert found.classes == ("cat", "dog")
    assert found.labels.tolist() == [0, 0, 0, 1, 1]
    assert found.items.shape == (5, 6, 8, 3)
    expected = np.asarray(Image.open(pets / "dog" / "y.bmp"), np.float64) / 255
    np.testing.assert_allclose(found.items[4], expected, atol=1e-7)


def test_grey_images_have_one_channel_and_may_become_colour(write_image, tmp_path):
    write_image("grey/a.png", RANDOM[..., 0])
    assert images(tmp_path / "grey").items.shape == (1, 6, 8, 1)
    colour = images(tmp_path / "grey", channels=3).items[0]
    np.testing.assert_allclose(colour, np.repeat(RANDOM[..., :1] / 255, 3, axis=2), atol=1e-7)


def test_colour_becomes_grey_by_luma(write_image, tmp_path):
    write_image("one/a.png", RANDOM)
    luma = (RANDOM @ [0.299, 0.587, 0.114]) / 255  # ITU-R 601
    np.testing.assert_allclose(images(tmp_path / "one", channels=1).items[0][..., 0], luma, atol=1 / 255)


@pytest.mark.parametrize(("fit", "left", "middle"), [("stretch", 1, 1), ("crop", 1, 1), ("pad", 1, 1)])
def test_sizes(write_image, tmp_path, fit, left, middle):
    write_image("wide/a.png", np.full((4, 8), 255))
    found = images(tmp_path / "wide", (4, 4), fit=fit).items[0][..., 0]
    assert found.shape == (4, 4)
    assert found[2, 2] == 1
    assert found[0, 0] == (0 if fit == "pad" else 1)  # black above and below


def test_crop_keeps_the_middle(write_image, tmp_path):
    write_image("wide/a.png", np.repeat([[0, 0, 255, 255, 255, 255, 0, 0]], 4, axis=0))
    assert images(tmp_path / "wide", (4, 4), fit="crop").items[0].min() == 1


def test_an_image_is_turned_as_its_camera_notes(tmp_path):
    (tmp_path / "photos").mkdir()
    image = Image.fromarray(RANDOM.astype(np.uint8))
    notes = Image.Exif()
    notes[0x0112] = 6  # to be turned by a quarter
    image.save(tmp_path / "photos" / "a.png", exif=notes)
    found = images(tmp_path / "photos").items
    assert found.shape == (1, 8, 6, 3)
    np.testing.assert_allclose(found[0], np.rot90(RANDOM, -1) / 255, atol=1e-7)


def test_sixteen_bits_of_grey(tmp_path):
    (tmp_path / "deep").mkdir()
    pixels = np.linspace(0, 65535, 48).reshape(6, 8).astype(np.uint16)
    Image.fromarray(pixels).save(tmp_path / "deep" / "a.png")
    np.testing.assert_allclose(images(tmp_path / "deep").items[0][..., 0], pixels / 65535, atol=1 / 255)


def test_different_sizes_are_counted(pets, write_image):
    write_image("pets/dog/z.png", np.zeros((10, 4, 3)))
    with pytest.raises(DataError, match="the images have 2 different sizes") as caught:
        images(pets)
    assert caught.value.given == "6 × 8 (5), 10 × 4 (1)"
    assert caught.value.hint == "bring them to one: size=(6, 8) (--size 6,8)"
    assert images(pets, (6, 8)).items[:].shape == (6, 6, 8, 3)


def test_broken_files_are_named_and_counted_and_skipped_only_if_asked(pets):
    (pets / "dog" / "text.png").write_text("no image")
    (pets / "cat" / "empty.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"2 of 7 images \(cat/empty.png, dog/text.png\) cannot be read") as caught:
        images(pets)
    assert caught.value.given == "no image, or of a kind that is not known"
    found = images(pets, skip_broken=True)
    assert found.labels.tolist() == [0, 0, 0, 1, 1]
    assert found.notes == ("left out 2 of 7 images (cat/empty.png, dog/text.png): they cannot be read",)


def test_an_image_that_is_cut_off_is_found_when_it_is_read(pets):
    whole = (pets / "dog" / "x.png").read_bytes()
    (pets / "dog" / "x.png").write_bytes(whole[: len(whole) // 2])
    found = images(pets)  # its head is whole
    assert found.items[[0, 1, 2]].shape == (3, 6, 8, 3)
    with pytest.raises(DataError, match=r"1 of 5 images \(dog/x.png\) cannot be read"):
        list(found.items.batches(batch_size=2))
    assert len(images(pets, skip_broken=True)) == 4


def test_nothing_is_read_before_it_is_needed(pets, monkeypatch):
    found = images(pets).select([True, False, True, False, True])
    assert found.labels.tolist() == [0, 0, 1]
    for file in pets.rglob("*.png"):
        file.unlink()
    assert found.items[[2]].shape == (1, 6, 8, 3)  # y.bmp is still there
    with pytest.raises(DataError, match="2 of 3 images"):
        found.items[0]


def test_arrays():
    pixels = np.arange(32, dtype=np.uint8).reshape(2, 4, 4)
    found = images(pixels, labels=["dog", "cat"])
    assert found.classes == ("cat", "dog")
    assert found.labels.tolist() == [1, 0]
    np.testing.assert_allclose(np.asarray(found.items)[..., 0], pixels / 255, rtol=1e-6)
    np.testing.assert_allclose(np.asarray(images(pixels / 255).items)[..., 0], pixels / 255, rtol=1e-6)
    np.testing.assert_allclose(np.asarray(images(pixels.astype(int)).items)[..., 0], pixels / 255, rtol=1e-6)


@pytest.mark.parametrize(
    ("array", "error"),
    [
        (np.zeros((3, 4)), ShapeError),
        (np.zeros((3, 4, 4, 2)), ShapeError),
        (np.zeros((0, 4, 4)), DataError),
        (np.full((1, 4, 4), 300), DataError),
        (np.full((1, 4, 4), -0.5), DataError),
        (np.full((1, 4, 4), "a"), DataError),
    ],
)
def test_arrays_that_hold_no_images(array, error):
    with pytest.raises(error, match="holds no images"):
        images(array)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": (0, 4)}, "no size of an image"),
        ({"size": (4.0, 4)}, "no size of an image"),
        ({"size": "big"}, "a height and a width"),
        ({"channels": 2}, "1 channel"),
        ({"fit": "fold"}, "cannot be fitted so"),
    ],
)
def test_settings_that_are_refused(pets, options, message):
    with pytest.raises(ConfigurationError, match=message):
        images(pets, **options)


def test_folders_that_are_refused(pets, tmp_path, write_image):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no images") as caught:
        images(tmp_path / "empty")
    assert caught.value.given == "an empty folder"
    with pytest.raises(DataError, match="there is no folder"):
        images(tmp_path / "nowhere")
    write_image("pets/loose.png", RANDOM)
    with pytest.raises(DataError, match="both in subfolders and beside them"):
        images(pets)
    with pytest.raises(DataError, match="an ending that is not read as images"):
        images([pets / "cat" / "a_1.png", __file__])
    with pytest.raises(DataError, match="there are no images"):
        images([])
