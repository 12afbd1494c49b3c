from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from csdm_cli.data.sources.pixels import (
    KEPT_ELONGATED,
    ORIENTATION,
    Form,
    array_reader,
    decode,
    decode_all,
    fit,
    is_jpeg,
    read_header,
)
from csdm_cli.errors import CsdmError, UsageError
from tests.data.pictures import coded, noise


def test_an_image_of_the_right_size_keeps_its_pixels():
    pixels = noise(0)
    assert np.array_equal(decode(coded(pixels), "here", Form(3, 8)), pixels.transpose(2, 0, 1))
    grey = noise(1, channels=1)
    assert np.array_equal(decode(coded(grey), "here", Form(1, 8))[0], grey)


@pytest.mark.parametrize(("height", "width"), [(8, 14), (14, 8), (9, 8), (8, 9)])
def test_the_centre_is_cut_out(height, width):
    pixels = noise(2, height, width)
    top, left = (height - 8) // 2, (width - 8) // 2
    assert np.array_equal(
        fit(Image.fromarray(pixels), Form(3, 8)), pixels[top : top + 8, left : left + 8].transpose(2, 0, 1)
    )


@pytest.mark.parametrize(("height", "width"), [(30, 47), (5, 7), (1, 90), (33, 32), (32, 32)])
def test_any_shape_becomes_a_square(height, width):
    assert fit(Image.fromarray(noise(3, height, width)), Form(3, 16)).shape == (3, 16, 16)


def test_shrinking_averages_instead_of_skipping():
    stripes = np.zeros((64, 64), dtype=np.uint8)
    stripes[:, ::2] = 200  # every second column: sampling alone would see only one of the two
    small = fit(Image.fromarray(stripes), Form(1, 16))
    assert np.abs(small[0, :, 1:-1].astype(int) - 100).max() <= 8


def test_grey_and_colour_are_converted_into_each_other():
    grey = noise(4, channels=1)
    assert np.array_equal(decode(coded(grey), "here", Form(3, 8)), np.repeat(grey[None], 3, axis=0))
    assert decode(coded(noise(4)), "here", Form(1, 8)).shape == (1, 8, 8)


def test_sixteen_bit_images_keep_their_upper_byte():
    deep = (noise(5, channels=1).astype(np.uint16) << 8) + 255
    image = Image.fromarray(deep)
    assert np.array_equal(fit(image, Form(1, 8))[0], noise(5, channels=1))


def test_palettes_and_transparency_become_colour():
    rgb = Image.fromarray(noise(6))
    assert fit(rgb.convert("P"), Form(3, 8)).shape == (3, 8, 8)
    assert np.array_equal(fit(rgb.convert("RGBA"), Form(3, 8)), noise(6).transpose(2, 0, 1))


def test_jpeg_is_told_by_its_bytes(tmp_path):
    assert is_jpeg(coded(noise(7), "JPEG")) and not is_jpeg(coded(noise(7), "PNG"))
    (tmp_path / "misnamed.png").write_bytes(coded(noise(7), "JPEG"))
    assert is_jpeg(tmp_path / "misnamed.png")


def test_many_images_come_in_the_order_given():
    pictures = [noise(seed) for seed in range(20)]
    images = decode_all([(coded(pixels), str(seed)) for seed, pixels in enumerate(pictures)], Form(3, 8))
    assert images.equal(torch.from_numpy(np.stack(pictures).transpose(0, 3, 1, 2)))
    read = array_reader(np.stack(pictures), 3, 8)
    assert read([3, 1]).equal(images[[3, 1]])


