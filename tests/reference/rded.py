"""RDED's choice of patches (Sun et al. 2024, section 4) by plain loops."""

from __future__ import annotations


def kept(losses: list[list[float]], wanted: int) -> list[tuple[int, int]]:
    """(image, crop) of the ``wanted`` best: each image's best crop, by loss; then each image's second-best, …"""
    ranked = [sorted(range(len(row)), key=lambda crop, row=row: row[crop]) for row in losses]
    result = []
    for turn in range(len(losses[0])):
        of_turn = [(image, crops[turn]) for image, crops in enumerate(ranked)]
        result += sorted(of_turn, key=lambda pair: losses[pair[0]][pair[1]])
    return result[:wanted]
