"""dvc.lock is of the code beside it: whoever clones the repository has nothing to run again."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parent.parent
ADVICE = "made by other code than is here: run `dvc repro`, then commit dvc.lock"


def committed(path: str) -> list[Path]:
    """The files at or below ``path`` that are in the repository; caches of Python are not."""
    listed = subprocess.run(["git", "ls-files", "-z", path], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in listed.stdout.split("\0") if name]


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def dvc_hash(path: str) -> str:
    """As DVC takes it: of a file its MD5, of a folder that of the JSON list of its files, sorted by name."""
    if (ROOT / path).is_file():
        return md5(ROOT / path)
    files = {file.relative_to(ROOT / path).as_posix(): md5(file) for file in committed(path)}
    listing = json.dumps([{"md5": files[name], "relpath": name} for name in sorted(files)])
    return hashlib.md5(listing.encode(), usedforsecurity=False).hexdigest() + ".dir"


@pytest.fixture(scope="module")
def locked() -> dict[str, dict]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a clone: what belongs to the repository is not known")
    return YAML(typ="safe").load((ROOT / "dvc.lock").read_text(encoding="utf-8"))["stages"]


def test_folders_are_hashed_as_dvc_hashes_them(tmp_path, monkeypatch):
    """Its own words for two files, one in a folder."""
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    (tmp_path / "room" / "inner").mkdir(parents=True)
    (tmp_path / "room" / "b.py").write_text("b = 1\n")
    (tmp_path / "room" / "inner" / "a.py").write_text("a = 1\n")
    monkeypatch.setattr(f"{__name__}.committed", lambda path: [p for p in (tmp_path / path).rglob("*") if p.is_file()])
    from dvc.repo import Repo

    repo = Repo.init(str(tmp_path), no_scm=True)
    (output,) = repo.add(str(tmp_path / "room"))
    assert dvc_hash("room") == output.outs[0].hash_info.value


def test_dvc_lock_is_of_this_code(locked):
    """Every stage, also those of a matrix, depends on the rooms that dvc.yaml names, as they are here."""
    declared = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    assert {name.partition("@")[0] for name in locked} == set(declared)
    hashes: dict[str, str] = {}
    for name, stage in locked.items():
        deps = {dep["path"]: dep["md5"] for dep in stage["deps"] if dep["path"].startswith("csdm_cli")}
        wanted = {dep for dep in declared[name.partition("@")[0]]["deps"] if dep.startswith("csdm_cli")}
        assert set(deps) == wanted, f"{name}: {ADVICE}"
        for path in set(deps) - set(hashes):
            hashes[path] = dvc_hash(path)
        stale = sorted(path for path, found in deps.items() if found != hashes[path])
        assert not stale, f"{name}: {stale} {ADVICE}"
