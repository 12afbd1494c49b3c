"""Files from strangers: images, parquet, archives, arrays, names and whole sets that mean harm or are broken.

All are made here. Each is taken, and then shown safely, or refused in one line; nothing outside the output changes.
"""

from __future__ import annotations

import io
import json
import random
import struct
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import hypothesis
import numpy as np
import pyarrow
import pytest
import torch
from hypothesis import strategies
from PIL import Image
from pyarrow import parquet

from csdm_cli.artifacts import file as artifact
from csdm_cli.artifacts.file import load_distilled, save_distilled
from csdm_cli.errors import CsdmError
from tests.command_world import run
from tests.data.pictures import coded, image_folder, noise
from tests.hardship.campaign import seeds
from tests.hardship.commands import is_harmless, told_in_one_line

ODD_NAMES = (
    *(
        "[/]x",
        "[bold red]x",
        "\x1b[31mx\x07",
        "a\nb",
        "a|b",
        "# x",
        "$x$ $",
        "\u202egnp",
        "x" * 300,
        "é",
        "日本",
        "con",
    ),
    *(
        "..",
        ".hidden",
        "-rf",
        "~",
        "%s%n",
        "a\tb",
        "<script>alert(1)</script>",
        "&amp;",
        "'\"`",
        "{{x}}",
        "\udce9",
        " ",
        "",
    ),
)


