"""Packages of potentials: what to install where one is missing, and calculators that take more than one call."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any

from cryingan.errors import CryinGANError


def lacking(package: str, error: ImportError) -> CryinGANError:
    """The error for a package of a potential that cannot be imported: it is absent, or one that it needs is.

    Args:
        package: as it is installed.
        error: what importing it raised.

    Example:
        >>> print(lacking("mace-torch-1", ModuleNotFoundError("No module named 'mace'", name="mace")))
        the package mace-torch-1 is not installed: pip install mace-torch-1 (No module named 'mace')
        >>> print(lacking("numpy", ModuleNotFoundError("No module named 'e3nn'", name="e3nn")))
        the package numpy is installed, but not e3nn, which it needs: pip install e3nn (No module named 'e3nn')
    """
    try:
        version(package)
    except PackageNotFoundError:
        return CryinGANError(f"the package {package} is not installed: pip install {package} ({error})")
    if isinstance(error, ModuleNotFoundError) and error.name:
        name = error.name.partition(".")[0]
        needed = f"but not {name}, which it needs: pip install {name}"
        return CryinGANError(f"the package {package} is installed, {needed} ({error})")
    return CryinGANError(f"the package {package} is installed, but cannot be imported: {error}")


def orb(model: str, device: str = "cpu", **options: Any) -> Any:
    """An ORB calculator, which is made from a model.

    Args:
        model: name of a function in `orb_models.forcefield.pretrained`, which downloads the weights on first use.
        device: where it computes.
        options: of that function, such as `precision`, or `weights_path` for weights at hand.
    """
    from orb_models.forcefield import pretrained
    from orb_models.forcefield.calculator import ORBCalculator

    return ORBCalculator(getattr(pretrained, model)(device=device, **options), device=device)
