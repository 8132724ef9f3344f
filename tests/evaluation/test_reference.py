"""What is kept of a reference is believed as long as nothing changed that decides its descriptors."""

from typing import ClassVar

import numpy as np
import pytest
from ase.io import write

from cryingan.evaluation import reference as evaluation_reference
from cryingan.evaluation.benchmarks.alloy import AlloyBenchmark
from cryingan.evaluation.benchmarks.silicon import SiliconBenchmark
from cryingan.evaluation.evaluate import evaluate
from cryingan.evaluation.reference import load_reference
from tests.support.evaluation import QUIET, alloy, saved, silicon


class Counted(SiliconBenchmark):
    """Notes each structure that is described."""

    described: ClassVar[list] = []

    def describe(self, atoms):
        self.described.append(atoms)
        return super().describe(atoms)


@pytest.fixture
def loaded(tmp_path, monkeypatch):
    """A function that loads one reference of two structures: what it gives, and how many it had to describe."""
    monkeypatch.setattr(Counted, "described", [])
    write(tmp_path / "reference.extxyz", silicon(2, 0.1), format="extxyz")

    def load(**settings):
        Counted.described.clear()
        reference = load_reference(tmp_path / "reference.extxyz", Counted(**settings), 1, False)
        return reference, len(Counted.described)

    return load


@pytest.mark.parametrize("changed", ["cryingan", "pymatgen", "numpy", "scipy"])
def test_other_versions_describe_anew(loaded, monkeypatch, changed):
    first, described = loaded()
    assert described == 2
    again, described = loaded()
    assert described == 0
    np.testing.assert_array_equal(again.sample["motifs"], first.sample["motifs"])
    if changed == "cryingan":
        monkeypatch.setattr(evaluation_reference, "__version__", "0.0.other")
    else:
        known = evaluation_reference.version
        monkeypatch.setattr(evaluation_reference, "version", lambda name: "other" if name == changed else known(name))
    assert loaded()[1] == 2
    assert loaded()[1] == 0


def test_other_settings_are_kept_beside(loaded):
    assert loaded()[1] == 2
    assert loaded(compatible=True)[1] == 2
    assert loaded()[1] == loaded(compatible=True)[1] == 0


def test_the_reference_is_described_once_for_each_content_and_setting(tmp_path, monkeypatch):
    reference = saved(alloy(3, 1), tmp_path / "reference.extxyz")
    describe, calls = AlloyBenchmark.describe, []
    monkeypatch.setattr(AlloyBenchmark, "describe", lambda self, atoms: calls.append(1) or describe(self, atoms))
    for _ in range(2):
        evaluate(alloy(1), reference, "alloy", **QUIET)
    assert len(calls) == 3 + 1 + 1
    evaluate(alloy(1), reference, "alloy", mapping="diffcsp", **QUIET)
    assert len(calls) == 5 + 4
    evaluate(alloy(1), reference, "alloy", **QUIET)
    assert len(calls) == 9 + 1
    saved(alloy(3, 2), reference)
    evaluate(alloy(1), reference, "alloy", **QUIET)
    assert len(calls) == 10 + 4
    assert {path.name for path in tmp_path.iterdir() if path != reference} == {".cryingan"}


def test_broken_structures_of_a_reference_are_left_out_and_named(caplog):
    reference = silicon(3, 0.1)
    reference.insert(1, silicon(1, 0.1, cells=2)[0])
    result = evaluate(silicon(2, 0.1, 5), reference, "silicon", **QUIET)
    assert result.provenance["reference"]["structures"] == 3
    assert "structure 2" in caplog.text
