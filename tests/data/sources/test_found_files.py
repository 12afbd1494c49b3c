"""Images below a folder, and what else lies there."""

from __future__ import annotations

from collections import Counter

from csdm_cli.data.sources.found_files import (
    any_image,
    class_folders,
    idle_links,
    images_below,
    is_meant,
    left_out,
    lost_folders,
    told,
)


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


def test_links_that_lead_to_no_file_are_told(tmp_path):
    make(tmp_path, "a/1.png", "elsewhere/2.png")
    for number in range(2, 5):
        (tmp_path / "a" / f"{number}.png").symlink_to(tmp_path / "gone.png")
    (tmp_path / "a" / "5.png").symlink_to(tmp_path / "a" / "1.png")
    (tmp_path / "a" / "more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "a" / "notes").symlink_to(tmp_path / "gone")
    found = images_below(tmp_path / "a")
    assert [file.name for file in found.images] == ["1.png", "5.png"]
    assert [link.name for link in found.links] == ["2.png", "3.png", "4.png", "more"]
    *_, remark = left_out([found])
    assert remark.startswith("warning: 4 symbolic links are left out, for they lead to no file: ")
    assert "a/2.png, " in remark and remark.endswith("a/4.png, …")
    assert idle_links(found.links[:1])[0].endswith(
        f"1 symbolic link is left out, for it leads to no file: {tmp_path}/a/2.png"
    )
    assert idle_links([]) == ()


def test_a_link_in_place_of_a_class_folder_is_lost(tmp_path):
    make(tmp_path, "a/1.png")
    for name in ("b", "c", ".hidden", "list.csv"):
        (tmp_path / name).symlink_to(tmp_path / ("a" if name == "c" else "gone"))
    assert [link.name for link in lost_folders(tmp_path)] == ["b"]
    assert {name: len(own.images) for name, own in class_folders(tmp_path).items()} == {"a": 1, "c": 1}


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
