"""A word that says which images: the name of a dataset, or a folder of one's own."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from csdm_cli.errors import UsageError
from csdm_cli.names import Source
from csdm_cli.safe_text import meant, shown
from csdm_cli.storage.places import from_home


def source_of(text: str, given: Collection[str] = ()) -> dict[str, Any]:
    """The settings of make-lt that the word stands for: a dataset's name, or else the folder of that path.

    Raises:
        UsageError: if it is a path, but of no folder; or of one, and a ``data_dir`` is ``given`` too.
    """
    if not text.strip():
        raise UsageError("DATASET is empty: name a dataset or a folder of images")
    if text in tuple(Source):
        return {"dataset": text}
    place = from_home(text)
    if place.is_dir() or (place.is_file() and place.suffix == ".npz"):
        if "data_dir" in given:
            raise UsageError(f"{shown(text)} and --data-dir are two folders of images: name one")
        return {"dataset": Source.folder, "data_dir": text}
    if "/" in text or text.startswith((".", "~")):
        raise UsageError(f"{shown(text)} is neither a folder nor the name of a dataset")
    hint = meant(text, Source)
    known = ", ".join(Source) + (f" ({hint})" if hint else "")
    raise UsageError(f'DATASET: got "{shown(text)}", neither a folder here nor one of {known}')
