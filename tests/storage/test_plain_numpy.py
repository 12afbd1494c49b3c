from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest

from csdm_cli.errors import CsdmError
from csdm_cli.storage import plain_numpy
from csdm_cli.storage.plain_numpy import load_array, load_arrays

VALUES = np.array([[1, 2, 3], [4, 5, 300]])


@pytest.mark.parametrize("kind", ["<i8", ">i8", ">u2", ">f4", "<f8"])
def test_arrays_come_in_this_machines_byte_order(tmp_path, kind):
    np.savez(tmp_path / "a.npz", one=VALUES.astype(kind), two=VALUES[0])
    np.save(tmp_path / "a.npy", VALUES.astype(kind))
    for found in (load_arrays(tmp_path / "a.npz")["one"], load_array(tmp_path / "a.npy")):
        assert found.dtype.isnative and found.dtype.kind == kind[1] and np.array_equal(found, VALUES)


def refused(call, says):
    with pytest.raises(CsdmError, match=says) as error:
        call()
    assert "\n" not in str(error.value)


def test_a_forged_shape_takes_no_memory(tmp_path):
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"shape": (10**12, 8), "fortran_order": False, "descr": "|u1"})
    (tmp_path / "a.npy").write_bytes(buffer.getvalue() + b"few")
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("one.npy", buffer.getvalue() + b"few")
    for call in (lambda: load_array(tmp_path / "a.npy"), lambda: load_arrays(tmp_path / "a.npz")):
        refused(call, r"1000000000000 x 8 is announced, but its bytes are not there")


def test_few_bytes_do_not_fill_the_memory(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "a.npz", images=np.zeros((100, 100, 100), np.uint8), labels=np.zeros(100, np.uint8))
    assert load_arrays(tmp_path / "a.npz")["images"].shape == (100, 100, 100), "little may be as empty as it likes"
    monkeypatch.setattr(plain_numpy, "PLAUSIBLE", 2**18)
    refused(lambda: load_arrays(tmp_path / "a.npz"), r"a\.npz is damaged .*its 1,\d+ bytes unpack to 1,000,\d+, more")
    noise = np.random.default_rng(0).integers(0, 256, (100, 100, 100), np.uint8)
    np.savez_compressed(tmp_path / "b.npz", images=noise)
    assert np.array_equal(load_arrays(tmp_path / "b.npz")["images"], noise)


def test_pickled_objects_are_not_loaded(tmp_path):
    np.savez(tmp_path / "a.npz", one=np.array([None]))
    np.save(tmp_path / "a.npy", np.array([None]))
    for call in (lambda: load_array(tmp_path / "a.npy"), lambda: load_arrays(tmp_path / "a.npz")):
        refused(call, "pickled objects, which are not loaded .an array of objects")


@pytest.mark.parametrize("content", [b"", b"PK no archive", b"\x93NUMPY\x01\x00"])
def test_damaged_files_are_named(tmp_path, content):
    for name, load in (("a.npz", load_arrays), ("a.npy", load_array)):
        (tmp_path / name).write_bytes(content)
        refused(lambda load=load, name=name: load(tmp_path / name), f"{name} is damaged or holds pickled")


def test_what_is_wrong_is_told_in_words(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"PK no archive")
    refused(lambda: load_arrays(tmp_path / "a.npz"), "it is no archive")
    (tmp_path / "b.npy").mkdir()
    refused(lambda: load_array(tmp_path / "b.npy"), r"are not loaded \(Is a directory\)")
