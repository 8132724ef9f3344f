"""Potentials that need no weights of ours: an analytic pair potential, any ASE calculator, CHGNet."""

from __future__ import annotations

import hashlib
import importlib
import json
import logging
import pickle
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cryingan.errors import CryinGANError
from cryingan.files import file_hash
from cryingan.potentials import SAME_POINT, Potential, PotentialCard, neighbors, parse_references, resolve_device

if TYPE_CHECKING:
    from ase import Atoms

log = logging.getLogger(__name__)


class PairPotential(Potential):
    """Morse bonds of all periodic pairs within a cut-off, damped so that energy and forces vanish smoothly there.

    E = sum over pairs of depth * (x^2 - 2 x) * (1 - (r / cutoff)^2)^3 with x = exp(-stiffness * (r - r0)) and
    r0 = radius_i + radius_j. Made for tests: float64, exact forces, loaded in no time.

    Args:
        path: ignored; it has no weights.
        device: ignored; it computes on the CPU.
        depth: eV.
        stiffness: 1/Angstrom.
        cutoff: Angstrom.
        radii: Angstrom per chemical symbol; without it every element is known and has radius 1.25 Angstrom.
        atoms_per_batch: see `Potential`.
        references: see `load_potential`.
    """

    def __init__(
        self,
        path: str | None = None,
        device: str = "cpu",
        depth: float = 0.5,
        stiffness: float = 1.5,
        cutoff: float = 5.0,
        radii: Mapping[str, float] | None = None,
        atoms_per_batch: int | None = None,
        references: Sequence[Mapping] = (),
    ) -> None:
        from ase.data import chemical_symbols

        radii = dict.fromkeys(chemical_symbols[1:], 1.25) if radii is None else dict(radii)
        settings = {"depth": depth, "stiffness": stiffness, "cutoff": cutoff, "radii": radii}
        card = PotentialCard("pair", _settings_hash(settings), tuple(radii), parse_references(references))
        super().__init__(card, "cpu", atoms_per_batch)
        self.depth, self.stiffness, self.cutoff, self.radii = depth, stiffness, cutoff, radii

    def _evaluate_batch(self, frames: list[Atoms]) -> tuple[list[float], list[np.ndarray]]:
        results = [self._evaluate_one(frame) for frame in frames]
        return [energy for energy, _ in results], [forces for _, forces in results]

    def _evaluate_one(self, frame: Atoms) -> tuple[float, np.ndarray]:
        positions, cell = frame.get_positions(wrap=True), np.asarray(frame.cell)
        source, target, image = neighbors(positions, cell, self.cutoff)
        vector = positions[target] - positions[source] + image @ cell
        distance = np.linalg.norm(vector, axis=1)
        radius = np.array([self.radii[symbol] for symbol in frame.get_chemical_symbols()])

        x = np.exp(-self.stiffness * (distance - radius[source] - radius[target]))
        inside = np.maximum(1 - (distance / self.cutoff) ** 2, 0)
        morse, damping = self.depth * (x**2 - 2 * x), inside**3
        slope = -2 * self.stiffness * self.depth * (x**2 - x) * damping
        slope -= morse * 6 * inside**2 * distance / self.cutoff**2
        pull = vector * (slope / np.maximum(distance, SAME_POINT))[:, None]
        forces = np.stack([np.bincount(source, pull[:, axis], len(frame)) for axis in range(3)], axis=1)
        return 0.5 * float(morse @ damping), forces


