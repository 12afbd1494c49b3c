"""The parquet files of a folder, by split."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from csdm_cli.data.sources import found_files
from csdm_cli.errors import CsdmError

VALIDATION = ("val", "validation", "valid", "dev", "eval")
SPLITS = ("train", "test", *VALIDATION)
PARTIAL = "partial-"  # of the hub's own conversions of large sets
DEEPEST = 3

# train.parquet, train-00000-of-00005.parquet, train_0.parquet, ...
_NAMED = re.compile(rf"^({'|'.join(SPLITS)})(?:[-_.].*)?\.parquet$")
_SHARD = re.compile(r"-(\d+)-of-(\d+)[^/]*\.parquet$")


@dataclass(frozen=True)
class ParquetFiles:
    """The files of each split, in shard order."""

    train: tuple[Path, ...]
    test: tuple[Path, ...]
    validation: tuple[Path, ...]


def present(data_dir: Path) -> bool:
    """Whether the folder holds a parquet file of a split, at most three levels down."""
    return bool(_by_set(data_dir))


def find(data_dir: Path) -> ParquetFiles:
    """The training set's files and those of the sets that can be the test set.

    Splits are told by the file's name (``train-00000-of-00002.parquet``) or its folder's (``train/0000.parquet``).

    Raises:
        CsdmError: if there is no training set, a shard is missing, or several sets are there.
    """
    sets = _by_set(data_dir)
    with_train = [place for place, splits in sets.items() if "train" in splits]
    if not with_train:
        raise CsdmError(f"{data_dir} holds parquet, but no training set such as train-00000-of-00001.parquet")
    if len(with_train) > 1:
        places = ", ".join(str(place) for place in with_train)
        raise CsdmError(f"{data_dir} holds several parquet sets ({places}): name one of them with --data-dir")
    splits = sets[with_train[0]]
    validation = next((splits[name] for name in VALIDATION if name in splits), [])
    for files in splits.values():
        _refuse_missing_shards(files)
    return ParquetFiles(tuple(splits["train"]), tuple(splits.get("test", [])), tuple(validation))


def _by_set(data_dir: Path) -> dict[Path, dict[str, list[Path]]]:
    """Folder of a set -> split -> files, sorted by name; files whose names tell no split are a training set."""
    sets: dict[Path, dict[str, list[Path]]] = {}
    unnamed: dict[Path, dict[str, list[Path]]] = {}
    for depth in range(DEEPEST):
        for file in sorted(data_dir.glob("*/" * depth + "*.parquet")):
            split = file.parent.name.removeprefix(PARTIAL)
            if match := _NAMED.match(file.name):
                sets.setdefault(file.parent, {}).setdefault(match[1], []).append(file)
            elif split in SPLITS:
                sets.setdefault(file.parent.parent, {}).setdefault(split, []).append(file)
            else:
                unnamed.setdefault(file.parent, {}).setdefault("train", []).append(file)
    if unnamed and not sets and not found_files.any_image(data_dir):  # beside pictures they tell of something else
        return unnamed
    return sets


def _refuse_missing_shards(files: list[Path]) -> None:
    matches = [match for file in files if (match := _SHARD.search(file.name))]
    if matches and (len(files) != int(matches[0][2]) or len(matches) != len(files)):
        have = {int(match[1]) for match in matches}
        missing = sorted(set(range(int(matches[0][2]))) - have)
        what = f"shard {missing[0]} is missing" if missing else f"{len(files)} files are there"
        raise CsdmError(f"{files[0].name} is one of {int(matches[0][2])} shards, but {what} in {files[0].parent}")
