import errno
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from csdm_cli.errors import CsdmError
from csdm_cli.storage import atomic


def names(folder):
    return sorted(entry.name for entry in folder.iterdir())


def test_a_file_appears_with_its_folders_and_nothing_else(tmp_path):
    atomic.write_bytes(tmp_path / "a" / "b" / "file.bin", b"12")
    assert (tmp_path / "a" / "b" / "file.bin").read_bytes() == b"12"
    assert names(tmp_path / "a" / "b") == ["file.bin"]


def test_the_mode_follows_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        atomic.write_text(tmp_path / "file", "x")
        with atomic.new_folder(tmp_path / "folder"):
            pass
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "folder").stat().st_mode & 0o777 == 0o750


def test_a_full_disk_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch):
    atomic.write_text(tmp_path / "file", "old")

    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(atomic.os, "fsync", full)
    with pytest.raises(CsdmError, match="No space left on device"):
        atomic.write_text(tmp_path / "file", "new")
    assert (tmp_path / "file").read_text() == "old" and names(tmp_path) == ["file"]


def test_a_file_in_the_way_of_a_folder_is_one_clear_line(tmp_path):
    (tmp_path / "a").write_text("")
    with pytest.raises(CsdmError, match="cannot write"):
        atomic.write_text(tmp_path / "a" / "b", "x")


def test_json_is_sorted_and_refuses_nan(tmp_path):
    atomic.write_json(tmp_path / "a.json", {"b": 1, "a": [1.5, None]})
    atomic.write_json(tmp_path / "b.json", {"a": [1.5, None], "b": 1})
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": [1.5, None], "b": 1}
    with pytest.raises(ValueError):
        atomic.write_json(tmp_path / "c.json", {"a": float("nan")})
    assert names(tmp_path) == ["a.json", "b.json"]


def test_a_folder_is_replaced_whole(tmp_path):
    for content in ("old", "new"):
        with atomic.new_folder(tmp_path / "set") as place:
            assert names(place) == []
            (place / content).write_text(content)
    assert names(tmp_path / "set") == ["new"] and names(tmp_path) == ["set"]


def test_an_exception_leaves_the_old_folder(tmp_path):
    with atomic.new_folder(tmp_path / "set") as place:
        (place / "old").write_text("")
    with pytest.raises(RuntimeError), atomic.new_folder(tmp_path / "set") as place:
        (place / "new").write_text("")
        raise RuntimeError
    assert names(tmp_path / "set") == ["old"] and names(tmp_path) == ["set"]


def test_a_killed_writer_leaves_the_old_file(tmp_path):
    atomic.write_text(tmp_path / "file", "old")
    script = f"""
import os, signal
from pathlib import Path
from csdm_cli.storage import atomic
atomic.os.fsync = lambda handle: os.kill(os.getpid(), signal.SIGKILL)
atomic.write_text(Path({str(tmp_path / "file")!r}), "new")
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -9
    assert (tmp_path / "file").read_text() == "old"


def killed_writer(call, place):
    """A process of its own that runs ``call`` and kills itself at its next flush."""
    script = f"""
import os, signal
from pathlib import Path
from csdm_cli.storage import atomic
atomic.os.fsync = lambda handle: os.kill(os.getpid(), signal.SIGKILL)
place = Path({str(place)!r})
{call}
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -9


def test_what_killed_writers_left_is_cleared_by_the_next_one(tmp_path):
    killed_writer("atomic.write_text(place, 'new')", tmp_path / "file")
    killed_writer("with atomic.new_folder(place) as folder: atomic.write_text(folder / 'a', 'b')", tmp_path / "set")
    (tmp_path / ".file.tmp").write_text("somebody else's")
    assert len(names(tmp_path)) == 3
    atomic.write_text(tmp_path / "file", "new")
    with atomic.new_folder(tmp_path / "set"):
        pass
    assert names(tmp_path) == [".file.tmp", "file", "set"]


def test_a_living_writer_is_left_alone(tmp_path):
    with atomic.new_folder(tmp_path / "set") as first:
        (first / "first").write_text("")
        with atomic.new_folder(tmp_path / "set") as second:
            (second / "second").write_text("")
        assert names(tmp_path / "set") == ["second"]
    assert names(tmp_path / "set") == ["first"] and names(tmp_path) == ["set"]


