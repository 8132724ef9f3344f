from __future__ import annotations

import pytest

from cryingan.storage.atomic import ROOT
from cryingan.training.checkpoints import run_settings


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
