"""Adapter analysis against the full matrices, and against what is wrong with files."""

import json
import time

import numpy as np
import pytest
from safetensors.numpy import save_file
from scipy.linalg import subspace_angles

from polychromic.analysis.lora_weights import contrast, describe, effective_rank, read_factors
from polychromic.core.errors import InputError, MissingResourceError

PREFIX = "base_model.model.model.layers.0."


@pytest.fixture
def adapter(tmp_path):
    def build(name, modules, alpha=32, dtype=np.float32, **config):
        folder = tmp_path / name
        folder.mkdir()
        tensors = {}
        for module, (b, a) in modules.items():
            tensors[f"{PREFIX}{module}.lora_B.weight"] = np.ascontiguousarray(b, dtype)
            tensors[f"{PREFIX}{module}.lora_A.weight"] = np.ascontiguousarray(a, dtype)
        save_file(tensors, folder / "adapter_model.safetensors")
        rank = next(iter(modules.values()))[1].shape[0]
        facts = {"peft_type": "LORA", "lora_alpha": alpha, "r": rank, **config}
        (folder / "adapter_config.json").write_text(json.dumps(facts))
        return folder

    return build


def pair(seed, out=40, rank=4, width=30):
    generator = np.random.default_rng(seed)
    return generator.normal(size=(out, rank)), generator.normal(size=(rank, width))


def test_norms_and_ranks_are_those_of_the_full_update(adapter):
    b, a = pair(0)
    (row,) = describe(read_factors(adapter("x", {"q_proj": (b, a)}, dtype=np.float64)))
    full = 32 / 4 * b @ a
    values = np.linalg.svd(full, compute_uv=False)[:4]
    assert row.module == "model.layers.0.q_proj"
    assert row.norm == pytest.approx(np.linalg.norm(full))
    assert row.spectral == pytest.approx(values[0])
    assert row.effective_rank == pytest.approx(effective_rank(values))


def test_pair_agrees_with_the_full_updates_and_scipy(adapter):
    first, second = pair(1), pair(2)
    paths = [adapter("x", {"v": first}, dtype=np.float64), adapter("y", {"v": second}, alpha=8, dtype=np.float64)]
    (row,) = contrast(*map(read_factors, paths))
    x, y = (b @ a for b, a in (first, second))
    assert row.cosine == pytest.approx((x * y).sum() / np.linalg.norm(x) / np.linalg.norm(y))
    assert row.output_angle == pytest.approx(np.degrees(subspace_angles(first[0], second[0])).mean())
    assert row.input_angle == pytest.approx(np.degrees(subspace_angles(first[1].T, second[1].T)).mean())


def test_an_adapter_and_its_double(adapter):
    b, a = pair(3)
    one, two = (read_factors(adapter(str(factor), {"q": (b, factor * a)})) for factor in (1, -2))
    (row,) = contrast(one, two)
    assert row.cosine == pytest.approx(-1.0)
    assert row.output_angle == pytest.approx(0.0, abs=1e-3)
    assert describe(two)[0].norm == pytest.approx(2 * describe(one)[0].norm)


def test_effective_rank_of_known_spectra():
    assert effective_rank(np.array([1.0, 1.0, 1.0, 0.0])) == pytest.approx(3.0)
    assert effective_rank(np.array([5.0, 0.0])) == pytest.approx(1.0)
    assert effective_rank(np.zeros(3)) == 0.0


def test_untrained_adapter_has_norm_zero_and_no_angle(adapter):
    _, a = pair(4)
    zero = read_factors(adapter("zero", {"q": (np.zeros((40, 4)), a)}))
    assert describe(zero)[0].norm == 0.0
    (row,) = contrast(zero, read_factors(adapter("other", {"q": pair(5)})))
    assert np.isnan(row.cosine)
    assert np.isnan(row.output_angle)


def test_bfloat16_and_rslora(adapter, tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file as save_torch

    b, a = pair(6)
    folder = adapter("bf16", {"q": (b, a)}, use_rslora=True)
    tensors = {f"{PREFIX}q.lora_{n}.weight": torch.tensor(m, dtype=torch.bfloat16) for n, m in (("B", b), ("A", a))}
    save_torch(tensors, folder / "adapter_model.safetensors")
    rounded = {name[-8]: tensor.double().numpy() for name, tensor in tensors.items()}
    expected = 32 / 2 * np.linalg.norm(rounded["B"] @ rounded["A"])
    assert describe(read_factors(folder))[0].norm == pytest.approx(expected)


def test_8b_sized_adapters_take_seconds(adapter):
    """One layer of Qwen3-8B, all seven modules at rank 16; 36 layers take 36 times as long."""
    shapes = {"q": (4096, 4096), "k": (1024, 4096), "v": (1024, 4096), "o": (4096, 4096)}
    shapes |= {"gate": (12288, 4096), "up": (12288, 4096), "down": (4096, 12288)}
    folders = [adapter(str(s), {n: pair(s, out, 16, width) for n, (out, width) in shapes.items()}) for s in (7, 8)]
    start = time.process_time()
    assert len(contrast(*map(read_factors, folders))) == 7
    assert time.process_time() - start < 10  # a bound against forming the full matrices, which takes minutes


def test_what_is_no_adapter(adapter, tmp_path):
    with pytest.raises(MissingResourceError, match="no adapter here"):
        read_factors(tmp_path)
    with pytest.raises(InputError, match="only LORA"):
        read_factors(adapter("ia3", {"q": pair(9)}, peft_type="IA3"))
    broken = adapter("broken", {"q": pair(10)})
    (broken / "adapter_model.safetensors").write_bytes(b"\x10\x00\x00\x00\x00\x00\x00\x00not json at all.")
    with pytest.raises(InputError, match="not a safetensors file"):
        read_factors(broken)
    with pytest.raises(InputError, match="no module in common"):
        contrast(read_factors(adapter("q", {"q": pair(11)})), read_factors(adapter("v", {"v": pair(12)})))
    with pytest.raises(InputError, match="shapes differ"):
        contrast(read_factors(adapter("s", {"q": pair(13)})), read_factors(adapter("t", {"q": pair(14, out=50)})))
