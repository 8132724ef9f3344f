"""M3GNet, computed by matgl, in the message convention of its training.

Only `load_potential` imports this module, and only for an M3GNet, because importing matgl takes seconds.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from ase import Atoms

from cryingan.devices import resolve_device
from cryingan.errors import CryinGANError
from cryingan.potentials.card import CARD_FILE, PotentialCard
from cryingan.potentials.m3gnet.conventions import CONVENTIONS
from cryingan.potentials.m3gnet.files import local_folder, name_and_references, read_model, weights_hash
from cryingan.potentials.m3gnet.graph import joined, triples
from cryingan.potentials.potential import Potential
from cryingan.potentials.published import known_references
from cryingan.potentials.settings import M3GNetSettings
from cryingan.storage.atomic import write_json

log = logging.getLogger(__name__)

TOLERANCE = 1e-4  # eV/atom, of the references that `write_card` writes


class M3GNetPotential(Potential):
    """M3GNet in matgl's folder format (`model.pt`, `state.pt`).

    matgl 3 and later sum messages at the source atom of an edge. Older weights, such as the published
    M3GNet-MP-2021.2.8-PES, were trained with sums at the destination atom; matgl 3 loads them without a warning and
    gives wrong energies. The files do not record the convention. So both are tried, and the one that reproduces the
    reference energies is used. References are those of the settings, or else those of `card.json` in the folder;
    published weights also have to reproduce their published energies. The hash of the card covers weights and
    convention.

    matgl's own loader calls any class that the files name; here they can only fill an M3GNet.

    On a GPU the order of sums varies, so forces may differ in their last bits between calls.

    Args:
        settings: weights, device and references.

    Attributes:
        weights: SHA-256 of the weight files.
        convention: atom of an edge at which messages are summed, `source` or `destination`.

    Raises:
        CryinGANError: the files are missing or hold something else, or `card.json` belongs to other weights.
    """

    def __init__(self, settings: M3GNetSettings) -> None:
        folder = local_folder(settings.path)
        self.weights = weights_hash(folder)
        with torch.inference_mode(False):
            self.model, self.scale, self.shift, self.offsets = read_model(folder)
            name, found = name_and_references(folder, Path(settings.path).name, self.weights)
            references = known_references(self.weights, settings.references or found)
            card = PotentialCard(name, self.weights, tuple(self.model.element_types), references)
            super().__init__(card, resolve_device(settings.device), settings.atoms_per_batch)
            self.model.to(self.device)
        self.types = {symbol: index for index, symbol in enumerate(card.elements)}
        self.use_convention("source")

    def verify(self) -> None:
        """Choose the message convention that reproduces the references.

        Raises:
            CryinGANError: there are no references, or neither or both of the conventions reproduce them; the message
                states the energies.
        """
        if not self.card.references:
            raise CryinGANError(
                f"{self.card.name}: no {CARD_FILE} beside the weights and no `references`, so the message convention "
                "is unknown; for weights trained with matgl 3 or later write the card with "
                "cryingan.potentials.m3gnet.potential.write_card, for older ones give an energy that was published "
                "with them in `references`"
            )
        energies = self.energies_of_conventions([reference.atoms for reference in self.card.references])
        fitting = [convention for convention in CONVENTIONS if self.reproduces_references(energies[convention])]
        if len(fitting) != 1:
            numbers = "; ".join(f"{name}: {self._comparison(values)}" for name, values in energies.items())
            which = "both of the message conventions reproduce" if fitting else "neither message convention reproduces"
            raise CryinGANError(f"{self.card.name}: {which} the reference energies ({numbers})")
        self.use_convention(fitting[0])
        log.info("%s: messages are summed at the %s atom, by its references", self.card.name, fitting[0])

    def use_convention(self, convention: str) -> None:
        """Sum messages at the `source` or the `destination` atom of an edge."""
        for layer in self.model.graph_layers:
            layer.conv.convention = convention
        self.convention = convention
        # The same weights are two potentials in the two conventions.
        self.card = replace(self.card, hash=hashlib.sha256(f"{self.weights} {convention}".encode()).hexdigest())

    def energies_of_conventions(self, frames: Sequence[Atoms]) -> dict[str, np.ndarray]:
        """Return energies (structures,) in eV by convention; the last convention stays in use."""
        energies = {}
        for convention in CONVENTIONS:
            self.use_convention(convention)
            energies[convention], _ = self.evaluate(frames)
        return energies

    def _evaluate_batch(self, frames: list[Atoms]) -> tuple[np.ndarray, list[np.ndarray]]:
        # The caller may be in inference mode, which disables differentiation.
        with torch.inference_mode(False), torch.enable_grad():
            graph = joined(frames, self.types, self.model.cutoff, self.device)
            try:
                self.model(graph, l_g=triples(graph, self.model.threebody_cutoff))
                atomic = self.model.feature_dict["readout"].view(-1) * self.scale
                (gradient,) = torch.autograd.grad(atomic.sum(), graph.pos)
            finally:
                self.model.feature_dict = {}  # which would hold all activations until the next call
        types, owner = graph.node_type.cpu().numpy(), graph.batch.cpu().numpy()
        # Summed in float64: float32 sums of a thousand eV are accurate to milli-eV only.
        atomic_energies = atomic.detach().cpu().numpy().astype(np.float64) + self.offsets[types]
        energies = np.bincount(owner, atomic_energies, len(frames)) + self.shift
        forces = -gradient.cpu().numpy().astype(np.float64)
        return energies, np.split(forces, np.cumsum([len(frame) for frame in frames])[:-1])


def write_card(folder: str | Path, name: str, frames: Sequence[Atoms], convention: str = "source") -> PotentialCard:
    """Write and return the `card.json` of an M3GNet that was trained and saved with matgl 3 or later.

    Its present energies become the references, so that a change by a later matgl is noticed. If there are references
    already, of a published model or of a card that is replaced, their convention is kept.

    Args:
        folder: folder into which matgl saved the model.
        name: name of the potential.
        frames: reference structures, at least one of several elements, because a pure element has the same energy in
            both message conventions.
        convention: of its training; other than `source` only if an older model was trained further.

    Raises:
        CryinGANError: the folder holds no M3GNet or cannot be written, or all structures have the same energies in both
            conventions.
    """
    potential = M3GNetPotential(M3GNetSettings(path=str(folder), device="cpu"))
    energies = potential.energies_of_conventions(frames)
    tolerances = [TOLERANCE * len(frame) for frame in frames]
    if not (np.abs(energies["source"] - energies["destination"]) > tolerances).any():
        raise CryinGANError(
            f"{name}: the reference structures have the same energies in both message conventions "
            f"({', '.join(f'{energy:.6f} eV' for energy in energies['source'])}): add one with several elements"
        )
    if potential.card.references:
        potential.verify()
    else:
        potential.use_convention(convention)
    references = [
        {
            "symbols": frame.get_chemical_symbols(),
            "fractional": frame.get_scaled_positions().tolist(),
            "cell": frame.cell.tolist(),
            "energy": float(energy),
            "tolerance": tolerance,
        }
        for frame, energy, tolerance in zip(frames, energies[potential.convention], tolerances, strict=True)
    ]
    content = {"name": name, "hash": potential.weights, "references": references}
    write_json(Path(folder) / CARD_FILE, content)
    return replace(potential.card, name=name, references=known_references(potential.weights, references))
