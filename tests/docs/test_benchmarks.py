"""The benchmarks run, at sizes that say nothing about speed."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def bench(name: str, *words: str) -> str:
    env = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "110"}
    command = [sys.executable, str(ROOT / "benchmarks" / name), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def bench_here(capsys, monkeypatch) -> Callable[..., str]:
    """As :func:`bench`, in this process, which has imported all that they need."""

    def here(name: str, *words: str) -> str:
        monkeypatch.setattr(sys, "argv", [name, *words])
        runpy.run_path(str(ROOT / "benchmarks" / name), run_name="__main__")
        return capsys.readouterr().out

    return here


def test_frequency_rules(tmp_path, bench_here):
    words = ["--width", "4", "--frequencies", "32", "--runs", "2", "--out"]
    shown = bench_here("frequencies.py", *words, str(tmp_path / "rules.json"))
    rows = json.loads((tmp_path / "rules.json").read_text())["rows"]
    assert {(row["kernel"], row["rule"]) for row in rows} >= {("rbf", "orthogonal"), ("laplace", "sobol")}
    assert all(row["distance"] > 0 and (row["gradient"] is None) == (row["kernel"] == "laplace") for row in rows)
    assert "orthogonal" in shown


def test_ways_of_a_trajectory_s_gradient(tmp_path, bench_here):
    words = ["--width", "4", "--ipc", "1", "--steps", "2", "--batch", "5", "--rounds", "1", "--out"]
    shown = bench_here("trajectory.py", *words, str(tmp_path / "ways.json"))
    rows = json.loads((tmp_path / "ways.json").read_text())["rows"]
    ways = ["adjoint", "tesla", "unrolled", "textbook"]
    assert [(row["method"], row["way"]) for row in rows] == list(product(["mtt", "datm", "lad"], ways))
    assert all(row["of_textbook"] == 1 for row in rows[3::4])
    assert all(row["seconds"] > 0 for row in rows) and "of textbook" in shown


def test_the_released_loops_of_gradient_matching_give_the_same_derivative(tmp_path):
    words = ["--widths", "4", "--ipcs", "1", "--classes", "3", "--precisions", "fp32", "--rounds", "1", "--memory-of"]
    shown = bench("gradient_matching.py", *words, "--out", str(tmp_path / "rows.json"))
    rows = json.loads((tmp_path / "rows.json").read_text())["rows"]
    assert [row["method"] for row in rows] == ["dc", "dsa", "idc", "cafe"] and "textbook's speed" in shown
    assert all(row["relative_difference"] < 1e-3 and row["ratio"] > 0 for row in rows)


@pytest.mark.slow
def test_the_costs_of_methods(tmp_path):
    words = [
        "--width",
        "4",
        "--rounds",
        "1",
        "--head",
        "20",
        "--device",
        "cpu",
        "--out",
        str(tmp_path / "methods.json"),
    ]
    shown = bench("methods.py", *words, "--out", str(tmp_path / "methods.json"))
    rows = json.loads((tmp_path / "methods.json").read_text())["rows"]
    assert {row["method"] for row in rows} >= {"dm", "ncfm", "wmdd"} and all(row["ratio"] > 0 for row in rows)
    assert "tgdd" in shown


@pytest.mark.slow
def test_the_table_of_costs(tmp_path):
    words = ["--width", "4", "--rounds", "1", "--head", "40", "--frequency-runs", "1", "--device", "cpu", "--out"]
    shown = bench("engine.py", *words, str(tmp_path / "costs.json"))
    found = json.loads((tmp_path / "costs.json").read_text())
    assert len(found["rows"]) >= 14 and all(row["ratio"] > 0 for row in found["rows"])
    assert "textbook loop / engine" in shown and found["frequency_rules"]


@pytest.mark.slow
def test_second_order(tmp_path):
    words = ["--width", "4", "--ipc", "1", "2", "--steps", "2", "--rounds", "1", "--out"]
    shown = bench("second_order.py", *words, str(tmp_path / "rows.json"))
    rows = json.loads((tmp_path / "rows.json").read_text())["rows"]
    assert {(row["method"], row["way"]) for row in rows} == {
        ("dc", "ours"),
        ("dc", "graph"),
        ("mtt", "ours"),
        ("mtt", "tesla"),
        ("mtt", "graph"),
    }
    assert all(row["peak_mb"] > 0 and row["seconds"] > 0 and row["ipc"] in (1, 2) for row in rows)
    assert "peak MB" in shown


@pytest.mark.slow
def test_backbones(tmp_path):
    words = ["--network", "patch-kmeans", "--size", "12", "--centres", "4", "--ipc", "1", "--rounds", "1", "--out"]
    shown = bench("backbones.py", *words, str(tmp_path / "rows.json"))
    rows = json.loads((tmp_path / "rows.json").read_text())["rows"]
    assert [row["row"] for row in rows] == ["sfm", "lgm", "lgm:graph"]
    assert all(row["seconds"] > 0 and row["peak_mb"] >= 0 for row in rows) and "lgm:graph" in shown
