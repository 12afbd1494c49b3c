"""Images below a folder, and what else lies there."""

from __future__ import annotations

from collections import Counter

from csdm_cli.data.sources.found_files import any_image, class_folders, images_below, is_meant, left_out, told


def make(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


def test_images_at_any_depth_are_sorted_and_others_counted(tmp_path):
    make(tmp_path, "b.JPG", "a/z.png", "a/y/x.webp", "notes.txt", "a/list.CSV", "a/more.csv")
    make(tmp_path, ".hidden.png", ".git/p.png", "__MACOSX/q.png")
    found = images_below(tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in found.images] == ["a/y/x.webp", "a/z.png", "b.JPG"]
    assert found.others == Counter({".csv": 2, ".txt": 1})


def test_what_is_left_out_is_remarked(tmp_path):
    make(tmp_path, "a/1.png", "a/x.csv", "b/y.csv", "b/z")
    (remark,) = left_out(class_folders(tmp_path).values())
    assert remark.startswith("3 files are left out") and remark.endswith(".csv (2), no ending (1)")
    assert left_out([]) == ()
    assert told(Counter({".a": 1000})) == ".a (1,000)"


def test_class_folders_are_those_that_a_person_made(tmp_path):
    make(tmp_path, "dog/1.png", "cat/2.png", ".cache/3.png", "4.png")
    (tmp_path / "empty").mkdir()
    found = class_folders(tmp_path)
    assert {name: len(own.images) for name, own in found.items()} == {"cat": 1, "dog": 1, "empty": 0}
    assert class_folders(tmp_path / "nowhere") == {}
    assert is_meant("a.png") and not is_meant(".a.png")


def test_a_glance_goes_some_levels_down(tmp_path):
    make(tmp_path, "top.png")
    assert not any_image(tmp_path), "in subfolders only"
    make(tmp_path, "1/2/3/4/deep.png")
    assert not any_image(tmp_path)
    make(tmp_path, "1/2/3/near.png")
    assert any_image(tmp_path)
