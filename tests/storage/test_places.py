from pathlib import Path

import pytest

from csdm_cli.errors import UsageError
from csdm_cli.storage import places


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository with a DVC experiment's copy of itself inside; the working directory is a folder of it."""
    for name in ("CSDM_CACHE", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    root = tmp_path / "project"
    (root / ".git").mkdir(parents=True)
    (root / "deep" / "down").mkdir(parents=True)
    (root / ".dvc" / "tmp" / "exps" / "standalone" / "tmpabc" / ".dvc").mkdir(parents=True)
    monkeypatch.chdir(root / "deep" / "down")
    return root


def test_everything_lies_under_the_repository_root(repository):
    assert places.project_root() == repository
    assert places.cache_dir("teachers") == repository / ".csdm" / "teachers"
    assert places.tracking_uri() == f"sqlite:///{repository / 'mlflow.db'}"


def test_an_experiments_copy_uses_the_main_repository(repository, monkeypatch):
    monkeypatch.chdir(repository / ".dvc" / "tmp" / "exps" / "standalone" / "tmpabc")
    assert places.project_root() == repository
    assert places.tracking_uri() == f"sqlite:///{repository / 'mlflow.db'}"


def test_a_git_worktree_is_a_root_too(tmp_path, monkeypatch):
    (tmp_path / ".git").write_text("gitdir: elsewhere")
    monkeypatch.chdir(tmp_path)
    assert places.project_root() == tmp_path


def test_outside_a_repository_the_users_cache_holds_all(tmp_path, monkeypatch):
    monkeypatch.setattr(places, "project_root", lambda: None)
    monkeypatch.delenv("CSDM_CACHE")
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert places.cache_dir() == tmp_path / "csdm"
    assert places.tracking_uri() == f"sqlite:///{tmp_path / 'csdm' / 'mlflow.db'}"


def test_variables_decide(repository, monkeypatch, tmp_path):
    monkeypatch.setenv("CSDM_CACHE", "~/elsewhere")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://localhost:5000")
    assert places.cache_dir("a", "b") == Path.home() / "elsewhere" / "a" / "b"
    assert places.tracking_uri() == "http://localhost:5000"


def test_a_user_without_a_home_is_told_what_to_set(repository, monkeypatch, csdm):
    """No HOME, and no entry among the machine's users: inside a repository nothing needs one."""

    def nobody(number):
        raise KeyError(number)

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr("pwd.getpwuid", nobody)
    assert places.cache_dir() == repository / ".csdm"
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(places, "project_root", lambda: None)
        with pytest.raises(UsageError, match="HOME or CSDM_CACHE"):
            places.cache_dir()
        elsewhere.setenv("CSDM_CACHE", "~/cache")
        with pytest.raises(UsageError, match="CSDM_CACHE: ~/cache names a home folder that is not known here"):
            places.cache_dir()
    asked = csdm("make-lt", "digits", "--data-dir", "~/images")
    assert (asked.exit_code, asked.stdout, asked.stderr.count("\n")) == (2, "", 1) and "~/images" in asked.stderr


@pytest.mark.parametrize("words", [("make-lt",), ("pretrain", "data", "--weights")])
def test_a_home_folder_of_nobody_is_refused_in_one_line(csdm, workplace, words):
    asked = csdm(*words, "~nobody-at-all/x")
    assert (asked.exit_code, asked.stdout) == (2, "")
    assert "~nobody-at-all/x names a home folder that is not known here: write the whole path" in asked.stderr
    assert places.from_home("~/x") == Path.home() / "x" and places.from_home("x") == Path("x")
