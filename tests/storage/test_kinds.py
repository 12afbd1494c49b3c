from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from csdm_cli.ledger.store import ROW
from csdm_cli.report.files import MARKDOWN
from csdm_cli.storage import kinds, tensorfile

ROOT = Path(__file__).parents[2]


def png(**chunks: str) -> bytes:
    from PIL.PngImagePlugin import PngInfo

    info, buffer = PngInfo(), io.BytesIO()
    for name, text in chunks.items():
        info.add_text(name, text)
    Image.new("RGB", (3, 2), (9, 8, 7)).save(buffer, format="PNG", pnginfo=info)
    return buffer.getvalue()


def test_a_signed_picture_is_the_same_picture(tmp_path):
    (tmp_path / "own.png").write_bytes(kinds.signed_png(png()))
    with Image.open(tmp_path / "own.png") as picture:
        assert picture.text == {"Software": "csdm"} and picture.getpixel((2, 1)) == (9, 8, 7)
    assert kinds.PNG.wrote(tmp_path / "own.png")


@pytest.mark.parametrize("data", [png(), png(Software="GIMP"), png(Comment="csdm"), b"csdm", b"", png()[:20]])
def test_other_pictures_are_not_ours(tmp_path, data):
    (tmp_path / "theirs.png").write_bytes(data)
    assert not kinds.PNG.wrote(tmp_path / "theirs.png")


def test_signed_archives_are_read_as_before(tmp_path):
    buffer = io.BytesIO()
    np.savez_compressed(buffer, images=np.arange(4))
    (tmp_path / "own.npz").write_bytes(kinds.signed_zip(buffer.getvalue()))
    assert kinds.NPZ.wrote(tmp_path / "own.npz")
    assert np.load(tmp_path / "own.npz")["images"].tolist() == [0, 1, 2, 3]
    torch.save({"images": torch.arange(4)}, tmp_path / "plain.pt")
    assert not kinds.PT.wrote(tmp_path / "plain.pt")
    (tmp_path / "own.pt").write_bytes(kinds.signed_zip((tmp_path / "plain.pt").read_bytes()))
    assert kinds.PT.wrote(tmp_path / "own.pt")
    assert torch.equal(torch.load(tmp_path / "own.pt", weights_only=True)["images"], torch.arange(4))


def test_tensor_files_are_told_by_their_header_even_if_damaged(tmp_path):
    kind, path = kinds.tensors("a distilled set"), tmp_path / "x.safetensors"
    tensorfile.save(path, {"images": torch.ones(3)}, {"kind": "a distilled set"})
    assert kind.wrote(path) and not kinds.tensors("a teacher").wrote(path)
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert kind.wrote(path)
    save_file({"images": torch.ones(3)}, path, metadata={"kind": "a distilled set", "tool": "csdm"})
    assert not kind.wrote(path)


def test_links_folders_and_nothing_are_not_ours(tmp_path):
    anything = kinds.containing("")
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("file")
    assert [name for name in ("file", "folder", "link", "nothing") if anything.wrote(tmp_path / name)] == ["file"]


@pytest.mark.parametrize("command", ["evaluate", "cross_arch", "compare"])
def test_metrics_that_earlier_releases_wrote_are_ours(command):
    assert kinds.METRICS.wrote(ROOT / "artifacts" / command / "metrics.json")


def test_reports_and_rows_that_earlier_releases_wrote_are_ours():
    assert MARKDOWN.wrote(ROOT / "artifacts" / "report.md")
    rows = sorted((ROOT / "results").glob("*-lt*-ipc*.json"))
    assert rows and all(ROW.wrote(path) for path in rows)


@pytest.mark.parametrize(
    "text",
    [
        '{"accuracy": 0.9, "method": "mine", "labels": "hard", "split": "test"}',
        '{"accuracy": {"mean": 1, "std": 2}, "method": "mine", "labels": "hard", "split": "test"}',
        '{"resnet": {"accuracy": 0.9}}',
        "{}",
        "[]",
        "3",
        '{"a": {"b": 3}}',
        "{",
        "",
    ],
)
def test_other_metrics_are_not_ours(tmp_path, text):
    (tmp_path / "metrics.json").write_text(text)
    assert not kinds.METRICS.wrote(tmp_path / "metrics.json")


def test_metrics_of_a_comparison_whose_rows_all_failed_are_ours(tmp_path):
    (tmp_path / "metrics.json").write_text('{"digits-lt10-ipc1": {}}')
    assert kinds.METRICS.wrote(tmp_path / "metrics.json")