@pytest.mark.parametrize("damage", [lambda data: b"GIF? no", lambda data: data[: len(data) // 2], lambda data: b""])
def test_an_unreadable_image_is_named_in_one_line(damage):
    broken = damage(coded(noise(8, 40, 40)))
    good = coded(noise(9))
    with pytest.raises(CsdmError, match=r"album\.png.*remove or replace") as error:
        decode_all([(good, "good.png"), (broken, "album.png")], Form(3, 8))
    assert "\n" not in str(error.value)


def test_an_image_that_the_system_does_not_give_is_told_without_its_number(tmp_path):
    with pytest.raises(CsdmError, match=r"^gone\.png cannot be decoded \(No such file or directory\): remove"):
        decode_all([(tmp_path / "gone.png", "gone.png")], Form(3, 8))


def test_a_header_needs_no_pixels():
    data = coded(noise(10, 6, 9, channels=1))
    header = read_header(data[:60], "here")
    assert header.grey and header.short_side == 6


def test_a_long_image_is_cut_before_it_is_resized(monkeypatch):
    sides = []
    real = Image.Image.resize
    monkeypatch.setattr(Image.Image, "resize", lambda image, size, *how: sides.append(size) or real(image, size, *how))
    tall = np.zeros((4 * KEPT_ELONGATED * 5, 4), dtype=np.uint8)
    tall[4 * KEPT_ELONGATED * 2 : 4 * KEPT_ELONGATED * 3] = 90  # the middle fifth
    assert (fit(Image.fromarray(tall), Form(1, 32)) == 90).all()
    assert sides == [(32, 32 * KEPT_ELONGATED)]


@pytest.mark.parametrize("shape", [(1, 65_000), (65_000, 1), (2, 202)])
def test_a_strip_of_pixels_is_refused_by_its_header(shape):
    strip = coded(np.zeros(shape, dtype=np.uint8))
    for call in (lambda: read_header(strip, "a.png"), lambda: decode(strip, "a.png", Form(3, 224))):
        with pytest.raises(CsdmError, match=rf"a\.png is {shape[1]}x{shape[0]} pixels.*remove or replace"):
            call()


def test_more_images_than_fit_into_memory_are_refused_before_any_is_read():
    with pytest.raises(UsageError, match=r"10 images of 9000000x9000000 take .* smaller --size"):
        decode_all([(b"", "never read")] * 10, Form(3, 9_000_000))


def test_floats_from_0_to_1_are_shades_and_others_are_refused(tmp_path):
    grey = noise(11, channels=1)
    place = tmp_path / "float.tiff"
    Image.fromarray(grey.astype(np.float32) / 255).save(place)
    assert np.array_equal(decode(place, "here", Form(1, 8))[0], grey)
    assert read_header(place, "here").grey
    for wrong in (grey.astype(np.float32), np.full((8, 8), np.nan, np.float32)):
        Image.fromarray(wrong).save(place)
        with pytest.raises(CsdmError, match=r"here cannot be decoded \(its pixels are floats outside"):
            decode(place, "here", Form(1, 8))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_shows_the_background(mode):
    clear = Image.new("RGBA", (8, 8), (9, 9, 9, 0))
    picture = clear.quantize(4) if mode == "P" else clear.convert(mode)
    assert (fit(picture, Form(3, 8)) == 255).all()
    assert (fit(picture, Form(3, 8, background=(1, 2, 3))) == np.array([1, 2, 3]).reshape(3, 1, 1)).all()


def test_half_clear_pixels_are_mixed_with_the_background():
    assert (fit(Image.new("RGBA", (8, 8), (0, 0, 0, 51)), Form(3, 8)) == 204).all()  # 255 · (1 - 51/255)


def test_photographs_are_turned_upright_when_asked():
    pixels = noise(12)
    exif = Image.Exif()
    exif[ORIENTATION] = 6  # to be turned clockwise by a quarter
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", exif=exif)
    lying, upright = (decode(buffer.getvalue(), "here", Form(3, 8, upright=asked)) for asked in (False, True))
    assert np.array_equal(lying, pixels.transpose(2, 0, 1))
    assert np.array_equal(upright, np.rot90(pixels, -1).transpose(2, 0, 1))


def test_damaged_metadata_do_not_cost_the_picture():
    buffer = io.BytesIO()
    Image.fromarray(noise(13)).save(buffer, "PNG", exif=b"Exif\0\0MM\0*\xff\xff")
    assert np.array_equal(decode(buffer.getvalue(), "here", Form(3, 8, upright=True)), noise(13).transpose(2, 0, 1))


def test_pixels_in_memory_are_images_too():
    assert np.array_equal(decode(noise(14), "here", Form(3, 8)), noise(14).transpose(2, 0, 1))
    assert read_header(noise(14, channels=1), "here").grey and not is_jpeg(noise(14))
