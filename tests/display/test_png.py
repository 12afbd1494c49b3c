"""Any PNG reader sees the pixels that went in."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from csdm_cli.display.png import png


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_pixels_come_back(channels):
    image = torch.arange(channels * 20).reshape(channels, 4, 5).to(torch.uint8)
    found = np.asarray(Image.open(io.BytesIO(png(image))))
    assert np.array_equal(found, image.permute(1, 2, 0).numpy() if channels == 3 else image[0].numpy())
