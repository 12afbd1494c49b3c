"""Every command that leaves something, as the trials call it, and what is asked of whatever becomes of it."""

from __future__ import annotations

import csv
import io
import re
import shutil
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from tests.command_world import COMMANDS, contents

PARAMS = ["--params", "params.yaml"]
ALL = {
    **{name: [*words, *PARAMS] for name, words in COMMANDS.items()},
    "compare": [
        *("compare", "--data", "data", "--teachers", "teachers", "--methods", "random,dm", "--ipc", "1"),
        *("--seeds", "1", *PARAMS, "--out", "out/compare"),
    ],
    "report": ["report", "evaluation", "--out", "out/page.md"],
    "report --html": ["report", "evaluation", "--html", "--out", "out/page.html"],
    "import": ["import", "foreign.npz", "--data", "data", "--out", "out/imported"],
    "merge": ["merge", "first", "second", "--out", "out/merged"],
    "export npz": ["export", "set", "--to", "npz", "--out", "out/set.npz"],
    "export pt": ["export", "set", "--to", "pt", "--out", "out/set.pt"],
    "export imagefolder": ["export", "set", "--to", "imagefolder", "--out", "out/folder"],
    "export huggingface": ["export", "set", "--to", "huggingface", "--out", "out/hub"],
    "export csdm": ["export", "set", "--to", "csdm", "--classes", "1,2", "--out", "out/cut"],
    "show": ["show", "set", "--png", "out/picture.png"],
    "ledger add": ["ledger", "add", "evaluation", "--table", "mine", "--results", "out/rows"],
}
INPUTS = ("params.yaml", "data", "teachers", "set", "evaluation", "first", "second", "foreign.npz")
OF_TIME = re.compile(
    rb'"(finished|seconds|wall_seconds|peak_memory_bytes)": [^,\n]*'
    rb'|"iterations": [^,\n]*(?=,\s*"machine":)'  # of a record: the steps within its seconds
)
ENDINGS = frozenset({0, 1, 2, 129, 130, 143, -1, -2, -9, -15})  # of a process that may have got a signal


@dataclass(frozen=True)
class Tried:
    """A place in which every command has run once, undisturbed, and the bytes that it left below out/."""

    folder: Path
    whole: dict[str, bytes]

    def copy_to(self, place: Path) -> None:
        """Give ``place`` the inputs."""
        place.mkdir(parents=True)
        for name in INPUTS:
            found = self.folder / name
            shutil.copytree(found, place / name) if found.is_dir() else shutil.copy(found, place / name)

    def is_not_half_made(self, place: Path) -> None:
        """Whatever has its final name below ``place``/out is whole."""
        for name, data in results(place / "out").items():
            if not any(part.startswith(".") for part in Path(name).parts):
                assert data == self.whole[name], f"{name} is half-made: {difference(data, self.whole[name])}"

    def is_equal(self, place: Path) -> None:
        """Whether the files below ``place``/out are those that the undisturbed commands made."""
        made = results(place / "out")
        assert made
        for name, data in made.items():
            assert data == self.whole[name], f"{name} has other bytes: {difference(data, self.whole[name])}"


def results(folder: Path) -> dict[str, bytes]:
    """Every file below ``folder`` but for times, what was timed, and memory, which the tables of compare tell too."""
    found = contents(folder)
    for name, data in found.items():
        if name.endswith("compare.json"):
            found[name] = OF_TIME.sub(b"", data)
        elif name.endswith("compare.csv"):
            rows = csv.DictReader(io.StringIO(data.decode()))
            kept = [
                {name: text for name, text in row.items() if "seconds" not in name and "peak" not in name}
                for row in rows
            ]
            found[name] = str(kept).encode()
    return found


def told_in_one_line(code: int, stderr: str, stdout: str = "") -> None:
    """A failure is one line that says so, without a traceback, and nothing that acts on a terminal."""
    assert "Traceback" not in stderr + stdout, stderr
    if code in (1, 2):
        lines = [line for line in stderr.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1, stderr
    is_harmless(stdout)
    is_harmless(stderr.replace("\r", ""))


def is_harmless(text: str) -> None:
    """No control character but line breaks and tabs."""
    found = {letter for letter in text if unicodedata.category(letter) in ("Cc", "Cs") and letter not in "\n\t"}
    assert not found, f"raw {sorted(map(ascii, found))} in what is printed"


def difference(data: bytes, other: bytes) -> str:
    """Where two files first differ."""
    place = next((at for at, (one, two) in enumerate(zip(data, other, strict=False)) if one != two), -1)
    start = max(0, place - 60)
    return (
        f"at byte {place} of {len(data)} and {len(other)}: {data[start : place + 60]!r}, {other[start : place + 60]!r}"
    )
