"""Image files below a folder, and what else lies there.

Left out are what systems and editors leave behind: hidden files and folders, and ``__MACOSX``.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from csdm_cli.safe_text import counted, shown

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".jp2", ".png", ".bmp", ".webp", ".avif", ".gif"}
    | {".tif", ".tiff", ".ppm", ".pgm"}
)
LEFT_BEHIND = ("__MACOSX",)
GLANCE = 3
NAMED = 3  # links


@dataclass(frozen=True)
class Found:
    """Files below a folder.

    Attributes:
        images: sorted by their path within the folder.
        others: how many files of other suffixes there are, by suffix.
        links: symbolic links that lead to no file: called like images, but to what is not there, and those to folders.
    """

    images: tuple[Path, ...]
    others: Counter[str]
    links: tuple[Path, ...] = ()


def images_below(folder: Path) -> Found:
    """Image files at any depth, told by :data:`SUFFIXES`."""
    images: list[Path] = []
    links: list[Path] = []
    others: Counter[str] = Counter()
    for place, inside, names in os.walk(folder):
        inside[:] = [name for name in inside if is_meant(name)]
        links += [Path(place, name) for name in inside if Path(place, name).is_symlink()]  # which are not entered
        for file in (Path(place, name) for name in names if is_meant(name)):
            if file.suffix.lower() not in SUFFIXES:
                others[file.suffix.lower()] += 1
            elif file.is_file():
                images.append(file)
            elif file.is_symlink():
                links.append(file)

    def within(file: Path) -> str:
        return file.relative_to(folder).as_posix()

    return Found(tuple(sorted(images, key=within)), others, tuple(sorted(links, key=within)))


def any_image(folder: Path) -> bool:
    """Whether there is an image in a subfolder, at most :data:`GLANCE` levels down; stops at the first."""
    for place, inside, names in os.walk(folder):
        depth = len(Path(place).relative_to(folder).parts)
        inside[:] = [name for name in inside if depth < GLANCE and is_meant(name)]
        if Path(place) != folder and any(is_meant(name) and Path(name).suffix.lower() in SUFFIXES for name in names):
            return True
    return False


def class_folders(folder: Path) -> dict[str, Found]:
    """The files in each subfolder that is meant to be a class, by name; none if there is no such folder."""
    if not folder.is_dir():
        return {}
    names = sorted(entry.name for entry in folder.iterdir() if is_meant(entry.name) and entry.is_dir())
    return {name: images_below(folder / name) for name in names}


def lost_folders(folder: Path) -> list[Path]:
    """Symbolic links in place of class folders, to what is not there; a link called like a file is none."""
    links = (entry for entry in folder.iterdir() if is_meant(entry.name) and entry.is_symlink())
    return sorted(link for link in links if not link.suffix and not link.exists())


def is_meant(name: str) -> bool:
    """Whether a person put this file or folder here for its contents."""
    return not name.startswith(".") and name not in LEFT_BEHIND


def is_image_name(name: str) -> bool:
    """Whether a path, of whatever system, ends as images do."""
    return Path(name).suffix.lower() in SUFFIXES


def left_out(found: Iterable[Found]) -> tuple[str, ...]:
    """Remarks on the files that are no images by their suffix and on links that lead to none; none without such."""
    own = list(found)
    others, links = sum((one.others for one in own), Counter[str]()), [link for one in own for link in one.links]
    return (*_other_files(others), *idle_links(links))


def idle_links(links: Sequence[Path]) -> tuple[str, ...]:
    """A remark on links that lead to no file, with the first of them; nothing if there are none."""
    if not links:
        return ()
    named = ", ".join(shown(link, most=120) for link in links[:NAMED]) + (", …" if len(links) > NAMED else "")
    are = "is left out, for it leads" if len(links) == 1 else "are left out, for they lead"
    return (f"warning: {counted(len(links), 'symbolic link')} {are} to no file: {named}",)


def _other_files(others: Counter[str]) -> tuple[str, ...]:
    if not others:
        return ()
    files, are = counted(others.total(), "file"), "is" if others.total() == 1 else "are"
    whose = "its ending is not that" if others.total() == 1 else "their endings are not those"
    return (f"{files} {are} left out, for {whose} of images: {told(others)}",)


def told(others: Counter[str]) -> str:
    """Suffixes and how many files have them, most first."""
    return ", ".join(f"{shown(suffix or 'no ending', most=20)} ({count:,})" for suffix, count in others.most_common(5))
