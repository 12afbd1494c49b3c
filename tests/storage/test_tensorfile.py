import json
import pickle
import random
import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file

from csdm_cli.errors import CsdmError
from csdm_cli.storage import tensorfile


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "x.safetensors"
    tensorfile.save(path, {"a": torch.arange(6.0).view(2, 3), "b": torch.tensor([1, 2])}, {"name": "x", "n": [1]})
    return path


def test_what_is_written_is_read(file):
    tensors, header = tensorfile.load(file)
    assert torch.equal(tensors["a"], torch.arange(6.0).view(2, 3)) and torch.equal(tensors["b"], torch.tensor([1, 2]))
    assert header["name"] == "x" and header["n"] == [1] and set(header["sha256"]) == {"a", "b"}
    assert tensorfile.read_header(file) == header


@pytest.mark.parametrize(
    "dtype", [torch.uint8, torch.bool, torch.int64, torch.bfloat16, torch.float16, torch.float32, torch.float64]
)
@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3), (3, 2)])
def test_dtypes_and_shapes_survive(tmp_path, dtype, shape):
    tensor = torch.ones(shape).to(dtype)
    tensorfile.save(tmp_path / "t", {"t": tensor}, {})
    (loaded,) = tensorfile.load(tmp_path / "t")[0].values()
    assert loaded.dtype == dtype and loaded.shape == tensor.shape and torch.equal(loaded, tensor)


def test_views_and_shared_memory_are_written(tmp_path):
    base = torch.arange(12.0).view(3, 4)
    tensorfile.save(tmp_path / "t", {"turned": base.T, "part": base[1:], "all": base}, {})
    tensors, _ = tensorfile.load(tmp_path / "t")
    assert torch.equal(tensors["turned"], base.T) and torch.equal(tensors["part"], base[1:])


def test_equal_contents_are_equal_bytes(file, tmp_path):
    """In any order of keys, and in another process, where Python's hashes differ."""
    other = tmp_path / "y.safetensors"
    script = f"""
import torch
from pathlib import Path
from csdm_cli.storage import tensorfile
tensors = {{"b": torch.tensor([1, 2]), "a": torch.arange(6.0).view(2, 3)}}
tensorfile.save(Path({str(other)!r}), tensors, {{"n": [1], "name": "x"}})
"""
    subprocess.run([sys.executable, "-c", script], check=True)
    assert other.read_bytes() == file.read_bytes()


def test_a_flipped_bit_is_found_and_named(file):
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(CsdmError, match="bytes of 'a' do not match"):
        tensorfile.load(file)
    tensorfile.load(file, verify=False)


@pytest.mark.parametrize(
    ("spoil", "fragment"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-3]), "damaged"),
        (lambda path: path.write_bytes(b""), "damaged"),
        (lambda path: path.write_bytes(pickle.dumps({"a": 1}) * 50), "damaged"),
        (lambda path: path.unlink(), "does not exist"),
        (lambda path: (path.unlink(), path.mkdir()), "cannot read"),
        (lambda path: save_file({"a": torch.ones(1)}, path), "csdm did not write it"),
        (lambda path: save_file({"a": torch.ones(1)}, path, metadata={"csdm": "[]"}), "csdm did not write it"),
        (lambda path: save_file({"a": torch.ones(1)}, path, metadata={"csdm": "{"}), "csdm did not write it"),
    ],
)
def test_other_files_are_refused_in_one_line(file, spoil, fragment):
    spoil(file)
    for read in (tensorfile.read_header, tensorfile.load):
        with pytest.raises(CsdmError, match=fragment) as caught:
            read(file)
        assert str(file) in str(caught.value) and "\n" not in str(caught.value)


def test_a_tensor_without_a_hash_is_refused(tmp_path):
    path = tmp_path / "t"
    save_file({"a": torch.ones(1)}, path, metadata={"csdm": json.dumps({"sha256": {}})})
    with pytest.raises(CsdmError, match="'a'"):
        tensorfile.load(path, sealed=False)
    with pytest.raises(CsdmError, match="header does not match"):
        tensorfile.load(path)


def test_a_missing_tensor_is_noticed(file):
    tensors, header = tensorfile.load(file)
    save_file({"a": tensors["a"]}, file, metadata={"csdm": json.dumps(header)})
    with pytest.raises(CsdmError, match="'b' is missing"):
        tensorfile.load(file)
    assert list(tensorfile.load(file, prefix="a")[0]) == ["a"]


def test_every_flipped_bit_of_a_file_is_noticed_or_changes_nothing(file):
    """In the header, its hash, the layout and the tensors: refused in one line, or the very same contents."""
    whole, (tensors, header) = file.read_bytes(), tensorfile.load(file)
    chance = random.Random(0)
    for position in chance.sample(range(len(whole)), 200):
        harmed = bytearray(whole)
        harmed[position] ^= 1 << chance.randrange(8)
        file.write_bytes(harmed)
        try:
            found, told = tensorfile.load(file)
        except CsdmError as error:
            assert "\n" not in str(error) and str(file) in str(error)
        else:
            assert told == header and found.keys() == tensors.keys(), position
            assert all(torch.equal(found[name], value) for name, value in tensors.items()), position


def test_the_hash_tells_dtype_shape_and_bytes():
    zeros = torch.zeros(4)
    hashes = {
        tensorfile.tensor_sha256(tensor)
        for tensor in (zeros, zeros.view(2, 2), zeros.to(torch.int32), zeros + 1, torch.zeros(5), torch.zeros(0))
    }
    assert len(hashes) == 6
    assert tensorfile.tensor_sha256(torch.arange(6).view(2, 3).T) == tensorfile.tensor_sha256(
        torch.tensor([[0, 3], [1, 4], [2, 5]])
    )
