"""The ledger's files: one JSON per row in ``results/``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from csdm_cli.errors import CsdmError, UsageError
from csdm_cli.ledger.row import SCHEMA, Row
from csdm_cli.safe_text import counted, meant
from csdm_cli.storage import kinds, outputs
from csdm_cli.storage.bounded import read_json

ROW = kinds.json_that(lambda value: value.get("schema") == SCHEMA)


def read_rows(folder: Path) -> list[Row]:
    """All rows in ``folder``, by table and name; files without a ``schema`` are other measurements.

    Raises:
        CsdmError: if the folder is missing, or a file is damaged or has another name than its row.
    """
    if not folder.is_dir():
        raise CsdmError(f"there is no folder {folder}: name the ledger's with --results")
    rows = []
    for path in sorted(folder.glob("*.json")):
        value = _json(path)
        if not isinstance(value, dict) or "schema" not in value:
            continue
        row = Row.from_dict(value, str(path))
        if row.name != path.stem:
            raise CsdmError(f"{path} holds the row {row.name}: a row's file is called like the row")
        rows.append(row)
    return rows


def find_row(name: str, folder: Path) -> Row:
    """The row called ``name``, which may also be its file.

    Raises:
        CsdmError: if there is none.
    """
    path = Path(name)
    if path.suffix == ".json" and path.is_file():
        return Row.from_dict(_json(path), str(path))
    rows = {row.name: row for row in read_rows(folder)}
    if name not in rows:
        hint = meant(name, rows, most=3) or f"csdm ledger shows its {counted(len(rows), 'row')}"
        raise CsdmError(f"{folder} has no row {name!r}; {hint}")
    return rows[name]


def write_rows(rows: Sequence[Row], folder: Path) -> dict[str, Path]:
    """Write each row to its file; older ones of these names and settings are replaced.

    Returns:
        The files by the rows' names.

    Raises:
        UsageError: if a file of that name is no row, or one of other settings or data; then nothing is written.
    """
    outputs.claim_files(folder, {_file_of(row): ROW for row in rows}, "--results")
    for row in rows:
        _refuse_other_settings(row, folder / _file_of(row))
    return {row.name: write_row(row, folder) for row in rows}


def _refuse_other_settings(row: Row, file: Path) -> None:
    """Raise :class:`UsageError` if ``file`` holds a row of other settings, of those that both rows tell, or data."""
    if not file.exists():
        return
    old = Row.from_dict(_json(file), str(file))
    both = [(part, name) for part, told in row.config.items() for name in told if name in old.config.get(part, {})]
    different = [f"{part}.{name}" for part, name in both if row.config[part][name] != old.config[part][name]]
    different += ["data"] if row.data.fingerprints != old.data.fingerprints else []
    if different:
        raise UsageError(
            f"{file} is a row of other settings ({', '.join(different[:3])}): give --table another name, or delete it"
        )


def write_row(row: Row, folder: Path) -> Path:
    """Write a row to its file; an older one of that name is replaced."""
    path = folder / _file_of(row)
    outputs.write_json(path, row.as_dict(), ROW)
    return path


def _file_of(row: Row) -> str:
    return f"{row.name}.json"


def _json(path: Path) -> object:
    try:
        value: object = read_json(path, "bring it back from its commit, or measure the row again")
    except (FileNotFoundError, NotADirectoryError):
        raise CsdmError(f"{path} does not exist") from None
    return value