def png_of_size(width: int, height: int) -> bytes:
    """A PNG that says it is so large, with next to no pixels in it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def in_format(kind: str, mode: str, size: tuple[int, int] = (9, 7)) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size, 1).save(buffer, format=kind)
    return buffer.getvalue()


IMAGES: tuple[Callable[[random.Random], bytes], ...] = (
    lambda chance: b"",
    lambda chance: chance.randbytes(chance.choice((1, 50, 5000))),
    lambda chance: coded(noise(1))[: chance.randrange(1, 200)],
    lambda chance: png_of_size(*chance.choice(((2**31 - 1, 2**31 - 1), (30_000, 30_000), (0, 5), (1, 100_000)))),
    lambda chance: in_format("PNG", "RGB", chance.choice(((1, 5000), (5000, 1), (1, 1)))),
    lambda chance: in_format("TIFF", "F"),
    lambda chance: in_format("PNG", chance.choice(("1", "L", "LA", "P", "RGBA", "I;16"))),
    lambda chance: in_format("JPEG", "CMYK"),
    lambda chance: in_format("GIF", "P"),
    lambda chance: b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>",
    lambda chance: b"%!PS\n(/etc/passwd) run\n",
)


def good_folder(place: Path, names: tuple[str, ...] = ("a", "b")) -> Path:
    pictures = {name: [noise(number) for number in range(4)] for name in names}
    return image_folder(place, {"train": pictures, "test": pictures})


def an_image(place: Path, chance: random.Random) -> None:
    ending = chance.choice(("png", "jpg", "tiff", "gif", "webp", "PNG"))
    (place / chance.choice(("train", "test")) / "a" / f"zz.{ending}").write_bytes(chance.choice(IMAGES)(chance))


def a_name(place: Path, chance: random.Random) -> None:
    name = "".join(letter for letter in chance.choice(ODD_NAMES) if letter not in "/\0")[:80]
    folder = place / "train" / chance.choice(("", "a"))
    target = folder / (name if chance.random() < 0.3 else f"{name}.png")
    if not target.exists():
        target.write_bytes(coded(noise(9)))


def a_class(place: Path, chance: random.Random) -> None:
    name = "".join(letter for letter in chance.choice(ODD_NAMES) if letter not in "/\0")[:80]
    for part in ("train", "test"):
        folder = place / part / (name or "x")
        folder.mkdir(exist_ok=True)
        for number in range(3):
            (folder / f"{number}.png").write_bytes(coded(noise(number)))


def a_link(place: Path, chance: random.Random) -> None:
    target = chance.choice(("/etc/passwd", "/dev/zero", "/proc/self/mem", "..", "zz.png", "/nonexistent", "../../test"))
    (place / "train" / "a" / "zz.png").symlink_to(target)


def a_pipe(place: Path, chance: random.Random) -> None:
    import os

    os.mkfifo(place / "train" / "a" / "zz.png")


def a_nest(place: Path, chance: random.Random) -> None:
    (place / "train" / "a").joinpath(*["d"] * 60).mkdir(parents=True)


FOLDER_HARMS = (an_image, an_image, an_image, a_name, a_class, a_link, a_pipe, a_nest)


@pytest.mark.parametrize("seed", seeds(60, 2))
def test_a_folder(there, tmp_path, seed):
    chance = random.Random(seed)
    place = good_folder(tmp_path / "stranger")
    for how in chance.sample(FOLDER_HARMS, chance.randint(1, 2)):
        with suppress(FileExistsError):
            how(place, chance)
    taken(["make-lt", place, "--size", "8", "--imbalance", "1", "--params", "params.yaml"], chance)


def taken(words: list[object], chance: random.Random) -> None:
    """The set is made, shown and used; or one line says why not."""
    options = [str(word) for word in words]
    result = run(*options, "--n-max", "3", "--dev", "0", "--out", "made", expect=None)
    is_right(result, options)
    assert result.exit_code or Path("made/manifest.json").is_file()
    assert not result.exit_code or not Path("made").exists()


def is_right(result, words: object) -> None:
    fine = result.exception is None or isinstance(result.exception, SystemExit)
    assert fine, (words, repr(result.exception))
    assert result.exit_code in (0, 1, 2)
    told_in_one_line(result.exit_code, result.stderr, result.stdout)


CELLS = (
    lambda chance: "/etc/passwd",
    lambda chance: b"/etc/passwd",
    lambda chance: {"bytes": None, "path": "/etc/passwd"},
    lambda chance: {"bytes": chance.choice(IMAGES)(chance), "path": None},
    lambda chance: {"bytes": coded(noise(1)), "path": "\x1b[31m/../x"},
    lambda chance: {"path": "x.png"},
    lambda chance: [[1, 2], [3, 4]],
    lambda chance: noise(1).tolist(),
    lambda chance: 5,
    lambda chance: None,
)
LABELS = (-1, -(2**63), 2**62, 10**12, 5_000_000, 0.5, float("nan"), "x", "\x1b[31m", "[/]x", None, True, [1, 0], b"x")
FEATURES = (
    "",
    "{",
    "[" * 9999,
    '{"info": {"features": {"label": {"names": "abc", "_type": "ClassLabel"}}}}',
    "null",
    "5",
)


@pytest.mark.parametrize("seed", seeds(60, 2))
def test_parquet(there, tmp_path, seed):
    chance = random.Random(seed)
    place = tmp_path / "stranger"
    place.mkdir()
    for part in ("train", "test"):
        cells: list[object] = [{"bytes": coded(noise(row)), "path": None} for row in range(8)]
        labels: list[object] = [row % 2 for row in range(8)]
        harmed = chance.random() < 0.6
        if harmed and chance.random() < 0.6:
            cells = [chance.choice(CELLS)(chance)] * 8
        if harmed and chance.random() < 0.6:
            odd = chance.choice(LABELS)
            alone = chance.random() < 0.5 or type(odd) is not int  # what is no number has no numbers beside it
            labels = [odd] * 8 if alone else [*labels[:7], odd]
        table = pyarrow.table({"image": pyarrow.array(cells), "label": pyarrow.array(labels)})
        if chance.random() < 0.3:
            table = table.replace_schema_metadata({"huggingface": chance.choice(FEATURES)})
        buffer = io.BytesIO()
        parquet.write_table(table, buffer)
        data = bytearray(buffer.getvalue())
        if chance.random() < 0.3:
            for _ in range(chance.choice((1, 3, 20))):
                data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        if chance.random() < 0.1:
            data = data[: chance.randrange(len(data))]
        (place / f"{part}-0000.parquet").write_bytes(bytes(data))
    taken(
        ["make-lt", "folder", "--data-dir", place, "--size", "8", "--imbalance", "1", "--params", "params.yaml"], chance
    )


def an_array(chance: random.Random) -> np.ndarray:
    shape = chance.choice(
        ((), (0,), (20,), (20, 1, 16, 16), (20, 16, 16), (20, 3, 3, 3), (20, 1, 3, 3), (2, 2, 2, 2, 2))
    )
    kind = chance.choice(("f4", "f8", "u1", "i8", ">f4", "c8", "?", "U3", "M8[s]", "f2"))
    values = np.random.default_rng(chance.randrange(99)).random(shape) * chance.choice((1, 255, 1e30))
    made = (
        np.asarray(values).astype(kind)
        if kind not in ("U3", "M8[s]")
        else np.full(shape, "x" if kind == "U3" else 0, kind)
    )
    if made.size and made.dtype.kind == "f" and chance.random() < 0.4:
        made.flat[0] = chance.choice((np.nan, np.inf, -np.inf))
    return made


def an_npz(chance: random.Random) -> bytes:
    buffer = io.BytesIO()
    images = an_array(chance) if chance.random() < 0.7 else np.zeros((20, 1, 16, 16), "f4")
    labels = an_array(chance) if chance.random() < 0.6 else np.arange(20) % 10
    if chance.random() < 0.15:
        labels = np.full(20, chance.choice((np.inf, -np.inf, np.nan, -1.0, 1e30, 10.0)))
    np.savez(buffer, images=images, labels=labels)
    return buffer.getvalue()


def a_pickle(chance: random.Random) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, images=np.array([{"a": print}], dtype=object), labels=np.arange(1))
    return buffer.getvalue()


def a_forged_npz(chance: random.Random) -> bytes:
    """An array that says it is enormous; a member with a path; a bomb."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        head = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({10 ** chance.randrange(1, 25)}, 3, 32, 32), }}"
        text = head.encode().ljust(117) + b"\n"
        start = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text
        archive.writestr("images.npy", start + bytes(chance.choice((0, 100, 10_000_000))))
        archive.writestr(chance.choice(("labels.npy", "../../../tmp/x.npy", "/etc/x.npy", "\x1b[31m.npy")), start)
    return buffer.getvalue()


