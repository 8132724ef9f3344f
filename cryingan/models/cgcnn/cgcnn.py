"""A CryinGAN with a crystal graph discriminator."""

from __future__ import annotations

from cryingan.models.cgcnn.network import CrystalGraph
from cryingan.models.cgcnn.settings import CGCNNSettings
from cryingan.models.cryingan.one_discriminator import OneDiscriminator


class CGCNN(OneDiscriminator):
    """The generator of CryinGAN against a crystal graph network (Dismai-Bench paper, SI, Fig. S17).

    The discriminator sees species and distances, not where atoms are in the cell, so samples are brought to where the
    training structures stand; their mirror images it takes for the same. The gradient penalty interpolates fractional
    coordinates and takes the gradient by them, through the distances.

    Args:
        cell: lattice vectors in rows, Angstrom, (3, 3) nested lists.
        species: chemical symbol of every atom, in the order of the user's file.
        settings: those of the papers when not given.
        shift: as in `cryingan.models.base.GenerativeModel`.
        changes: fields of `cryingan.models.cgcnn.settings.CGCNNSettings` that differ from `settings`.

    Example:
        >>> from cryingan.models.cgcnn.cgcnn import CGCNN
        >>> cell = [[4.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 4.0]]
        >>> model = CGCNN(cell, ["Li", "Li", "Cl"], channels=8, features=8, n_neighbors=4)
        >>> model.sample(5, seed=1).fractional.shape
        (5, 3, 3)
    """

    kind = "cgcnn"
    settings_type = CGCNNSettings
    translation_invariant = True

    def discriminator(self, settings: CGCNNSettings) -> CrystalGraph:
        """The crystal graph network of the cell."""
        return CrystalGraph(
            self.cell,
            list(self.template.counts.values()),
            settings.n_neighbors,
            settings.features,
            settings.convolutions,
            settings.gaussians,
            settings.radius,
            settings.head_widths,
            settings.outputs,
        )
