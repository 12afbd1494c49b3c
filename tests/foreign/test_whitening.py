"""Whitening as the papers' code does it, and back."""

from __future__ import annotations

import torch

from csdm_cli.foreign.whitening import Whitening


def test_whitening_is_the_symmetric_root_of_the_inverse_covariance():
    train = torch.randint(0, 256, (50, 1, 2, 2), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    rows = train.flatten(1).double() / 255
    values, basis = torch.linalg.eigh(torch.cov(rows.T) + 0.1 * torch.eye(4, dtype=torch.float64))
    expected = (rows - rows.mean(0)) @ (basis @ torch.diag(values**-0.5) @ basis.T)
    whitened = Whitening.fit(train).apply(train.float() / 255)
    torch.testing.assert_close(whitened.flatten(1).double(), expected, rtol=0, atol=1e-6)


def test_undoing_gives_the_images_back():
    train = torch.randint(0, 256, (200, 3, 4, 4), generator=torch.Generator().manual_seed(1)).to(torch.uint8)
    whitening, images = Whitening.fit(train), train[:5].float() / 255
    torch.testing.assert_close(whitening.undo(whitening.apply(images)), images, rtol=0, atol=1e-5)