def a_pt(chance: random.Random) -> bytes:
    images, labels = torch.rand(20, 1, 16, 16), torch.arange(20) % 10
    choices: tuple[object, ...] = (
        (images.requires_grad_(), labels),
        (images.to_sparse(), labels),
        (images.to("meta"), labels),
        (images.expand(20, 1, 16, 16), labels.float() / 0),
        {"images": images, "labels": labels, "x" * 1000: 1},
        [images],
        {},
        [[[[images]]]],
        images.to(torch.complex64),
        (images, labels - 5),
        (torch.rand(1).expand(10**9, 1, 16, 16), labels),
        torch.zeros(0, 1, 16, 16),
        random.Random,
    )
    buffer = io.BytesIO()
    torch.save(chance.choice(choices), buffer)
    return buffer.getvalue()


ARCHIVES = (("npz", an_npz), ("npz", an_npz), ("npz", a_pickle), ("npz", a_forged_npz), ("pt", a_pt), ("pt", a_pt))


@pytest.mark.parametrize("seed", seeds(80, 2))
def test_another_tools_set(there, tmp_path, seed):
    chance = random.Random(seed)
    ending, make = chance.choice(ARCHIVES)
    path = tmp_path / f"stranger.{ending}"
    path.write_bytes(make(chance))
    if chance.random() < 0.2:
        path = path.rename(
            tmp_path / chance.choice(("x.npz", "x.pt", "x.safetensors", "x.parquet", "[b]x\x1b.npz", "x.npy"))
        )
    more = chance.choice(([], [], ["--factor", "2"], ["--normalised"], ["--zca"], ["--experiment", "3"]))
    result = run("import", path, "--data", "data", "--out", "made", *more, expect=None)
    is_right(result, path)
    if result.exit_code == 0:
        made = load_distilled(Path("made"))
        assert made.images.shape[1:] == (1, 16, 16)
        run("verify", "made")
    else:
        assert not Path("made").exists()


