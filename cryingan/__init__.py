"""CryinGAN: a Wasserstein GAN that generates disordered crystal structures.

    import cryingan

    training = cryingan.read_structures("structures.extxyz")
    samples = cryingan.load_model("runs/demo").sample(100, seed=1)
    repaired, log = cryingan.repair(samples)
    potential = cryingan.load_potential("data/interface/li2o_licl/potential")
    results = cryingan.relax(repaired[log.accepted], potential)
    scores = cryingan.evaluate(results.crystals, training, "interface")

Each name is imported when it is first used, so that `import cryingan` takes milliseconds (PEP 562).
"""

from importlib import import_module

__version__ = "0.1.0"

_HOME = {
    "Crystals": "structures.crystals",
    "read_structures": "structures.files",
    "write_structures": "structures.files",
    "neighbor_distances": "geometry.distances",
    "CryinGAN": "models.cryingan.gan",
    "load_model": "training.checkpoints",
    "Potential": "potentials.potential",
    "load_potential": "potentials.potential",
    "repair": "relaxation.repair",
    "relax": "relaxation.relax",
    "RelaxationResults": "relaxation.relax",
    "evaluate": "evaluation.evaluate",
    "Evaluation": "evaluation.result",
    "compare": "evaluation.comparison",
    "CryinGANError": "errors",
}
__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'cryingan' has no attribute {name!r}")
    return getattr(import_module(f"cryingan.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
