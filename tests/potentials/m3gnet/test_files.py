"""The files of an M3GNet: which are refused, and where they come from."""

import pytest
import torch

from cryingan.errors import CryinGANError
from cryingan.potentials.potential import load_potential
from tests.support.potentials import PUBLISHED_M3GNET, needs_weights


@needs_weights
def test_a_model_without_references_or_with_other_files_is_refused(tmp_path):
    state, settings = (
        torch.load(PUBLISHED_M3GNET / name, map_location="cpu", weights_only=True) for name in ("state.pt", "model.pt")
    )
    torch.save({**state, "data_mean": torch.tensor(1.0)}, tmp_path / "state.pt")
    torch.save(settings, tmp_path / "model.pt")
    with pytest.raises(CryinGANError, match=r"no card\.json"):
        load_potential("m3gnet", str(tmp_path))
    canary = tmp_path / "canary"
    hostile = {"@class": "Popen", "@module": "subprocess", "init_args": {"args": ["touch", str(canary)]}}
    torch.save({**settings, "model": hostile}, tmp_path / "model.pt")
    with pytest.raises(CryinGANError, match="cannot be loaded as an M3GNet"):
        load_potential("m3gnet", str(tmp_path))
    (tmp_path / "state.pt").write_bytes((PUBLISHED_M3GNET / "state.pt").read_bytes()[:1000])
    with pytest.raises(CryinGANError, match="cannot be loaded as an M3GNet"):
        load_potential("m3gnet", str(tmp_path))
    (tmp_path / "state.pt").unlink()
    with pytest.raises(CryinGANError, match=r"state\.pt cannot be read"):
        load_potential("m3gnet", str(tmp_path))
    assert not canary.exists()


def test_hub_name_is_fetched_and_a_failure_is_one_line(monkeypatch):
    import huggingface_hub

    asked = []

    def offline(repository, name):
        asked.append((repository, name))
        raise OSError("no network\nmany lines")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", offline)
    with pytest.raises(CryinGANError, match=r"M3GNet-X is no folder.*no network$"):
        load_potential("m3gnet", "M3GNet-X")
    assert asked == [("materialyze/M3GNet-X", "model.pt")]