class AsePotential(Potential):
    """Any ASE calculator, one structure at a time.

    Args:
        path: ignored; what the calculator needs goes into `arguments`.
        device: ignored, for the same reason.
        calculator: import path of the calculator's class, such as `ase.calculators.emt.EMT`.
        arguments: keyword arguments of the class.
        elements: chemical symbols that it knows; without it the calculator has to refuse by itself.
        atoms_per_batch: see `Potential`.
        references: see `load_potential`.

    Raises:
        CryinGANError: the calculator cannot be imported or made.
    """

    def __init__(
        self,
        path: str | None = None,
        device: str = "cpu",
        calculator: str = "",
        arguments: Mapping[str, Any] | None = None,
        elements: Sequence[str] = (),
        atoms_per_batch: int | None = None,
        references: Sequence[Mapping] = (),
    ) -> None:
        arguments = dict(arguments or {})
        module, _, name = calculator.rpartition(".")
        try:
            self.calculator = getattr(importlib.import_module(module), name)(**arguments)
        except (ImportError, AttributeError, TypeError, ValueError, RuntimeError, LookupError, OSError) as error:
            raise CryinGANError(f"ASE calculator {calculator!r} cannot be made: {error}") from error
        files = {key: file_hash(value) for key, value in arguments.items() if _is_file(value)}
        settings = {"calculator": calculator, "arguments": {**arguments, **files}}
        card = PotentialCard(name, _settings_hash(settings), tuple(elements), parse_references(references))
        super().__init__(card, device, atoms_per_batch)

    def _evaluate_batch(self, frames: list[Atoms]) -> tuple[list[float], list[np.ndarray]]:
        energies, forces = [], []
        for frame in frames:
            frame = frame.copy()
            frame.calc = self.calculator
            try:
                energy, force = frame.get_potential_energy(), np.array(frame.get_forces(), dtype=np.float64)
            except NotImplementedError as error:  # what ASE's own calculators raise for an element
                raise CryinGANError(f"{self.card.name}: {error}") from error
            except (RuntimeError, ArithmeticError, ValueError, OSError, subprocess.SubprocessError) as error:
                # A program that fails on one structure, not converged for instance, says nothing about the others.
                log.warning("%s failed on a structure: %s", self.card.name, error)
                energy, force = np.nan, np.full((len(frame), 3), np.nan)
            energies.append(energy)
            forces.append(force)
        return energies, forces


class CHGNetPotential(Potential):
    """A CHGNet of its own package, which is the extra `chgnet`.

    Args:
        path: version that comes with the package (`0.3.0` without it, `0.2.0`, `r2scan`), or a checkpoint file.
        device: torch device, or `auto`.
        atoms_per_batch: see `Potential`.
        references: see `load_potential`.

    Raises:
        CryinGANError: the package is not installed, the version or file does not exist or holds something else.
    """

    def __init__(
        self,
        path: str | None = None,
        device: str = "cpu",
        atoms_per_batch: int | None = None,
        references: Sequence[Mapping] = (),
    ) -> None:
        import torch
        from ase.data import chemical_symbols

        try:
            import chgnet
            from chgnet.model import CHGNet
        except ImportError as error:
            raise CryinGANError(f"potential chgnet needs its package: pip install chgnet ({error})") from error
        version = path or "0.3.0"
        packaged = sorted((Path(chgnet.__file__).parent / "pretrained" / version).glob("*.pth.tar"))
        file = packaged[0] if packaged else Path(version)
        weights = file_hash(file)
        try:
            # The package's own loader would unpickle anything.
            state = torch.load(file, map_location="cpu", weights_only=True)["model"]
            with torch.random.fork_rng(devices=[]), torch.inference_mode(False):
                # Up to 0.2.0 the last layer had a bias that its settings do not mention.
                self.model = CHGNet.from_dict(state, mlp_out_bias=version == "0.2.0", version=version)
                self.model.to(resolve_device(device)).eval().requires_grad_(False)
        except (pickle.UnpicklingError, RuntimeError, KeyError, TypeError, ValueError, EOFError) as error:
            raise CryinGANError(f"{file} cannot be loaded as a CHGNet: {str(error).splitlines()[0]}") from error
        name = f"CHGNet-{version}" if packaged else file.name
        self.model.graph_converter.set_isolated_atom_response("ignore")
        known = parse_references(references)
        card = PotentialCard(name, weights, tuple(chemical_symbols[1:95]), known)
        super().__init__(card, resolve_device(device), atoms_per_batch)

    def _evaluate_batch(self, frames: list[Atoms]) -> tuple[list[float], list[np.ndarray]]:
        import torch
        from pymatgen.io.ase import AseAtomsAdaptor

        with torch.inference_mode(False), torch.enable_grad():
            structures = [AseAtomsAdaptor.get_structure(frame) for frame in frames]
            results = self.model.predict_structure(structures, task="ef", batch_size=len(frames))
        results = results if isinstance(results, list) else [results]
        energies = [float(result["e"]) * len(frame) for frame, result in zip(frames, results, strict=True)]
        return energies, [result["f"].astype(np.float64) for result in results]


def _is_file(value: Any) -> bool:
    return isinstance(value, str) and Path(value).is_file()


def _settings_hash(settings: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()
