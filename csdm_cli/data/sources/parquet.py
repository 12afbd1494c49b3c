"""Parquet in the Hugging Face layout.

An image column (struct{bytes, path}, plain bytes, or nested lists of pixels), a label column, class names in the
schema's metadata; one file per split or several shards.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from csdm_cli.data.sources import labels, parquet_files, pixels
from csdm_cli.data.sources.labels import Classes
from csdm_cli.data.sources.parquet_table import Table
from csdm_cli.data.sources.raw import RawDataset, RawSplit
from csdm_cli.data.sources.reading import Reading
from csdm_cli.data.sources.survey import survey
from csdm_cli.errors import CsdmError

WITHHELD = -1  # what public test sets carry in place of labels


def load(data_dir: Path, reading: Reading) -> RawDataset:
    """Open a parquet dataset.

    Args:
        data_dir: folder of the files. The test set is ``test``, or ``val``, ``validation``, ``valid`` or ``dev``
            where there is no ``test`` or its labels are withheld.
        reading: columns, and size and channels of the images.

    Raises:
        CsdmError: if files, columns or labels are missing or contradict each other, or a file is damaged.
        UsageError: if no size is asked for and the images differ in theirs.
    """
    files = parquet_files.find(data_dir)

    def table(own: Sequence[Path]) -> Table:
        return Table(tuple(own), reading.image_column, reading.label_column)

    train, test = table(files.train), _test_table(table(files.test), table(files.validation))
    classes = _classes(train, test)
    form, remarks = survey(train.headers, lambda: test.headers() if test else (), reading)

    def split(own: Table) -> RawSplit:
        def read(positions: Sequence[int]) -> Tensor:
            return own.read(positions, form)

        return RawSplit(classes.numbers(own.labels, own.place), read)

    _, first, _ = next(train.coded())
    return RawDataset(
        train=split(train),
        test=split(test) if test else None,
        class_names=classes.names,
        channels=form.channels,
        size=form.size,
        jpeg=pixels.is_jpeg(first),
        origin="parquet",
        fingerprint=_fingerprint((*train.files, *(test.files if test else ()))),
        remarks=remarks,
    )


def _test_table(test: Table, validation: Table) -> Table | None:
    """The table to test on; None without one."""
    if test.files and any(label != WITHHELD for label in test.labels):
        return test
    if test.files and not validation.files:
        raise CsdmError(f"{test.files[0]} withholds its labels (-1), and there is no val-*.parquet to test on")
    return validation if validation.files else None


def _classes(train: Table, test: Table | None) -> Classes:
    """The classes of both tables.

    Raises:
        CsdmError: if the tables' class names or kinds of label differ.
    """
    names = train.class_names()
    if test is not None:
        own = test.class_names()
        if own and names and own != names:
            raise CsdmError(
                f"{test.files[0]} has other class names than {train.files[0]}: their labels cannot be compared"
            )
        names = names or own
        labels.refuse_mixed(test.labels, test.place, like=train.labels[0])
    if names is None:
        return labels.found_in(train.labels, train.place)
    return labels.named(names, texts=isinstance(train.labels[0], str))


def _fingerprint(files: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as opened:
            digest.update(hashlib.file_digest(opened, "sha256").digest())
    return digest.hexdigest()
