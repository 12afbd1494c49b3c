import subprocess

import pytest

from csdm_cli.storage import keys


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A git repository with one commit, in which the package lies."""
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    monkeypatch.setattr(keys, "PACKAGE", package)
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    for command in (["init", "-q"], ["add", "."], [*identity, "commit", "-q", "-m", "first"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    return package


def test_the_commit_and_whether_files_differ_from_it(checkout):
    found = keys.revision()
    assert len(found.commit) == 40 and not found.dirty
    (checkout / "new.py").write_text("untracked files are no change")
    assert not keys.revision().dirty
    (checkout / "__init__.py").write_text("changed")
    assert keys.revision() == keys.Commit(found.commit, dirty=True)


def test_a_package_that_git_does_not_track_has_no_commit(checkout, monkeypatch):
    """Installed into a virtual environment inside somebody's own repository."""
    installed = checkout / "site-packages"
    installed.mkdir()
    (installed / "__init__.py").write_text("")
    monkeypatch.setattr(keys, "PACKAGE", installed)
    assert keys.revision() is None


def test_without_git_there_is_no_commit(checkout, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert keys.revision() is None
