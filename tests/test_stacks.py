"""Square arrays as people save them."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from birkhoff_cli.analyses.core.errors import BadInput, Unsupported
from birkhoff_cli.stacks import read


@pytest.fixture
def array(rng):
    return rng.random((5, 4, 4)).astype(np.float32)


def saved(path, array, kind):
    tensor = torch.from_numpy(array)
    match kind:
        case "npy":
            np.save(path, array)
        case "npz":
            np.savez(path, only=array, step=np.array(3))
        case "bare":
            torch.save(tensor, path)
        case "list":
            torch.save([tensor, 3], path)
        case "dictionary":
            torch.save({"out": {"h": tensor}, "bias": torch.zeros(3)}, path)
        case "safetensors":
            save_file({"h": tensor, "scale": torch.zeros(3)}, path)
    return path


KINDS = {
    "npy": "a.npy",
    "npz": "a.npz",
    "bare": "a.pt",
    "list": "b.pt",
    "dictionary": "c.pt",
    "safetensors": "a.safetensors",
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_only_square_array_is_found(kind, array, tmp_path):
    stack = read(saved(tmp_path / KINDS[kind], array, kind))
    np.testing.assert_array_equal(stack.values, array)
    assert stack.dtype == "float32" and stack.d == 4
    assert len(stack.meta["inputs"][0]["sha256"]) == 64


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_every_dtype_is_read_without_loss(dtype, array, tmp_path):
    tensor = torch.from_numpy(array).to(dtype)
    torch.save(tensor, tmp_path / "a.pt")
    stack = read(tmp_path / "a.pt")
    np.testing.assert_array_equal(stack.values, tensor.double().numpy())
    assert stack.dtype == str(dtype).removeprefix("torch.")


def test_one_of_several_is_chosen_by_name(array, tmp_path):
    np.savez(tmp_path / "both.npz", ref=array, fused=array.swapaxes(1, 2))
    torch.save([torch.from_numpy(array), torch.from_numpy(array) + 1], tmp_path / "two.pt")
    fused = read(tmp_path / "both.npz#fused")
    np.testing.assert_array_equal(fused.values, array.swapaxes(1, 2))
    assert fused.source.endswith("both.npz#fused")
    np.testing.assert_array_equal(read(tmp_path / "two.pt#1").values, array + 1)
    with pytest.raises(BadInput, match=r"holds ref 5x4x4, fused 5x4x4; choose one, as in .*#ref$"):
        read(tmp_path / "both.npz")
    with pytest.raises(BadInput, match="has no 'third'; it holds ref 5x4x4"):
        read(tmp_path / "both.npz#third")


def test_a_file_of_exactly_that_name_comes_first(array, tmp_path):
    np.save(tmp_path / "run#2.npy", array)
    np.testing.assert_array_equal(read(tmp_path / "run#2.npy").values, array)


def test_rows_of_entries_are_matrices(array, tmp_path):
    np.save(tmp_path / "flat.npy", array.reshape(5, 16))
    flat = read(tmp_path / "flat.npy")
    np.testing.assert_array_equal(flat.values, array)
    (said,) = flat.meta["assumptions"]
    assert said.endswith("flat.npy: rows of 16 numbers are matrices of 4 x 4, row by row")
    np.save(tmp_path / "deep.npy", array.reshape(1, 5, 4, 4))
    np.testing.assert_array_equal(read(tmp_path / "deep.npy").values, array)


def test_what_is_not_square_or_not_real_is_refused(tmp_path):
    np.save(tmp_path / "v.npy", np.zeros((3, 5)))
    with pytest.raises(BadInput, match=r"holds no array of square matrices.*it holds an array 3x5"):
        read(tmp_path / "v.npy")
    np.save(tmp_path / "c.npy", np.zeros((3, 2, 2), complex))
    with pytest.raises(Unsupported, match="dtype complex128"):
        read(tmp_path / "c.npy")
    np.save(tmp_path / "o.npy", np.array([[None, 1], [2, 3]]))
    with pytest.raises(Unsupported, match="dtype object"):
        read(tmp_path / "o.npy")
