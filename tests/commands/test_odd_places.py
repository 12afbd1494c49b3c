"""The commands where a path has a space and a letter outside ASCII, and the user has no HOME."""

from __future__ import annotations

from tests.command_world import COMMANDS, contents, run


def test_a_folder_with_an_odd_name_gives_the_same_bytes(world, tmp_path, monkeypatch):
    place = tmp_path / "Übung mit Leerzeichen"
    world.copy_to(place)
    (place / ".git").mkdir()  # the root of a repository: caches lie in it
    monkeypatch.chdir(place)
    for name in ("HOME", "CSDM_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, made in (("distill", "set"), ("evaluate", "evaluation")):
        run(*COMMANDS[name])
        assert contents(place / "out" / made) == contents(world.folder / "out" / made)
    assert (place / ".csdm").is_dir()
