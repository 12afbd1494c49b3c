"""Tables of linear probes for the ledger: `python benchmarks/study/probe_tables.py --sources FOLDER`.

For every set, backbone, number of images per class and method of probes.yaml (or another file of that form, `--plan`):
sets are distilled with csdm's commands, probed on the backbone that made them and, with its classifier inherited, on
every other one; and their rows, with those of all controls, go to `--results`. A table is called SET-ipcN-BACKBONE, or
SET-ipcN-BACKBONE-on-OTHER. What is done stays, under names that change with its settings, so the same command goes on
after an interruption. `--dry-run` prints the commands that are left.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from csdm_cli.cli.app import app
from csdm_cli.settings.resolve import read_yaml
from csdm_cli.storage.keys import content_key

HERE = Path(__file__).parent
Settings = dict[str, Any]


@dataclass(frozen=True)
class Step:
    """A command of csdm, and the file that is there once it is done; where ``told``, of what it prints."""

    words: tuple[str, ...]
    done: Path
    told: bool = False

    def run(self) -> None:
        """Do it, unless it is done."""
        if self.done.exists():
            return
        print(self, flush=True)
        self.done.parent.mkdir(parents=True, exist_ok=True)
        printed, code = io.StringIO(), None
        with contextlib.redirect_stdout(printed) if self.told else contextlib.nullcontext():
            try:
                app(list(self.words))  # in this process, which has torch already
            except SystemExit as ended:
                code = ended.code
        if code:
            raise SystemExit(f"stopped with exit code {code}: {self}")
        if self.told:
            self.done.write_text(printed.getvalue(), encoding="utf-8")

    def __str__(self) -> str:
        return shlex.join(("csdm", *self.words))


@dataclass(frozen=True)
class Places:
    """Where data come from, and where work and rows go."""

    work: Path
    results: Path
    sources: Path | None = None


@dataclass(frozen=True)
class Table:
    """A set at a number of images per class, and a backbone; of the plan that names them."""

    plan: Settings
    places: Places
    data: str
    ipc: int
    backbone: str

    def steps(self) -> Iterator[Step]:
        """All commands in their order, method by method; some are another table's as well."""
        yield self._make_lt()
        for name in self.plan["backbones"]:
            yield self._pretrain(name)
        for number, arm in enumerate(self.plan["arms"]):
            for seed in range(self.plan["seeds"]):
                yield self._distill(arm, seed)
            for name in (self.backbone, *(other for other in self.plan["backbones"] if other != self.backbone)):
                for seed in range(self.plan["seeds"]):
                    yield self._evaluate(arm, seed, name, controls=number == 0)
                yield self._add(arm, name, controls=number == 0)

    @property
    def _folder(self) -> Path:
        return self.places.work / _named(self.data, self.plan["make_lt"][self.data])

    @property
    def data_folder(self) -> Path:
        """The long-tailed set."""
        return self._folder / "data"

    def pool_folder(self, name: str) -> Path:
        """The pool of the backbone called ``name``."""
        return self._folder / "backbones" / _named(name, self.plan["backbones"][name])

    def set_folder(self, arm: str, seed: int) -> Path:
        """The distilled set of a method and a seed."""
        own = self._distilling(arm) | {"pool": self.plan["backbones"][self.backbone]}
        return self._folder / self.backbone / f"ipc{self.ipc}" / _named(arm, own) / f"set-{seed}"

    def _distilling(self, arm: str) -> Settings:
        own: Settings = self.plan["distill"] | {"ipc": self.ipc} | self.plan["ipc"][self.ipc] | self.plan["arms"][arm]
        return own

    def _probed(self, arm: str, seed: int, name: str) -> Path:
        return self.set_folder(arm, seed) / ("on-" + _named(name, self.plan["backbones"][name] | self.plan["evaluate"]))

    def _make_lt(self) -> Step:
        own = dict(self.plan["make_lt"][self.data])
        source = str(own.pop("dataset"))
        if self.places.sources is not None:
            own["data_dir"] = self.places.sources / source
        out = self.data_folder
        return Step(("make-lt", source, *_flags(own), "--out", str(out)), out / "manifest.json")

    def _pretrain(self, name: str) -> Step:
        words = ("pretrain", str(self.data_folder), *_flags(self.plan["backbones"][name]))
        return Step((*words, "--out", str(self.pool_folder(name))), self.pool_folder(name) / "pool.json")

    def _distill(self, arm: str, seed: int) -> Step:
        out, pool = self.set_folder(arm, seed), self.pool_folder(self.backbone)
        words = ("distill", str(self.data_folder), "--teachers", str(pool), *_flags(self._distilling(arm)))
        return Step((*words, "--seed", str(seed), "--out", str(out)), out / "distilled.safetensors")

    def _evaluate(self, arm: str, seed: int, name: str, *, controls: bool) -> Step:
        made, out = self.set_folder(arm, seed), self._probed(arm, seed, name)
        words = ["evaluate", str(made), "--data", str(self.data_folder), "--protocol", "probe"]
        words += ["--teachers", str(self.pool_folder(name)), *_flags(self.plan["evaluate"]), "--out", str(out)]
        words += [] if name == self.backbone else ["--inherit"]
        return Step((*words, *([] if controls else ["--no-controls"])), out / "evaluate.run.json")

    def _add(self, arm: str, name: str, *, controls: bool) -> Step:
        folders = [self._probed(arm, seed, name) for seed in range(self.plan["seeds"])]
        on = "" if name == self.backbone else f"-on-{name}"
        words = ["ledger", "add", *map(str, folders), "--table", f"{self.data}-ipc{self.ipc}-{self.backbone}{on}"]
        words += ["--results", str(self.places.results), *(["--controls"] if controls else []), "--json"]
        return Step(tuple(words), folders[0].with_name(f"{folders[0].name}.rows-of-{len(folders)}.json"), told=True)


