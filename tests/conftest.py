"""The fixtures that all tests share: an environment of their own, and the command line in process."""

from __future__ import annotations

import gc
import itertools
import os
import shutil
import signal
from collections.abc import Callable, Generator, Iterator
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

from csdm_cli.cli.narrow import BOXES_FROM
from tests.made_once import made_once
from tests.warm import warm_commands

if TYPE_CHECKING:
    from csdm_cli.images.image_set import ImageSet
    from tests.tiny_pool import UntrainedPool

pytest_plugins = ["tests.command_world"]

hypothesis.settings.register_profile("csdm", deadline=None)  # no test asserts times: machines are busy at times
hypothesis.settings.load_profile("csdm")

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tests are small: threads cost more than they bring
if os.environ.get("CSDM_TEST_GPU"):  # as --deterministic has it, before CUDA starts
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
else:  # many tests compare bytes, which a GPU gives under --deterministic only
    os.environ["CUDA_VISIBLE_DEVICES"] = ""

# Tests may run under nohup, or behind a shell's &, which ignore these for all that they start.
for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, usual)

# Tests make and remove tens of thousands of files and folders, which takes a disk a while. They are kept in memory,
# half a gigabyte and as much again of the run before, where there is room for several times that.
MEMORY = Path("/dev/shm")
if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > 4 * 2**30:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))

OWN_VARIABLES = ("CSDM_PARAMS", "MLFLOW_EXPERIMENT_NAME", "DVC_ROOT", "DVC_STAGE", "DVC_EXP_NAME", "FORCE_COLOR")

LONGEST = ("test_pipeline.py", "test_torchrun.py")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Garbage is not looked for among modules that are being imported, nor later among what they hold: it all stays."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest come first: of several processes one begins with them, and none waits for the other at the end."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


@pytest.fixture(scope="session", autouse=True)
def short_controls() -> Iterator[None]:
    """Controls on all images learn for as long as students do: tests are not about how well."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("csdm_cli.evaluation.protocol.FULL_EPOCHS", 0)
        yield


@pytest.fixture(scope="session", autouse=True)
def narrow_students() -> Iterator[None]:
    """Students of sets that come without a network are as narrow as those of the tests' own sets."""
    from csdm_cli.networks import NetworkSpec

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("csdm_cli.runs.evaluating.NetworkSpec", partial(NetworkSpec, width=4))
        yield


@pytest.fixture(scope="session", autouse=True)
def small_roof() -> None:
    """As processes that are forked have it (see ``warm.py``)."""
    from tests import small_roof  # noqa: F401


@pytest.fixture(scope="session", autouse=True)
def one_command_line() -> Iterator[None]:
    """Typer makes the commands of their signatures once, not for every call: most of what a refusal costs.

    On a narrow terminal it makes them anew, for there the help of those that were made is changed.
    """
    import typer

    made_before = cache(typer.main.get_command)

    def made(app: typer.Typer) -> object:
        wide = shutil.get_terminal_size().columns >= BOXES_FROM
        return made_before(app) if wide else typer.main.get_command(app)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("typer.testing._get_command", made)
        yield


@pytest.fixture(scope="session", autouse=True)
def no_waiting_for_the_disk() -> Iterator[None]:
    """Files of tests need not outlive a failure of the power."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        yield


@pytest.fixture(autouse=True)
def own_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's caches, settings or tracking store, nor tracks a run unasked."""
    for name in OWN_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CSDM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'store' / 'mlflow.db'}")
    monkeypatch.setenv("CSDM_TRACKING", "none")
    monkeypatch.setenv("COLUMNS", "200")  # messages are not wrapped in the middle of a phrase


@pytest.fixture(scope="session")
def folder_numbers() -> Iterator[int]:
    return itertools.count()


@pytest.fixture
def tmp_path(tmp_path_factory: pytest.TempPathFactory, folder_numbers: Iterator[int]) -> Path:
    """A new folder, numbered by a count: pytest's own looks through all that there are, thousands at the end."""
    return tmp_path_factory.mktemp(f"test-{next(folder_numbers)}", numbered=False)


@pytest.fixture
def data() -> ImageSet:
    """Tiny images of three classes: nine, six and three."""
    from tests.tiny_pool import tiny_images

    return tiny_images()


@pytest.fixture
def pool(data: ImageSet) -> UntrainedPool:
    """Two untrained teachers of :func:`data`."""
    from tests.tiny_pool import untrained

    return untrained(data)


@pytest.fixture
def aloud() -> Iterator[None]:
    """Notes and progress are heard on stderr, as when a command runs; elsewhere the package is silent."""
    from csdm_cli.display.console import aloud

    with aloud():
        yield


@pytest.fixture
def csdm() -> Callable[..., object]:
    """Run ``csdm ARGUMENTS`` in this process; the result has exit_code, stdout and stderr."""
    from typer.testing import CliRunner

    from csdm_cli.cli.app import app

    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="session")
def made_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database without a run, to be copied: its tables take seconds."""
    from csdm_cli.tracking import mlflow_store

    folder = made_once(tmp_path_factory, "store", lambda folder: mlflow_store.prepare(folder / "mlflow.db"))
    return folder / "mlflow.db"


@pytest.fixture
def ready_store(made_store: Path, tmp_path: Path) -> str:
    """The address of the store that commands of the test track in, whose tables are there already."""
    place = tmp_path / "store" / "mlflow.db"
    place.parent.mkdir()
    shutil.copy(made_store, place)
    return f"sqlite:///{place}"


@pytest.fixture(scope="session")
def warm() -> Iterator[Path]:
    """A folder with ``csdm``, ``dvc``, ``torchrun`` and ``dying``, which start in milliseconds."""
    with warm_commands(
        csdm="csdm_cli", dvc="dvc", torchrun="torch.distributed.run", dying="tests.commands.dying_rank"
    ) as folder:
        yield folder


@pytest.fixture
def real_data() -> Path:
    """The folder that holds cifar10/ and imagenette/; skips without it."""
    folder = os.environ.get("CSDM_TEST_DATA")
    if not folder:
        pytest.skip("set CSDM_TEST_DATA to a folder with cifar10/ and imagenette/")
    return Path(folder)
