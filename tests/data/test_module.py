import logging
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lightning.pytorch.utilities import rank_zero_only

from cryingan.errors import CryinGANError
from cryingan.geometry.distances import neighbor_distances
from cryingan.structures.crystals import Crystals
from cryingan.structures.files import read_structures, write_structures
from data.module import StructureData
from train import train


def test_a_run_warns_of_them(tiny, tmp_path, caplog):
    crystals = read_structures(tiny()["data"]["path"])
    crystals.fractional[:, [0, 3], 2] = (0.001, 0.999)
    write_structures(crystals, tmp_path / "cut.extxyz")
    train(tiny(f"data.path={tmp_path / 'cut.extxyz'}", "trainer.max_epochs=1"))
    assert "both faces of the cell along c" in caplog.text


@pytest.mark.parametrize("model", ["paper", "cdvae"])
def test_atoms_everywhere_are_no_matter_to_a_model_that_sees_no_origin(structures_file, tmp_path, caplog, model):
    crystals = read_structures(structures_file)
    random = np.random.default_rng(0)
    glass = Crystals(random.uniform(size=(200, 40, 3)), 3 * crystals.cell, ["Li"] * 40)
    write_structures(glass, tmp_path / "glass.extxyz")
    data = StructureData(tmp_path / "glass.extxyz")
    strategy = SimpleNamespace(root_device=torch.device("cpu"))
    trained = SimpleNamespace(translation_invariant=model == "cdvae", n_neighbors=0)
    data.trainer = SimpleNamespace(lightning_module=trained, strategy=strategy, global_rank=0)
    data.setup("fit")
    assert ("no other origin is free of them" in caplog.text) == (model == "paper")
    assert "data.shift=auto" not in caplog.text


def test_a_single_structure_is_no_data_set(tiny, tmp_path):
    crystals = read_structures(tiny()["data"]["path"])
    write_structures(crystals[:1], tmp_path / "one.extxyz")
    with pytest.raises(CryinGANError, match="single structure"):
        train(tiny(f"data.path={tmp_path / 'one.extxyz'}"))


@pytest.mark.parametrize("rank", [0, 1])
def test_one_process_of_several_tells_what_is_left_out(tiny, structures_file, tmp_path, monkeypatch, caplog, rank):
    path = tmp_path / "set.xyz"
    path.write_text(f"1\n\nLi 0 0 0\n{structures_file.read_text()}")
    monkeypatch.setattr(rank_zero_only, "rank", rank)
    try:
        with pytest.raises(CryinGANError, match="no/such"):
            train(tiny(f"data.path={path}", "init=no/such.ckpt"))
    finally:
        for room in ("cryingan.structures", "cryingan.models"):
            logging.getLogger(room).setLevel(logging.NOTSET)
    assert ("1 isolated atoms" in caplog.text) is (rank == 0)


@pytest.mark.parametrize("rank", [0, 1])
def test_one_process_of_several_tells_of_the_set(structures_file, caplog, rank):
    class Trainer:
        strategy = SimpleNamespace(root_device=torch.device("cpu"))
        lightning_module, global_rank = None, rank

    caplog.set_level("INFO")
    data = StructureData(structures_file, shift="auto")
    data.trainer = Trainer()
    data.setup("fit")
    told = [f"data.shift: the origin is moved to {data.shift}"]
    assert [line for line in caplog.messages if "data.shift" in line] == ([] if rank else told)
    assert ("24 structures; with fewer than" in caplog.text) is (rank == 0)


@pytest.mark.parametrize("k", [0, 4])
def test_the_set_is_one_tensor_of_grouped_atoms_and_their_distances(tiny, structures_file, k):
    class Strategy:
        root_device = torch.device("cpu")

    class Model:
        n_neighbors = k

    class Trainer:
        strategy, lightning_module, global_rank = Strategy(), Model(), 0

    data = StructureData(structures_file, validation=0.25)
    data.trainer = Trainer()
    data.setup("fit")
    training, validation = (data.tensors[name] for name in ("training", "validation"))
    assert training.shape == (18, 10, 3 + k)
    assert validation.shape == (6, 10, 3 + k)
    assert training.dtype == torch.float32
    crystals = data.crystals
    expected = crystals.fractional[data.split()[0]][:, crystals.grouping]
    np.testing.assert_allclose(training[..., :3], expected, atol=1e-7)
    if k:
        distances = neighbor_distances(torch.tensor(expected), torch.tensor(crystals.cell), k)
        torch.testing.assert_close(training[..., 3:], distances.float(), atol=1e-5, rtol=0)
