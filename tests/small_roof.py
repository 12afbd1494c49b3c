"""Importing this has csdm profile measure its roof on small matrices and arrays: no test is about speed."""

from __future__ import annotations

from csdm_cli.profiling import roofline

roofline.SIDES = {"cpu": (64,), "cuda": (64,)}
roofline.IMAGES = {"cpu": 1, "cuda": 1}
roofline.ARRAY_BYTES = {"cpu": 2**20, "cuda": 2**20}
roofline.PATIENCE = 0
