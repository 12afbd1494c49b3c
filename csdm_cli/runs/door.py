"""The names that ``import csdm_cli`` offers: the runs of the commands as functions, for notebooks and scripts.

Keywords are the options of the commands, with the same names, values and refusals: ``csdm distill --n-max`` is
``n_max=``. Nothing is printed unless ``quiet=False`` (notes and progress on stderr) or ``progress`` is given, a
function that gets them line by line. Nothing is tracked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from csdm_cli.data.holdout import sealed
from csdm_cli.data.store import LongTail
from csdm_cli.display.console import aloud
from csdm_cli.errors import UsageError
from csdm_cli.names import Preset
from csdm_cli.networks.own import name_of
from csdm_cli.runs.choose import choose, refuse_idle_numerics
from csdm_cli.runs.distill import MadeSet, distil
from csdm_cli.runs.evaluate import EvaluatedSet, prepare_evaluation
from csdm_cli.runs.evaluate import evaluate as evaluate_set
from csdm_cli.runs.experts import make_pool, refuse_idle
from csdm_cli.runs.keywords import refuse_beyond, runtime_from, with_settings_of
from csdm_cli.runs.long_tail import given_or_newest, make, plan
from csdm_cli.runs.optimise import CHECKPOINT_SECONDS, Options
from csdm_cli.runs.runtime import MEGABYTES, SECONDS
from csdm_cli.runs.teachers import refuse_idle_shape
from csdm_cli.settings import sections
from csdm_cli.settings.making_sections import refuse_idle_imbalance
from csdm_cli.settings.resolve import resolve
from csdm_cli.settings.source_word import source_of
from csdm_cli.storage import outputs
from csdm_cli.teachers.pool import POOL_FILES, TeacherPool

Listener = Callable[[str], None]
PathLike = str | Path


@with_settings_of(sections.MakeLt)
def make_long_tail(
    dataset: PathLike = "cifar10",
    *,
    out: PathLike | None = None,
    quiet: bool = True,
    progress: Listener | None = None,
    **settings: Any,
) -> LongTail:
    """A long-tailed training set with its development and test set, as ``csdm make-lt`` makes it.

    Example:
        >>> import csdm_cli
        >>> data = csdm_cli.make_long_tail("digits", imbalance=10, n_max=20, out="data")
        >>> max(data.manifest.counts), min(data.manifest.counts)
        (20, 2)

    Args:
        dataset: its name, or a folder of images of your own.
        out: folder to write; None is one in ``data/``, named after the settings.
        quiet: print nothing.
        progress: gets every note.
        settings: the options of ``csdm make-lt``.

    Raises:
        UsageError: if a setting is wrong or has no effect.
        CsdmError: if the dataset cannot be read, or ``out`` holds something else.
    """
    with _heard(quiet, progress):
        wanted = resolve(sections.MakeLt, None, source_of(str(dataset), settings) | settings).section
        refuse_idle_imbalance(wanted, settings)
        return make(plan(wanted, _path(out))).longtail


@with_settings_of(sections.Pretrain)
def train_teachers(
    data: LongTail | PathLike | None = None,
    *,
    network: object = "convnet",
    out: PathLike | None = None,
    quiet: bool = True,
    progress: Listener | None = None,
    **settings: Any,
) -> TeacherPool:
    """Teachers or experts trained on a long-tailed set, or those in the cache, as ``csdm pretrain`` trains them.

    Example:
        >>> import csdm_cli
        >>> data = csdm_cli.make_long_tail("digits", imbalance=10, n_max=20, out="data")
        >>> pool = csdm_cli.train_teachers(data, teachers=2, width=4, epochs=1)
        >>> len(pool), pool.spec.name
        (2, 'convnet')

    Args:
        data: the set or its folder, also of images; None is the newest in ``data/``.
        network: a name, ``module:function``, or a class or function that takes (channels, size, classes) and returns a
            ``torch.nn.Module``; see ``csdm_cli.networks.own``.
        out: folder to write the pool to as well.
        quiet: print nothing.
        progress: gets every note, and now and then a line of progress.
        settings: the options of ``csdm pretrain``, those of how it runs (``device``, ``threads`` ...) among them.

    Raises:
        UsageError: if a setting is wrong or has no effect.
        CsdmError: if the set cannot be read, or training diverges.
    """
    with _heard(quiet, progress):
        runtime = runtime_from(settings)
        asked = resolve(sections.Pretrain, None, {"network": _name(network)} | settings)
        refuse_idle_shape(asked.section, frozenset(settings))
        refuse_idle(asked.section, frozenset(settings))
        device = runtime.apply()
        if out is not None:
            outputs.claim_folder(Path(out), POOL_FILES)
        longtail = _longtail(data)
        with sealed("training teachers"):
            numerics = runtime.student_numerics(device)
            pool = make_pool(asked.section, longtail.train(), device, runtime, numerics=numerics)
        if out is not None:
            pool.export(Path(out))
        return pool


@with_settings_of(sections.Distill)
def distill(
    data: LongTail | PathLike | None = None,
    *,
    teachers: TeacherPool | PathLike | None = None,
    out: PathLike | None = None,
    preset: str | None = None,
    params: Mapping[str, Any] | None = None,
    memory_budget: int | None = None,
    checkpoint_every: float = CHECKPOINT_SECONDS,
    resume: bool = True,
    quiet: bool = True,
    progress: Listener | None = None,
    **settings: Any,
) -> MadeSet:
    """A distilled set and its file, as ``csdm distill`` makes it; a run that is done is not done again.

    Example:
        >>> import csdm_cli
        >>> data = csdm_cli.make_long_tail("digits", imbalance=10, n_max=20, out="data")
        >>> pool = csdm_cli.train_teachers(data, teachers=2, width=4, epochs=1)
        >>> made = csdm_cli.distill(data, teachers=pool, ipc=1, iterations=2, draws=1, frequencies=8, out="set")
        >>> made.distilled.images.shape, made.path.name
        (torch.Size([10, 1, 16, 16]), 'distilled.safetensors')

    Args:
        data: the long-tailed set or its folder; None is the newest in ``data/``.
        teachers: a pool or its folder; None trains those that ``params`` describe, if they are needed.
        out: folder of the file; None is one in ``artifacts/``, named after the run.
        preset: ``common`` or ``paper``, below ``settings``.
        params: settings of the other sections, as in params.yaml: ``{"pretrain": {"width": 32}}``.
        memory_budget: MiB of activations alive at a time.
        checkpoint_every: seconds between checkpoints.
        resume: whether to go on from the checkpoint of the same run.
        quiet: print nothing.
        progress: gets every note, and now and then a line of progress.
        settings: the options of ``csdm distill``, those of how it runs (``device``, ``threads`` ...) among them.

    Raises:
        UsageError: if a setting is wrong, or has no effect on the method.
        CsdmError: if data or teachers cannot be read, or do not belong together.
    """
    with _heard(quiet, progress):
        runtime = runtime_from(settings)
        if memory_budget is not None:
            refuse_beyond("memory_budget", memory_budget, MEGABYTES)
        refuse_beyond("checkpoint_every", checkpoint_every, SECONDS)
        asked = resolve(sections.Distill, params, settings, _preset(preset))
        chosen = choose(asked.params, asked.given)
        refuse_idle_numerics(chosen, runtime.given_numerics, memory_budget)
        device = runtime.apply()
        options = Options(memory_budget and memory_budget * 2**20, checkpoint_every, resume)
        pool = teachers if isinstance(teachers, TeacherPool) else _path(teachers)
        made = distil(chosen, _longtail(data), device, runtime, options, teachers=pool, out=_path(out))
        assert made is not None  # one process
        return made


@with_settings_of(sections.Evaluate)
def evaluate(
    distilled: MadeSet | PathLike,
    *,
    data: LongTail | PathLike | None = None,
    network: object | None = None,
    teachers: PathLike | None = None,
    params: Mapping[str, Any] | None = None,
    quiet: bool = True,
    progress: Listener | None = None,
    **settings: Any,
) -> EvaluatedSet:
    """The scores of students trained on a distilled set alone, beside the controls, as ``csdm evaluate`` measures it.

    Example:
        >>> import csdm_cli
        >>> data = csdm_cli.make_long_tail("digits", imbalance=10, n_max=20, out="data")
        >>> made = csdm_cli.distill(data, method="random", ipc=1, out="random", params={"pretrain": {"width": 4}})
        >>> found = csdm_cli.evaluate(made, students=1, steps=2, test_points=1, controls=False)
        >>> 0 <= found.accuracy <= 1
        True

    Args:
        distilled: the result of :func:`distill`, or its file or folder.
        data: the long-tailed set or its folder; None is the one it was distilled from.
        network: the students', as in :func:`train_teachers`; None is the set's own.
        teachers: the folder of the pool that labels with ``labels="teacher"``, or whose first network is probed with
            ``protocol="probe"``; None is the set's own.
        params: settings of the other sections: ``{"pretrain": {"centres": 100}}`` for a ``network`` to be probed.
        quiet: print nothing.
        progress: gets every note, and now and then a line of progress.
        settings: the options of ``csdm evaluate``, those of how it runs (``device``, ``threads`` ...) among them; what
            is left out of the students' recipe is as the set says.

    Raises:
        UsageError: if a setting is wrong.
        CsdmError: if the set is damaged, or was distilled from another one than ``data``.
    """
    with _heard(quiet, progress):
        runtime = runtime_from(settings)
        own = {} if network is None else {"network": _name(network)}
        asked = resolve(sections.Evaluate, params, own | settings)
        if data is None and isinstance(distilled, MadeSet):
            data = distilled.longtail
        task = prepare_evaluation(
            asked.section,
            runtime,
            chosen=frozenset(asked.section.model_fields_set),
            file=distilled.path if isinstance(distilled, MadeSet) else Path(distilled),
            data=data.folder if isinstance(data, LongTail) else _path(data),
            given=asked.given,
            teachers=_path(teachers),
            pretrain=asked.params.pretrain,
        )
        return evaluate_set(task, runtime)


@contextmanager
def _heard(quiet: bool, progress: Listener | None) -> Iterator[None]:
    if progress is None and quiet:
        yield
        return
    with aloud() if progress is None else aloud(progress):
        yield


def _longtail(data: LongTail | PathLike | None) -> LongTail:
    return data if isinstance(data, LongTail) else given_or_newest(_path(data))


def _preset(name: str | None) -> Preset | None:
    if name is not None and name not in tuple(Preset):
        raise UsageError(f"preset {name!r}: choose one of {', '.join(Preset)}")
    return None if name is None else Preset(name)


def _name(network: object) -> str:
    return network if isinstance(network, str) else name_of(network)


def _path(place: PathLike | None) -> Path | None:
    return None if place is None else Path(place)