def main() -> None:
    """Run what is left of the tables asked for, or of all."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_plan(parser)
    parser.add_argument("--sources", type=Path, help="folder that holds the datasets by name [default: downloaded]")
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder of the ledger's rows")
    parser.add_argument("--dry-run", action="store_true", help="print the commands that are left")
    chosen = parser.parse_args()
    for table in chosen_tables(chosen, chosen.results, chosen.sources):
        for step in table.steps():
            if not chosen.dry_run:
                step.run()
            elif not step.done.exists():
                print(step)


def add_plan(parser: argparse.ArgumentParser) -> None:
    """The arguments that say which tables, and where their sets are."""
    parser.add_argument("tables", nargs="*", help="parts of tables' names, such as cifar10-lt200-ipc1 [default: all]")
    parser.add_argument("--plan", type=Path, default=HERE / "probes.yaml", help="what is measured")
    parser.add_argument("--work", type=Path, default=Path("artifacts/probes"), help="folder of sets and probes")


def chosen_tables(
    words: argparse.Namespace, results: Path = Path("results"), sources: Path | None = None
) -> list[Table]:
    """The tables that arguments of :func:`add_plan` name."""
    return list(tables(read_yaml(words.plan), Places(words.work, results, sources), words.tables))


def tables(plan: Settings, places: Places, parts: list[str]) -> Iterator[Table]:
    """The tables of a plan whose names have one of the ``parts``; all if none is given."""
    for data in plan["make_lt"]:
        for ipc in plan["ipc"]:
            for backbone in plan["backbones"]:
                if not parts or any(part in f"{data}-ipc{ipc}-{backbone}" for part in parts):
                    yield Table(plan, places, data, ipc, backbone)


def _flags(settings: Settings) -> list[str]:
    """Settings as options of a command."""
    found: list[str] = []
    for name, value in settings.items():
        flag = "--" + name.replace("_", "-")
        if isinstance(value, bool):
            found.append(flag if value else f"--no-{flag[2:]}")
        elif isinstance(value, dict):
            found += [word for key, item in value.items() for word in (flag, f"{key}={item}")]
        else:
            found += [flag, str(value)]
    return found


def _named(name: str, settings: Settings) -> str:
    return f"{name}-{content_key(settings)[:8]}"


if __name__ == "__main__":
    main()