def forged(name: str, chance: random.Random) -> None:
    """set/, with its hashes right, under this name in one place or in several."""
    made = load_distilled(Path("set"))
    data, origin = made.dataset, made.provenance
    if chance.random() < 0.7:
        data = replace(data, class_names=(name, *data.class_names[1:]))
    if chance.random() < 0.4:
        data = replace(data, name=name)
    if chance.random() < 0.5:
        origin = replace(origin, method=name)
    changed = replace(made, dataset=data, provenance=origin)
    with pytest.MonkeyPatch.context() as patch:  # a stranger's own program refuses nothing
        patch.setattr(artifact, "first_problem", lambda distilled: None)
        save_distilled(Path("set/distilled.safetensors"), changed)


USES = (
    ["show", "set"],
    ["verify", "set"],
    ["export", "set", "--to", "imagefolder", "--out", "out/folder"],
    ["export", "set", "--to", "huggingface", "--out", "out/hub"],
    ["merge", "set", "second", "--out", "out/merged"],
    ["evaluate", "set", "--data", "data", "--out", "out/scores"],
    ["report", "out/scores", "--out", "out/page.md"],
    ["report", "out/scores", "--html", "--out", "out/page.html"],
)


def used(name: str, chance: random.Random) -> None:
    """All that one does with a set."""
    forged(name, chance)
    for words in USES:
        if words[0] != "report" or Path("out/scores").exists():
            is_right(run(*words, expect=None), (words, ascii(name)))
    with_set = [
        "compare",
        "--data",
        "data",
        "--teachers",
        "teachers",
        "--methods",
        "random",
        "--ipc",
        "2",
        "--seeds",
        "1",
    ]
    if chance.random() < 0.3:
        is_right(
            run(*with_set, "--with", "set", "--params", "params.yaml", "--out", "out/table", expect=None), ascii(name)
        )
    for page in (*Path("out").rglob("*.md"), *Path("out").rglob("*.html"), *Path("out").rglob("*.csv")):
        text = page.read_text(encoding="utf-8").replace("\r\n", "\n")
        is_harmless(text)
        assert "<script>alert(1)" not in text or page.suffix == ".csv", page


@pytest.mark.parametrize("seed", seeds(30, 1))
def test_a_forged_set(there, seed):
    chance = random.Random(seed)
    name = ODD_NAMES[seed % len(ODD_NAMES)] if seed < len(ODD_NAMES) else "".join(chance.sample(ODD_NAMES, 2))
    used(name, chance)


@pytest.mark.parametrize("seed", seeds(6, 0))
def test_any_text_as_a_name(there, record_property, seed):
    """Whatever hypothesis thinks of, shown alone."""
    seen = []

    @hypothesis.seed(seed)
    @hypothesis.settings(max_examples=15, database=None, suppress_health_check=list(hypothesis.HealthCheck))
    @hypothesis.given(strategies.text(max_size=60), strategies.integers(0, 2**32))
    def shown(name: str, number: int) -> None:
        seen.append(name)
        try:
            forged(name, random.Random(number))
        except (CsdmError, UnicodeEncodeError):
            return  # a file cannot hold it
        for words in USES[:2]:
            is_right(run(*words, expect=None), (words, ascii(name)))

    original = Path("set/distilled.safetensors").read_bytes()
    shown()
    record_property("cases", len(seen))
    Path("set/distilled.safetensors").write_bytes(original)


@pytest.mark.parametrize("seed", seeds(20, 0))
def test_forged_settings_of_a_set(there, seed):
    """A recipe, a decoding or a normalisation that no option would take, under the right hashes."""
    from csdm_cli.storage import seal, tensorfile

    chance, path = random.Random(seed), Path("set/distilled.safetensors")
    tensors, header = tensorfile.load(path, sealed=False)
    body = json.loads(json.dumps(header["body"]))
    part = chance.choice(("evaluation", "decoding", "dataset", "provenance"))
    name = chance.choice(sorted(body[part]))
    body[part][name] = chance.choice((None, -1, 0, 10**6, 1e308, "x", "1e9", [], {}, True, [0], "\x1b[31m"))
    kept = {key: value for key, value in header.items() if key not in ("sha256", tensorfile.SEAL)}
    tensorfile.save(path, tensors, kept | {"body": body, "body_sha256": seal.digest(body)})
    for words in USES[:2] + USES[4:6]:
        is_right(run(*words, expect=None), (words, part, name, body[part][name]))
