"""The packaged table of claimed values."""

from __future__ import annotations

import pytest

from csdm_cli.ledger.papers import paper_values


def value(**wanted: object):
    (found,) = [one for one in paper_values() if all(getattr(one, name) == item for name, item in wanted.items())]
    return found


@pytest.mark.parametrize(
    ("imbalance", "ipc", "expected"),
    [(10, 10, 71.0), (10, 50, 76.5), (200, 10, 65.3), (200, 20, 66.1), (200, 50, 66.8)],
)
def test_the_csdm_papers_main_table(imbalance, ipc, expected):
    found = value(dataset="CIFAR-10-LT", method="CSDM", imbalance=imbalance, ipc=ipc)
    assert found.value == expected and found.source == "2603.01698" and found.our_method == "csdm"


def test_other_papers_are_kept_apart_by_their_source():
    assert value(dataset="CIFAR-10-LT", method="ADSA", ipc=50).source == "2511.17914"
    assert value(dataset="CIFAR-100-LT", method="RLDD", imbalance=20, ipc=50).value == 48.1


def test_names_are_csdms_own():
    full = value(dataset="CIFAR-10-LT", method="Full Dataset", imbalance=200)
    assert (full.our_dataset, full.our_method, full.ipc) == ("cifar10", "full, cross-entropy", None)
    assert value(dataset="ImageNette-LT", method="Random", imbalance=5, ipc=1).our_dataset == "imagenette"
    assert value(dataset="CIFAR-10-LT", method="LAD", imbalance=10, ipc=10).our_method == "lad"
    assert {found.our_method for found in paper_values() if found.method in ("RLDD", "ADSA")} == {None}


def test_every_value_is_an_accuracy_of_a_known_dataset():
    for found in paper_values():
        assert 0 < found.value < 100 and found.source and found.table and found.our_dataset