@pytest.mark.parametrize("name", ["mkstemp", "mkdtemp"])
def test_what_another_process_clears_away_before_it_is_claimed_is_made_anew(tmp_path, monkeypatch, name):
    """Two that write the same at once: each clears away what seems abandoned."""
    make, made = getattr(atomic.tempfile, name), []

    def made_and_cleared(**where):
        made.append(make(**where))
        if len(made) == 1:
            atomic._tidy(tmp_path / "out")
            assert names(tmp_path) == []
        return made[-1]

    monkeypatch.setattr(atomic.tempfile, name, made_and_cleared)
    if name == "mkstemp":
        atomic.write_text(tmp_path / "out", "new")
    else:
        with atomic.new_folder(tmp_path / "out"):
            pass
    assert len(made) == 2 and names(tmp_path) == ["out"]


def test_who_is_about_to_clear_something_away_is_waited_for(tmp_path):
    """It has claimed a file just made, and not removed it yet."""
    (tmp_path / "made").touch()
    with (tmp_path / "made").open() as other, (tmp_path / "made").open() as own, ThreadPoolExecutor() as pool:
        assert atomic._claim(other.fileno()) and not atomic._claim(own.fileno())
        claimed = pool.submit(atomic._claim, own.fileno(), wait=True)
        (tmp_path / "made").unlink()
        assert not claimed.done()
        other.close()
        assert claimed.result(timeout=60)


@pytest.mark.parametrize("error", [SystemExit(143), OSError(errno.EIO, "Input/output error")])
def test_an_older_folder_comes_back_when_its_replacement_is_cut_short(tmp_path, monkeypatch, error):
    """Between the two renames: a signal leaves the old folder aside, an error puts it back at once."""
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "old").write_text("")
    real, calls = Path.replace, []

    def replace(self, target):
        calls.append(target)
        if len(calls) == 2:
            raise error
        return real(self, target)

    with monkeypatch.context() as patch, pytest.raises((SystemExit, CsdmError)):
        patch.setattr(Path, "replace", replace)
        with atomic.new_folder(tmp_path / "set") as place:
            (place / "new").write_text("")
    assert (tmp_path / "set").exists() == isinstance(error, OSError)
    with pytest.raises(RuntimeError), atomic.new_folder(tmp_path / "set"):
        raise RuntimeError
    assert names(tmp_path / "set") == ["old"] and names(tmp_path) == ["set"]


def test_errors_of_the_block_are_its_own(tmp_path):
    with pytest.raises(FileNotFoundError), atomic.new_folder(tmp_path / "set"):
        (tmp_path / "unrelated").read_text()
    with (
        pytest.raises(CsdmError, match=rf"^cannot write {tmp_path}/set/a/b: "),
        atomic.new_folder(tmp_path / "set") as p,
    ):
        (p / "a").write_text("")
        atomic.write_text(p / "a" / "b", "")
    assert names(tmp_path) == []


def test_a_folder_is_tried_while_another_process_replaces_it(tmp_path, monkeypatch):
    (tmp_path / "out").mkdir()
    make = atomic.tempfile.mkdtemp

    def made_and_replaced(**where):
        made = make(**where)
        (tmp_path / "out").rename(tmp_path / "old")
        (tmp_path / "out").mkdir()
        return made

    monkeypatch.setattr(atomic.tempfile, "mkdtemp", made_and_replaced)
    atomic.refuse_unwritable(tmp_path / "out")
    assert names(tmp_path) == ["old", "out"]


def test_a_replaced_folder_goes_though_another_process_adds_to_it_meanwhile(tmp_path, monkeypatch):
    (tmp_path / "out" / "a").mkdir(parents=True)
    remove, removed = atomic.shutil.rmtree, []

    def late(folder, **options):
        if not removed:  # after its contents were listed, before it is gone
            removed.append(folder)
            (folder / "late").mkdir()
            return
        remove(folder, **options)

    monkeypatch.setattr(atomic.shutil, "rmtree", late)
    with atomic.new_folder(tmp_path / "out") as place:
        (place / "new").write_text("x")
    assert removed and names(tmp_path) == ["out"] and names(tmp_path / "out") == ["new"]


def test_an_unwritable_folder_is_refused_before_work(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CsdmError, match="is a file"):
        atomic.refuse_unwritable(tmp_path / "file" / "a" / "b")
    atomic.refuse_unwritable(tmp_path / "new" / "folder")
    assert names(tmp_path) == ["file"]
