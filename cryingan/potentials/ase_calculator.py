"""Any ASE calculator as a potential."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from importlib.metadata import packages_distributions, version
from pkgutil import resolve_name
from typing import Any

import numpy as np
from ase import Atoms

from cryingan.errors import CryinGANError
from cryingan.potentials.card import PotentialCard, parse_references
from cryingan.potentials.packages import lacking
from cryingan.potentials.potential import Potential
from cryingan.potentials.settings import AseSettings
from cryingan.storage.hashes import content, file_hash, settings_hash

log = logging.getLogger(__name__)

DEVICES = ("cpu", "cuda", "mps", "xpu", "auto")


class CalculatorPotential(Potential):
    """A calculator of ASE's kind, which evaluates one structure at a time.

    Args:
        card: name, hash, elements and reference energies.
        calculator: has energies (eV) and forces (eV/Angstrom).
        device: where it computes.
        atoms_per_batch: see `cryingan.potentials.potential.Potential`.
        around: context in which it computes.
    """

    def __init__(
        self,
        card: PotentialCard,
        calculator: Any,
        device: str,
        atoms_per_batch: int | None,
        around: AbstractContextManager | None = None,
    ) -> None:
        super().__init__(card, device, atoms_per_batch)
        self.calculator, self.around = calculator, around or nullcontext()

    def _evaluate_batch(self, frames: list[Atoms]) -> tuple[list[float], list[np.ndarray]]:
        energies, forces = [], []
        for frame in frames:
            frame = frame.copy()
            frame.calc = self.calculator
            try:
                with self.around:
                    energy, force = frame.get_potential_energy(), frame.get_forces(apply_constraint=False)
                    force = np.array(force, dtype=np.float64)
            except NotImplementedError as error:  # raised by ASE's own calculators for an unknown element
                raise CryinGANError(f"{self.card.name}: {error}") from error
            except (RuntimeError, ArithmeticError, ValueError, OSError, subprocess.SubprocessError) as error:
                # A failure on one structure, such as missing convergence, does not affect the others.
                log.warning("%s failed on a structure: %s", self.card.name, error)
                energy, force = np.nan, np.full((len(frame), 3), np.nan)
            energies.append(energy)
            forces.append(force)
        return energies, forces


class AsePotential(CalculatorPotential):
    """Any ASE calculator, one structure at a time.

    The hash covers the import path, the arguments, and the version of the calculator's package (for a module outside of
    any package, its content). Files and folders among the arguments, at any depth, count by their content, except
    `directory`, where calculators of ASE write their output. The version of an external program is not covered.

    Args:
        settings: the calculator and its arguments.

    Raises:
        CryinGANError: the calculator cannot be imported or constructed.
    """

    def __init__(self, settings: AseSettings) -> None:
        calculator, arguments = settings.calculator, dict(settings.arguments or {})
        module, _, name = calculator.rpartition(".")
        default_dtype = OwnDefaultDtype()
        try:
            with default_dtype:
                made = resolve_name(calculator)(**arguments)
        except ImportError as error:
            if settings.package:
                raise lacking(settings.package, error) from error
            raise CryinGANError(f"ASE calculator {calculator!r} cannot be made: {error}") from error
        except (AttributeError, TypeError, ValueError, RuntimeError, LookupError, OSError) as error:
            raise CryinGANError(f"ASE calculator {calculator!r} cannot be made: {error}") from error
        if package := settings.package:
            name, own_version = type(made).__name__, f"{package} {version(package)}"
        else:
            own_version = _version(module)
        made_of = {"calculator": calculator, "arguments": content(arguments), "version": own_version}
        references = parse_references(settings.references)
        card = PotentialCard(name, settings_hash(made_of), tuple(settings.elements), references)
        device = _device(made, arguments, settings.device)
        super().__init__(card, made, device, settings.atoms_per_batch, default_dtype)


class OwnDefaultDtype:
    """Context with a default dtype of torch of its own.

    Some calculators set torch's default dtype when they are constructed and rely on it later. Inside, the default dtype
    is what the calculator last set; on exit it is again what it was outside.
    """

    def __init__(self) -> None:
        self.inside = self.outside = None

    def __enter__(self) -> None:
        self.outside = _default_dtype()
        if self.inside is not None:
            sys.modules["torch"].set_default_dtype(self.inside)

    def __exit__(self, *_: object) -> None:
        self.inside = _default_dtype()
        if self.inside is not None:
            torch = sys.modules["torch"]
            torch.set_default_dtype(self.outside or torch.float32)


def _default_dtype() -> Any:
    """Return torch's default dtype, or None if torch is not imported."""
    return sys.modules["torch"].get_default_dtype() if "torch" in sys.modules else None


def _version(module: str) -> str:
    """Return the version of the package of a module, or the hash of a module outside of any package."""
    owners = _distributions().get(module.partition(".")[0], ())
    if owners:
        return " ".join(f"{owner} {version(owner)}" for owner in sorted(set(owners)))
    file = getattr(sys.modules[module], "__file__", None)
    return file_hash(file) if file else "built in"


@cache
def _distributions() -> Mapping[str, list[str]]:
    """Return the packages that every top-level module is from; reading what is installed takes a fifth of a second."""
    return packages_distributions()


def _device(calculator: Any, arguments: Mapping[str, Any], device: str) -> str:
    """Return where a calculator computes: by its arguments, by its attribute, or else `device`."""
    given = [arguments.get("device"), arguments.get("use_device"), getattr(calculator, "device", None), device]
    return next(name for name in map(str, given) if name.startswith(DEVICES))
