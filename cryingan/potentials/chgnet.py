"""CHGNet, computed by the package `chgnet`, which is the extra of that name."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
from ase import Atoms

from cryingan.devices import resolve_device
from cryingan.errors import CryinGANError
from cryingan.potentials.card import PotentialCard
from cryingan.potentials.packages import lacking
from cryingan.potentials.potential import Potential
from cryingan.potentials.published import known_references
from cryingan.potentials.settings import CHGNetSettings
from cryingan.storage.hashes import file_hash


class CHGNetPotential(Potential):
    """CHGNet, computed by the package `chgnet`.

    A checkpoint defines whether the network gives energies per atom or per structure; `evaluate` returns totals for
    both. Weights that come with the package are verified against energies of its own calculator.

    Args:
        settings: weights and device.

    Raises:
        CryinGANError: the package is not installed, the version or file does not exist or holds something else, or one
            of network and composition model gives energies per atom and the other per structure.
    """

    def __init__(self, settings: CHGNetSettings) -> None:
        import torch
        from ase.data import chemical_symbols

        try:
            import chgnet
            from chgnet.model import CHGNet
        except ImportError as error:
            raise lacking("chgnet", error) from error
        version = settings.path or str(CHGNetSettings.path)
        packaged = sorted((Path(chgnet.__file__).parent / "pretrained" / version).glob("*.pth.tar"))
        file = packaged[0] if packaged else Path(version)
        weights, device = file_hash(file), resolve_device(settings.device)
        try:
            # The loader of the package unpickles arbitrary objects.
            state = torch.load(file, map_location="cpu", weights_only=True)["model"]
            with torch.random.fork_rng(devices=[]), torch.inference_mode(False):
                # Up to 0.2.0 convolutions have a last bias, which not all settings mention.
                biased = any(".mlp_out." in key and key.endswith(".bias") for key in state["state_dict"])
                state["model_args"] = {"version": version, **state["model_args"], "mlp_out_bias": biased}
                self.model = CHGNet.from_dict(state)
                self.model.to(device).eval().requires_grad_(False)
        except (pickle.UnpicklingError, RuntimeError, KeyError, TypeError, ValueError, EOFError) as error:
            raise CryinGANError(f"{file} cannot be loaded as a CHGNet: {str(error).splitlines()[0]}") from error
        self._require_one_scale(file)
        # With that bias the energy of a structure without angles depends on the rest of its batch.
        self.batch_size = 1 if biased else None
        self.model.graph_converter.set_isolated_atom_response("ignore")
        name = f"CHGNet-{version}" if packaged else file.name
        references = known_references(weights, settings.references)
        card = PotentialCard(name, weights, tuple(chemical_symbols[1:95]), references)
        super().__init__(card, device, settings.atoms_per_batch)

    def _require_one_scale(self, file: Path) -> None:
        composition = self.model.composition_model
        if composition is not None and composition.is_intensive != self.model.is_intensive:
            scales = ["per atom" if one.is_intensive else "per structure" for one in (self.model, composition)]
            raise CryinGANError(
                f"{file}: the network gives energies {scales[0]}, its composition model {scales[1]}: they do not add up"
            )

    def _evaluate_batch(self, frames: list[Atoms]) -> tuple[list[float], list[np.ndarray]]:
        import torch
        from pymatgen.io.ase import AseAtomsAdaptor

        with torch.inference_mode(False), torch.enable_grad():
            structures = [AseAtomsAdaptor.get_structure(frame) for frame in frames]
            results = self.model.predict_structure(structures, task="ef", batch_size=self.batch_size or len(frames))
        results = results if isinstance(results, list) else [results]
        atoms = [len(frame) if self.model.is_intensive else 1 for frame in frames]
        energies = [float(result["e"]) * count for count, result in zip(atoms, results, strict=True)]
        return energies, [result["f"].astype(np.float64) for result in results]
