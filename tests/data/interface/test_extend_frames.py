"""Frames of a potential's own relaxations, labelled with that of the build."""

import hashlib
import json
import shutil

import ase.io
import numpy as np
import pytest

from cryingan.errors import CryinGANError
from cryingan.potentials.potential import load_potential
from cryingan.relaxation.trajectory import read_trajectories
from data.interface import extend_frames, train_potential
from data.interface.potential_training.frames import frames_of_relaxations, split
from tests.support.interfaces import POTENTIAL, SERIAL
from tests.support.potential_training import system_of, train_settings

pytestmark = pytest.mark.usefixtures("barely_trained", "no_figures")


def test_frames_of_its_own_relaxations(built, tmp_path):
    work = tmp_path / "built"
    shutil.copytree(built, work)
    folder = train_potential.train(train_settings(work, tmp_path, epochs=1, system=system_of(built)))
    before = frames_of_relaxations(work)
    made = extend_frames.ExtendSettings(
        system_of(built),
        reference=POTENTIAL,
        relaxations=str(work),
        potential={"kind": "m3gnet", "path": str(folder)},
        n=4,
        each=2,
        relax={**SERIAL, "max_steps": 2},
    )
    labelled_folder = extend_frames.extend(made)
    [unlabelled] = work.glob("unlabelled_*")
    own = dict(read_trajectories(unlabelled))
    reference = load_potential(**POTENTIAL)
    atoms = before.atoms[0].copy()
    for sample, frames in read_trajectories(labelled_folder):
        assert frames.positions.tolist() == own[sample].positions.tolist()
        for positions, energy, forces in zip(frames.positions, frames.energies, frames.forces, strict=True):
            atoms.positions = positions
            energies, expected = reference.evaluate([atoms])
            assert energy == pytest.approx(energies[0], abs=1e-9)
            np.testing.assert_allclose(forces, expected[0], atol=1e-5)
    after = frames_of_relaxations(work)
    assert len(after) == len(before) + sum(len(one.energies) for one in own.values())
    assert set(after.structures) == set(before.structures)
    assert split(after, 0.2, 0.2, 0) == split(before, 0.2, 0.2, 0)
    assert set(after.by_origin()) == {"relaxations", "other paths"}

    def counts(**changes):
        folder = train_potential.train(train_settings(work, tmp_path, epochs=1, system=system_of(built), **changes))
        return json.loads((folder / "metrics.json").read_bytes())["sets"], (folder / "README.md").read_text()

    assert all(one["origins"] == {} for one in counts()[0].values())  # it began without them
    with_them = {"work": str(tmp_path / "with them"), "folder": str(tmp_path / "other")}
    sets, text = counts(**with_them)
    assert sum(one["frames"] for one in sets.values()) == len(after)
    found = sum(one["origins"].get("other paths", {"frames": 0})["frames"] for one in sets.values())
    assert found == len(after) - len(before)
    assert "other potentials' relaxations of the same structures" in text

    samples = before.atoms[:2]
    samples[1].positions[0] = samples[1].positions[1]
    ase.io.write(tmp_path / "samples.extxyz", samples)
    made.structures = str(tmp_path / "samples.extxyz")
    other = extend_frames.extend(made)
    start = 1_000_000 * (1 + int(hashlib.sha256((tmp_path / "samples.extxyz").read_bytes()).hexdigest()[:6], 16))
    assert [sample for sample, _ in read_trajectories(other)] == [start, start + 1]
    assert set(frames_of_relaxations(work).by_origin()) == {"relaxations", "other paths", "samples"}
    [(_, first), _] = read_trajectories(other)
    np.testing.assert_allclose(first.positions[0], samples[0].positions, atol=1e-4)
    assert len(frames_of_relaxations(work)) > len(after)
    shutil.rmtree(other)
    ase.io.write(tmp_path / "samples.extxyz", samples[0][::-1])
    with pytest.raises(CryinGANError, match="another order or another cell than the structures of the build"):
        extend_frames.extend(made)
    made.structures = None

    shutil.rmtree(labelled_folder)
    with pytest.raises(CryinGANError, match="with which the training began, is no longer there"):
        counts(**with_them)
    made.max_force = 1e-3
    again = extend_frames.extend(made)
    made.max_force = 1.0
    with pytest.raises(CryinGANError, match=r"was labelled with max_force=0.001: remove it to label anew"):
        extend_frames.extend(made)
    made.max_force = 1e-3
    assert all(len(frames.energies) == 0 for _, frames in read_trajectories(again))
    assert len(frames_of_relaxations(work)) == len(before)
    made.reference = {**POTENTIAL, "radii": {"Li": 0.8, "O": 1.1, "Cl": 1.4}}
    with pytest.raises(CryinGANError, match=r"reference is .*, not what the structures were relaxed with"):
        extend_frames.extend(made)
