"""The bank holds what a direct computation gives, survives interruption, and holds no real image."""

from __future__ import annotations

import gc
from dataclasses import replace

import pytest
import torch
from torch.nn.functional import normalize

from csdm_cli.distillation import bank as bank_module
from csdm_cli.distillation.bank import BankedRealSide, BankPlan, build_bank, entry_path
from csdm_cli.distillation.real_side import FreshRealSide, kernel_length, view_features
from csdm_cli.errors import CsdmError
from csdm_cli.images.image_set import ImageSet
from csdm_cli.methods.statistics import Request, Spectrum
from csdm_cli.names import AugmentMode, KernelName, TeacherSchedule
from csdm_cli.spectral.kernels import median_distance
from csdm_cli.storage import tensorfile
from csdm_cli.teachers.networks import PoolNetworks
from csdm_cli.teachers.views import PooledViews, ViewPlan

CPU = torch.device("cpu")
REQUEST = Request(mean=True, unit_mean=True, spectrum=Spectrum(KernelName.rbf, 1.5, 0.5, 10))


@pytest.fixture
def networks(pool):
    return PoolNetworks(pool, CPU, torch.float64)


@pytest.fixture
def views(data):
    plan = ViewPlan(2, data.classes, ("crop", "color"), AugmentMode.single, TeacherSchedule.final, 1, seed=1)
    return PooledViews(plan, draws=2)


def fill(folder, data, views, networks, steps=4):
    build_bank(folder, data, views, steps, REQUEST, networks, torch.float64, quiet=True)
    return BankedRealSide(folder, views, REQUEST, networks, torch.float64)


def test_statistics_are_those_of_the_whole_classes(tmp_path, data, networks, views):
    real = fill(tmp_path, data, views, networks)
    for step in range(4):
        target = real.at(step)
        network = networks.final(target.view.teacher)
        for label in range(data.classes):
            images = data.of_class(label).double() / 255
            features = view_features(network, images, data, target.view.theta, label)
            unit = normalize(features)
            phi = torch.exp(1j * (unit @ target.frequencies.T)).mean(0)
            torch.testing.assert_close(target.statistics.mean[label], features.mean(0))
            torch.testing.assert_close(target.statistics.unit_mean[label], unit.mean(0))
            torch.testing.assert_close(target.statistics.ecf.re[label], phi.real)
            torch.testing.assert_close(target.statistics.ecf.im[label], phi.imag)


def test_kernel_length_is_a_multiple_of_the_median_distance(data, networks):
    network = networks.final(0)
    images = (data.images.double() / 255 - torch.tensor(data.mean).double().view(3, 1, 1)) / torch.tensor(
        data.std
    ).double().view(3, 1, 1)
    unit = normalize(network.features(images))
    assert kernel_length(network, data, REQUEST, torch.float64) == pytest.approx(
        0.5 * median_distance(unit, KernelName.rbf), rel=1e-6
    )


def test_only_the_views_that_are_visited_are_built(tmp_path, data, networks, views):
    fill(tmp_path, data, views, networks, steps=1)
    assert len(list(tmp_path.glob("view-*.safetensors"))) == 1
    fill(tmp_path, data, views, networks, steps=100)
    assert len(list(tmp_path.glob("view-*.safetensors"))) == 4


def test_a_build_goes_on_where_it_was_killed(tmp_path, data, networks, views, monkeypatch):
    whole = tmp_path / "whole"
    fill(whole, data, views, networks)
    save, saved = tensorfile.save, []

    def die_at_the_third(path, *rest):
        if len(saved) == 2:
            raise KeyboardInterrupt
        saved.append(path)
        save(path, *rest)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(bank_module.tensorfile, "save", die_at_the_third)
        fill(tmp_path / "killed", data, views, networks)
    fill(tmp_path / "killed", data, views, networks)
    for path in whole.glob("view-*"):
        assert path.read_bytes() == (tmp_path / "killed" / path.name).read_bytes()


def test_the_real_side_keeps_no_real_image(tmp_path, data, networks, views):
    marked = replace(data, images=data.images.clone())
    place = marked.images.data_ptr()
    real = fill(tmp_path, marked, views, networks)
    real.at(0)
    del marked
    gc.collect()
    reachable, seen = [real, networks], set()
    while reachable:
        thing = reachable.pop()
        if id(thing) in seen or isinstance(thing, type) or (callable(thing) and not hasattr(thing, "__self__")):
            continue
        seen.add(id(thing))
        assert not isinstance(thing, ImageSet)
        assert not (isinstance(thing, torch.Tensor) and thing.data_ptr() == place)
        reachable += [referent for referent in gc.get_referents(thing) if not isinstance(referent, type(gc))]


def test_least_recently_used_entries_are_read_again(tmp_path, data, networks, views, monkeypatch):
    real = fill(tmp_path, data, views, networks)
    before = [real.at(step).statistics.ecf.re.clone() for step in range(4)]
    monkeypatch.setattr(bank_module, "MEMORY", 1)
    small = BankedRealSide(tmp_path, views, REQUEST, networks, torch.float64)
    for _ in range(2):
        for step in range(4):
            assert torch.equal(small.at(step).statistics.ecf.re, before[step])


def test_frequencies_that_come_out_differently_are_refused(tmp_path, data, networks, views):
    real = fill(tmp_path, data, views, networks)
    path = entry_path(tmp_path, views.at(0))
    tensors, header = tensorfile.load(path)
    tensorfile.save(path, tensors, {**header, "checksum": header["checksum"] + 1})
    with pytest.raises(CsdmError, match=r"other frequencies.*run the same command again"):
        real.at(0)


def test_a_damaged_entry_is_one_clear_error(tmp_path, data, networks, views):
    real = fill(tmp_path, data, views, networks)
    path = entry_path(tmp_path, views.at(0))
    damaged = bytearray(path.read_bytes())
    damaged[-3] ^= 1
    path.write_bytes(bytes(damaged))
    with pytest.raises(CsdmError, match=r"damaged.*run the same command again"):
        real.at(0)
    fill(tmp_path, data, views, networks)
    assert real.at(0).statistics.ecf is not None


def test_the_key_follows_everything_a_bank_holds():
    plan = BankPlan("data", ((0.5,), (0.25,)), "teachers", {"seed": 1}, REQUEST, "cpu", "torch.float32")
    other = [
        replace(plan, data="other"),
        replace(plan, normalisation=((0.5,), (0.5,))),
        replace(plan, teachers="other"),
        replace(plan, views={"seed": 2}),
        replace(plan, request=replace(REQUEST, mean=False)),
        replace(plan, device="cuda"),
        replace(plan, dtype="torch.float64"),
    ]
    assert len({plan.key, *(each.key for each in other)}) == 8


def test_fresh_minibatches_of_whole_classes_equal_the_bank(tmp_path, data, networks, views):
    banked = fill(tmp_path, data, views, networks)
    fresh = FreshRealSide(data, networks, views, REQUEST, batch=1000, seed=0, dtype=torch.float64)
    for step in range(3):
        one, other = banked.at(step), fresh.at(step)
        torch.testing.assert_close(one.frequencies, other.frequencies)
        torch.testing.assert_close(one.statistics.ecf.re, other.statistics.ecf.re)
        torch.testing.assert_close(one.statistics.mean, other.statistics.mean)


def test_fresh_minibatches_have_the_size_asked_for(data, networks, views):
    request = Request(features=True)
    target = FreshRealSide(data, networks, views, request, batch=4, seed=0, dtype=torch.float64).at(0)
    assert [len(features) for features in target.statistics.features] == [4, 4, 3]
    assert target.frequencies is None and target.statistics.length > 0
