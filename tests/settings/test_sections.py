from pathlib import Path

import pytest
from pydantic import ValidationError

from csdm_cli import names
from csdm_cli.errors import UsageError
from csdm_cli.settings import sections
from csdm_cli.settings.resolve import load_params, section_name

ROOT = Path(__file__).parents[2]


def test_every_field_has_a_default_and_a_description():
    for section in sections.Params.model_fields.values():
        for name, field in section.annotation.model_fields.items():
            assert field.description, name
            assert not field.is_required(), name


def test_the_shipped_params_file_is_valid():
    load_params(ROOT / "params.yaml")


def test_an_empty_file_and_empty_sections_are_all_defaults(params):
    assert load_params(params("")) == sections.Params()
    assert load_params(params("distill:\nevaluate: {}\n")) == sections.Params()


def test_sections_of_other_programs_are_left_alone(params):
    loaded = load_params(params("train: {my_own_stage: 1}\ndistil_later: 3\n7: {a: 1}\ndistill: {ipc: 3}\n"))
    assert loaded == sections.Params(distill=sections.Distill(ipc=3))


@pytest.mark.parametrize("text", ["distil: {ipc: 3}", "make-lt: {size: 8}", "Evaluate: {steps: 3}", "kernel: laplace"])
def test_near_misses_and_settings_outside_their_section_are_mistakes(params, text):
    with pytest.raises(UsageError, match="unknown key"):
        load_params(params(text))


def test_yaml_1_2_values(params):
    """1e-3 is a number, ``none`` a word and 010 ten, as DVC reads them."""
    loaded = load_params(params("distill: {lr: 1e-3, ipc: 010, augment: none}\npretrain: {norm: none}\n"))
    assert loaded.distill.lr == 1e-3 and loaded.distill.ipc == 10
    assert loaded.pretrain.norm is names.Norm.none and loaded.distill.augment == "none"


def test_names_of_classes_may_be_numbers(params):
    assert load_params(params("make_lt: {classes: [3, 1, two]}")).make_lt.classes == ["3", "1", "two"]


def test_a_whole_number_may_be_written_as_a_float(params):
    assert load_params(params("distill: {ipc: 10.0}")).distill.ipc == 10


def test_all_mistakes_are_named_at_once_with_what_is_allowed(params):
    path = params(
        """
        distill: {ipc: true, kernl: rbf, kernel: rfb, lr: .inf, alpha_head: 1, calibration: -1}
        cross_arch: {networks: [convnet, 3]}
        make_lt: {counts: "3,4", seed: 1.5}
        evaluate: {controls: maybe}
        pretrain: [1]
        destill: {ipc: 3}
        3: 4
        """
    )
    with pytest.raises(UsageError) as caught:
        load_params(path)
    first, *lines = str(caught.value).splitlines()
    assert first == f"{path}: 13 mistakes"
    found = dict(line.strip().split(": ", 1) for line in lines)
    assert found["distill.ipc"] == "got true, expected an integer >= 1 and <= 1000000"
    assert found["distill.lr"] == "got Infinity, expected a number > 0 and <= 1e+06"
    assert found["distill.alpha_head"] == "got 1, expected a number > 0 and < 1"
    assert found["distill.calibration"] == "got -1, expected a number >= 0, or a ratio such as 1x"
    assert found["distill.kernel"] == 'got "rfb" (did you mean rbf?), expected one of ' + ", ".join(names.KernelName)
    assert found["distill.kernl"].startswith("unknown key; did you mean kernel? Allowed: method, option, ipc, ")
    assert found["cross_arch.networks (item 2)"] == "got 3, expected text"
    assert found["make_lt.counts"].startswith('got "3,4", expected a list of at least 2, each an integer >= 1')
    assert found["make_lt.seed"] == "got 1.5, expected an integer >= 0 and < 9223372036854775808"
    assert found["evaluate.controls"] == 'got "maybe", expected true or false'
    assert found["pretrain"] == "got [1], expected a mapping of settings"
    assert found["destill"].startswith("unknown key; did you mean distill? Allowed: make_lt, pretrain")
    assert found["3"].startswith("unknown key")


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("make_lt: {profile: explicit}", "make_lt: profile explicit needs counts"),
        ("make_lt: {profile: balanced, counts: [3, 2]}", "counts need profile explicit, not balanced"),
        ("make_lt: {profile: explicit, counts: [3, 2], n_max: 3}", "leave n_max out"),
        ("make_lt: {split: ltdd, class_order: shuffled}", "natural"),
        ("make_lt: {dataset: folder}", "data_dir"),
        ("evaluate: {steps: 3, test_points: 5}", "test_points 5 is more than steps 3"),
        ("distill: {teacher_schedule: trajectory}", "pretrain.trajectory"),
        ("make_lt: {imbalance: 0.5}", "make_lt.imbalance: got 0.5, expected a number >= 1"),
        ("make_lt: {imbalance: .nan}", "make_lt.imbalance: got NaN"),
        ("distill: {augment: color_blur}", "distill.augment: got \"color_blur\", expected 'none', or some of color,"),
        ("distill: {augment: flip_flip}", "each once"),
        ("distill: {ipc: 1\n", "line"),
        ("distill: {ipc: 1, ipc: 2}", "ipc"),
        ("- 1\n- 2\n", "holds a list"),
    ],
)
def test_what_cannot_be_is_refused(params, text, fragment):
    path = params(text)
    with pytest.raises(UsageError) as caught:
        load_params(path)
    assert fragment in str(caught.value) and str(path) in str(caught.value)


def test_settings_that_agree_are_accepted(params):
    loaded = load_params(
        params(
            "make_lt: {profile: explicit, counts: [30, 20]}\n"
            "distill: {teacher_schedule: trajectory}\npretrain: {trajectory: true}\n"
        )
    )
    assert loaded.make_lt.counts == [30, 20]


def test_sections_cannot_be_changed():
    with pytest.raises(ValidationError):
        sections.Distill().ipc = 3


def test_a_home_folder_is_expanded(params):
    assert load_params(params("make_lt: {data_dir: ~/images}")).make_lt.data_dir == Path.home() / "images"


def test_operations_are_those_of_the_engine():
    from csdm_cli.images.augment import OPERATIONS

    assert sorted(names.Operation) == sorted(OPERATIONS)


def test_section_names_are_the_keys_of_the_file():
    assert [section_name(field.annotation) for field in sections.Params.model_fields.values()] == list(
        sections.Params.model_fields
    )
