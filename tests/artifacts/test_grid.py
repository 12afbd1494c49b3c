from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from csdm_cli.artifacts.file import to_uint8
from csdm_cli.artifacts.grid import FADED, MOST_COLUMNS, PAPER, grid_path, grid_png, plan, save_grid
from tests.artifacts.sets import coded_set, dataset_info, make_set


def layout_of(distilled):
    return plan(distilled, ImageDraw.Draw(Image.new("RGB", (1, 1))))


def pixels_of(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def tile(picture, layout, row, column):
    x, y = layout.corner(row, column)
    return picture[y : y + layout.side, x : x + layout.side]


@pytest.mark.parametrize("channels", [1, 3])
def test_every_pixel_of_every_image_is_there_in_its_true_colour(channels):
    distilled = make_set(classes=3, ipc=2, channels=channels)
    layout = layout_of(distilled)
    picture = pixels_of(grid_png(distilled))
    assert picture.shape[1::-1] == layout.size and layout.scale > 1
    for index, image in enumerate(distilled.images.permute(0, 2, 3, 1).expand(-1, -1, -1, 3).numpy()):
        shown = tile(picture, layout, index // 2, index % 2)
        for dy, dx in ((0, 0), (layout.scale - 1, layout.scale - 1)):  # corners of each magnified pixel
            assert np.array_equal(shown[dy :: layout.scale, dx :: layout.scale], image)


def test_float_images_are_shown_as_they_would_be_rounded():
    pixels = torch.rand(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    as_float, as_bytes = make_set(images=pixels), make_set(images=to_uint8(pixels))
    assert grid_png(as_float) == grid_png(as_bytes)


def test_equal_sets_give_equal_bytes_and_others_do_not():
    assert grid_png(make_set()) == grid_png(make_set())
    changed = make_set().images.clone()
    changed[0, 0, 0, 0] ^= 255
    assert grid_png(make_set(images=changed)) != grid_png(make_set())


def test_class_names_stand_at_the_left():
    distilled = make_set(classes=3, ipc=2)
    layout = layout_of(distilled)
    picture = pixels_of(grid_png(distilled))
    for row in range(3):
        top = layout.corner(row, 0)[1]
        beside = picture[top : top + layout.side, : layout.left]
        assert (beside < 100).all(axis=2).any() and (beside[:, :2] == PAPER).all()


def test_a_long_caption_is_not_cut_off():
    distilled = make_set(classes=2, ipc=1, dataset=dataset_info(2, name="a dataset with a rather long name " * 3))
    layout = layout_of(distilled)
    picture = pixels_of(grid_png(distilled))
    columns = np.flatnonzero((picture[: layout.top] == FADED).all(axis=2).any(axis=0))
    right = layout.left + layout.caption_width
    assert right - 12 < columns.max() <= right < layout.size[0]


def test_a_class_with_fewer_images_leaves_paper():
    distilled = make_set(classes=3, ipc=2, labels=torch.tensor([0, 0, 0, 1, 2, 2]))
    layout = layout_of(distilled)
    picture = pixels_of(grid_png(distilled))
    assert (tile(picture, layout, 1, 1) == PAPER).all()
    assert np.array_equal(
        tile(picture, layout, 2, 0)[:: layout.scale, :: layout.scale], distilled.images[4].permute(1, 2, 0).numpy()
    )


def test_wide_rows_are_magnified_less_and_then_cut():
    wide, wider = make_set(ipc=40, side=16, size=16), make_set(ipc=MOST_COLUMNS + 5)
    assert layout_of(wide).scale < layout_of(make_set(side=16, size=16)).scale
    assert layout_of(wider).columns == MOST_COLUMNS
    assert f"first {MOST_COLUMNS} shown" in layout_of(wider).caption


def test_an_equal_picture_is_not_written_again(tmp_path):
    path = grid_path(tmp_path / "distilled.safetensors")
    assert path.name == "grid.png" and grid_path(tmp_path / "renamed.safetensors").name == "renamed.png"
    save_grid(make_set(), path)
    before = path.stat().st_ino
    save_grid(make_set(), path)
    assert path.stat().st_ino == before
    save_grid(make_set(classes=2), path)
    assert path.stat().st_ino != before


def test_images_decoded_from_other_numbers_stand_class_after_class():
    distilled = coded_set("frequency", classes=3, ipc=2)
    layout = layout_of(distilled)
    assert (layout.rows, layout.columns) == (3, 8)
    assert "8 images per class from frequency coefficients in the storage of 2" in layout.caption
    picture = pixels_of(grid_png(distilled))
    shown = to_uint8(distilled.decoded()).permute(0, 2, 3, 1).numpy()
    for row, column in ((0, 0), (1, 7), (2, 3)):
        expected = shown[8 * row + column].repeat(layout.scale, 0).repeat(layout.scale, 1)
        assert np.array_equal(tile(picture, layout, row, column), expected)
