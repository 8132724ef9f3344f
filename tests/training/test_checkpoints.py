from __future__ import annotations

import pytest

from cryingan.errors import CryinGANError
from cryingan.storage.atomic import ROOT
from cryingan.training.checkpoints import best_checkpoint, run_settings


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("data/interface/li2o_licl/li2o_licl.extxyz.gz", ROOT / "data/interface/li2o_licl/li2o_licl.extxyz.gz"),
        ("here.extxyz", "here.extxyz"),
        ("nowhere.extxyz", "nowhere.extxyz"),
        ("/nowhere/else.extxyz", "/nowhere/else.extxyz"),
    ],
)
def test_structures_of_a_run_whose_path_is_relative(tmp_path, monkeypatch, given, found):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here.extxyz").touch()
    (tmp_path / "config.yaml").write_text(f"data: {{path: {given}}}\n")
    assert run_settings(tmp_path / "checkpoints" / "best.ckpt")["data"]["path"] == str(found)


def test_a_folder_of_runs_names_them(tmp_path):
    for name in ("nacl/seed2", "nacl/seed1", "other/seed1"):
        (tmp_path / name / "checkpoints").mkdir(parents=True)
        (tmp_path / name / "checkpoints/last.ckpt").touch()
    for folder, runs in (("nacl", ("nacl/seed1", "nacl/seed2")), (".", ("nacl/seed1", "nacl/seed2", "other/seed1"))):
        with pytest.raises(CryinGANError) as told:
            best_checkpoint(tmp_path / folder)
        listed = ", ".join(str(tmp_path / run) for run in runs)
        assert str(told.value).endswith(f"give a checkpoint, or the folder of a run: {listed}")
