"""Upload relaxed samples to Weights & Biases."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import Any

from cryingan.samples.folder import ENERGIES, FIGURE, MOLECULES, PICTURES, RELAXED
from cryingan.storage.atomic import make_folder

SHOWN = 3  # pictures beside the table, which has them all
TEXT = ("unit", "converged", "reason", "contacts", "potential")  # columns that hold no numbers


def upload(run: Any, folder: Path, epoch: int) -> None:
    """Upload the histogram, a table with a row and a picture per sample, rotatable structures, and the relaxed file.

    Args:
        run: the W&B run.
        folder: folder of an epoch, in the folder `relaxed` of the run folder.
        epoch: the epoch.
    """
    import wandb

    caption = f"after {epoch + 1} epochs"
    media = {"relax/energies": wandb.Image(str(folder / FIGURE), caption=caption), "relax/samples": _table(folder)}
    pictures = _of_one_size(sorted((folder / PICTURES).glob("*.png")))[:SHOWN]
    if pictures:
        media["relax/structures"] = [wandb.Image(str(path), caption=caption) for path in pictures]
    for state in ("before", "after"):
        files = sorted((folder / MOLECULES).glob(f"*_{state}.pdb"))
        if files:
            media[f"relax/molecules_{state}"] = [wandb.Molecule(str(path), caption=caption) for path in files]
    run.log({**media, "epoch": epoch})
    if (folder / RELAXED).exists():
        copy = make_folder(Path(run.dir) / "relaxed" / folder.name) / RELAXED
        shutil.copyfile(folder / RELAXED, copy)
        run.save(str(copy), base_path=run.dir, policy="now")


def _of_one_size(pictures: list[Path]) -> list[Path]:
    """The largest pictures; W&B shows a list of pictures only where all have one size."""
    from PIL import Image

    sizes = {}
    for path in pictures:
        with Image.open(path) as picture:
            sizes[path] = picture.size
    return [path for path, size in sizes.items() if size == max(sizes.values())]


def _table(folder: Path) -> Any:
    import wandb

    with (folder / ENERGIES).open() as file:
        rows = list(csv.DictReader(file))
    table = wandb.Table(columns=[*rows[0], "picture"])
    for row in rows:
        picture = folder / PICTURES / f"{int(row['sample']):06d}.png"
        values = [text if name in TEXT else float(text) if text else None for name, text in row.items()]
        table.add_data(*values, wandb.Image(str(picture)) if picture.exists() else None)
    return table
