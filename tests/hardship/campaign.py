"""``python -m tests.hardship``: every trial once, recorded as it ends, and at last counted.

A record is a line of JSON in ``.csdm/hardship.jsonl``. The first line tells what was tried, the code and the first
seed; a campaign of the same code and seed goes on after the trials that are in it, any other begins anew.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]
LOG = REPOSITORY / ".csdm" / "hardship.jsonl"
SUMMARY = REPOSITORY / "results" / "hardship.json"
PAGE = REPOSITORY / "docs" / "reliability.md"
MARKS = ("<!-- campaign -->\n", "<!-- /campaign -->\n")
VARIABLE = "CSDM_HARDSHIP_LOG"  # names the file of records; unset, nothing is recorded
FIRST_SEED = int(os.environ.get("CSDM_HARDSHIP_SEED", "0"))
TIMES = float(os.environ.get("CSDM_HARDSHIP_TIMES", "1"))  # the usual number of seeds
PACKAGES = ("torch", "numpy", "pyarrow", "pillow", "mlflow", "typer", "pydantic", "safetensors")
KINDS = {
    "kills": "kills and signals at random and at aimed moments; the same command again gives equal bytes",
    "damage": "flipped, cut, swapped and forged bytes: one line, or healed to equal bytes",
    "disks": "full disks, limited file sizes and read-only folders: one line, and nothing half-made",
    "crowds": "several processes at once in the same place, the first use of everything included",
    "strangers": "hostile images, parquet, archives, names and forged sets: one line, or taken and shown safely",
    "options": "absurd values of every option of every command: one line",
    "surroundings": "closed streams, C locale, odd widths, no HOME, odd paths, a deleted working directory",
}


@dataclass(frozen=True)
class Record:
    """A trial that ended: its kind, its name with the seed in it, its cases, and whether all were right."""

    kind: str
    trial: str
    cases: int
    right: bool
    seconds: float


def seeds(whole: int, few: int) -> list[Any]:
    """Parameters for a test that is tried with ``whole`` seeds, of which ``few`` run with the other tests."""
    import pytest

    numbers = range(max(few, 1, round(whole * TIMES)))
    return [
        pytest.param(seed, marks=[] if number < few else [pytest.mark.slow], id=f"seed{seed}")
        for number, seed in ((number, FIRST_SEED + number) for number in numbers)
    ]


def turn(seed: int, names: Iterable[str]) -> str:
    """The name whose turn it is: all come as often as the others."""
    all_names = list(names)
    return all_names[seed % len(all_names)]


def append(path: Path, record: Record) -> None:
    """Add a line, in one piece."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(record)) + "\n")


def records(path: Path) -> list[Record]:
    """All whole lines but the first; a last one that a kill cut off is left out."""
    lines = path.read_text(encoding="utf-8").splitlines()[1:] if path.exists() else []
    return [Record(**value) for value in _values(lines)]


def _values(lines: list[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        try:
            yield json.loads(line)
        except ValueError:
            continue


def prepare(path: Path) -> None:
    """Begin the file of records anew unless it is of this code and these seeds."""
    head = json.dumps({"code": _code(), "first_seed": FIRST_SEED, "times": TIMES})
    if not path.exists() or path.read_text(encoding="utf-8").partition("\n")[0] != head:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(head + "\n", encoding="utf-8")


def summary(found: list[Record], *, whole: bool) -> dict[str, Any]:
    """Counts by kind, whether these are all trials of the campaign, and what is needed to repeat them."""
    counts = {kind: {"trials": 0, "right": 0, "wrong": 0} for kind in KINDS}
    for record in found:
        own = counts[record.kind]
        own["trials"] += record.cases
        own["right"] += record.cases - (not record.right)
        own["wrong"] += not record.right
    return {
        "counts": counts,
        "wrong": sorted(record.trial for record in found if not record.right),
        "whole": whole,
        "first_seed": FIRST_SEED,
        "times": TIMES,
        "seconds_of_trials": round(sum(record.seconds for record in found)),
        "date": datetime.now(UTC).date().isoformat(),
        "commit": _git("rev-parse", "--short=12", "HEAD"),
        "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
    }


def table(counted: dict[str, Any]) -> str:
    """The counts as a table of Markdown."""
    lines = ["| kind | what is tried | trials | right | wrong |", "|---|---|---:|---:|---:|"]
    for kind, what in KINDS.items():
        own = counted["counts"][kind]
        lines.append(f"| {kind} | {what} | {own['trials']:,} | {own['right']:,} | {own['wrong']:,} |")
    total = {name: sum(own[name] for own in counted["counts"].values()) for name in ("trials", "right", "wrong")}
    lines.append(f"| all | | {total['trials']:,} | {total['right']:,} | {total['wrong']:,} |")
    versions = counted["versions"]
    told = ", ".join(f"{name} {versions[name]}" for name in ("python", "torch", "mlflow", "pyarrow", "pillow"))
    size = f"{counted['times']:g} times the usual number of seeds" + ("" if counted["whole"] else ", interrupted")
    lines += [
        "",
        f"{counted['date']}, commit {counted['commit']}, from seed {counted['first_seed']}, {size}; {told}.",
        "",
    ]
    return "\n".join(lines)


def with_table(page: str, counted: dict[str, Any]) -> str:
    """``page`` with the table between its marks."""
    before, _, rest = page.partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    return f"{before}{MARKS[0]}{table(counted)}{MARKS[1]}{after}"


def main(words: list[str]) -> int:
    """Run what is left of the campaign, with further words for pytest; count it when nothing is left."""
    prepare(LOG)
    began = time.monotonic()
    pytest_words = ["-m", "slow or not slow", "-p", "no:cacheprovider", "tests/hardship", *words]
    environment = os.environ | {VARIABLE: str(LOG)}
    code = subprocess.call([sys.executable, "-m", "pytest", *pytest_words], cwd=REPOSITORY, env=environment)
    whole = code in (0, 1, 5)  # 5: nothing was left to do
    if not whole:
        print("interrupted: the same command goes on where it was", file=sys.stderr)
    counted = summary(records(LOG), whole=whole)
    SUMMARY.write_text(json.dumps(counted, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8"), counted), encoding="utf-8")
    print(table(counted), f"{time.monotonic() - began:.0f} s here; {SUMMARY}", *counted["wrong"], sep="\n")
    return int(bool(counted["wrong"]) or not whole)


def _code() -> str:
    """A hash of everything that is tried, and of the trials."""
    found = sha256()
    for folder in ("csdm_cli", "tests/hardship"):
        for path in sorted((REPOSITORY / folder).rglob("*.py")):
            found.update(f"{path.relative_to(REPOSITORY)}\0".encode() + path.read_bytes())
    return found.hexdigest()[:16]


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=REPOSITORY, capture_output=True, text=True, check=False).stdout.strip()
