"""Augmentation one image and one pixel at a time, in plain Python: what csdm_cli.images.augment must equal.

Written from the definitions of the operations in pixel coordinates, without csdm_cli.images.augment's matrices.
A setting is a dict of parameter values; parameters that are left out change nothing.
"""

import math

import torch


def augment_one(image, setting):
    """image (C, H, H) float64 tensor -> the same shape."""
    pixels = image.tolist()
    if any(name in setting for name in ("brightness", "saturation", "contrast")):
        pixels = colour(
            pixels, setting.get("brightness", 0.0), setting.get("saturation", 1.0), setting.get("contrast", 1.0)
        )
    pixels = warp(pixels, setting)
    if setting.get("cutout", 0.0) > 0:
        pixels = cutout(pixels, setting["hole_x"], setting["hole_y"])
    return torch.tensor(pixels, dtype=torch.float64)


def colour(pixels, brightness, saturation, contrast):
    channels, size = len(pixels), len(pixels[0])
    places = [(i, j) for i in range(size) for j in range(size)]
    bright = [[[value + brightness for value in row] for row in channel] for channel in pixels]
    saturated = [[[0.0] * size for _ in range(size)] for _ in range(channels)]
    for i, j in places:
        grey = sum(bright[c][i][j] for c in range(channels)) / channels
        for c in range(channels):
            saturated[c][i][j] = (bright[c][i][j] - grey) * saturation + grey
    mean = sum(value for channel in saturated for row in channel for value in row) / (channels * size * size)
    return [[[(value - mean) * contrast + mean for value in row] for row in channel] for channel in saturated]


def warp(pixels, setting):
    """Flip the image, then scale it, then rotate it, then shift it: an output pixel is traced back in reverse."""
    size = len(pixels[0])
    centre = (size - 1) / 2
    angle = math.radians(setting.get("angle", 0.0))
    dx, dy = (whole_shift(setting.get(name, 0.0), size) for name in ("shift_x", "shift_y"))
    result = [[[0.0] * size for _ in range(size)] for _ in pixels]
    for i in range(size):
        for j in range(size):
            x, y = j + dx - centre, i + dy - centre
            x, y = x * math.cos(angle) - y * math.sin(angle), x * math.sin(angle) + y * math.cos(angle)
            x, y = x * setting.get("scale_x", 1.0), y * setting.get("scale_y", 1.0)
            if setting.get("flip", 0.0) > 0:
                x = -x
            for c, channel in enumerate(pixels):
                result[c][i][j] = bilinear(channel, x + centre, y + centre)
    return result


def whole_shift(share, size):
    """A share in [-1, 1) of the reach, cut into equally likely whole numbers of pixels."""
    reach = int(0.125 * size + 0.5)
    for steps in range(-reach, reach + 1):
        if share < -1 + 2 * (steps + reach + 1) / (2 * reach + 1):
            return steps
    return reach


def bilinear(channel, x, y):
    size = len(channel)
    left, top = math.floor(x), math.floor(y)
    value = 0.0
    for i, weight_i in ((top, 1 - (y - top)), (top + 1, y - top)):
        for j, weight_j in ((left, 1 - (x - left)), (left + 1, x - left)):
            if 0 <= i < size and 0 <= j < size:
                value += weight_i * weight_j * channel[i][j]
    return value


def cutout(pixels, hole_x, hole_y):
    """A square of half the side around a centre among all that are equally far inside and outside."""
    size = len(pixels[0])
    side = int(0.5 * size + 0.5)
    centres = size + 1 if side % 2 == 0 else size
    x, y = (min(int(share * centres), centres - 1) for share in (hole_x, hole_y))
    result = [[list(row) for row in channel] for channel in pixels]
    for channel in result:
        for i in range(size):
            for j in range(size):
                if y - side // 2 <= i < y - side // 2 + side and x - side // 2 <= j < x - side // 2 + side:
                    channel[i][j] = 0.0
    return result
