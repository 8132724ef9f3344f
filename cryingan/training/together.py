"""Train several runs in one process: `replicas=R` for seeds, `lambdas=[A,B]` for values of lambda."""

from __future__ import annotations

import copy
import sys
import traceback
from collections.abc import Callable, MutableMapping, MutableSequence
from typing import TYPE_CHECKING, Any

from cryingan.errors import CryinGANError

if TYPE_CHECKING:
    from cryingan.training.lockstep import Member
    from cryingan.training.run import Run


def each_run(config: MutableMapping[str, Any]) -> list[MutableMapping[str, Any]]:
    """Return the config of every run, as if it were trained alone.

    There is a run for each of `replicas` seeds, beginning with `seed`, and each of `lambdas`, where there are any.

    Raises:
        CryinGANError: the runs cannot be trained together, or would have the same folder.
    """
    if config["replicas"] < 1:
        raise CryinGANError(f"replicas={config['replicas']}: it must be at least 1")
    if not isinstance(config["lambdas"], MutableSequence):
        raise CryinGANError(f"lambdas={config['lambdas']}: it is a list, such as lambdas=[0.01,0.05]")
    weights = list(config["lambdas"]) or [config["lambda"]]
    pairs = [(weight, config["seed"] + number) for weight in weights for number in range(config["replicas"])]
    if len(pairs) == 1 and not config["lambdas"]:
        return [config]
    if len(set(weights)) < len(weights):
        raise CryinGANError(f"lambdas={weights}: a value occurs twice")
    if 0 in weights and max(weights) > 0:
        raise CryinGANError(f"lambdas={weights}: a run with lambda 0 has no distance discriminator; train it apart")
    if len(pairs) > 1 and config["resume"] not in ("auto", "never"):
        raise CryinGANError("resume=PATH is for one run; replicas resume in their run folders with resume=auto")
    configs = [copy.deepcopy(config) for _ in pairs]
    for one, (weight, seed) in zip(configs, pairs, strict=True):
        one.update({"lambda": weight, "seed": seed, "replicas": 1, "lambdas": []})
    if len({one["run_dir"] for one in configs}) < len(configs):
        keys = " and ".join(
            key for key, several in (("${seed}", config["replicas"] > 1), ("${lambda}", len(weights) > 1)) if several
        )
        raise CryinGANError(f"run_dir={configs[0]['run_dir']} is the same for several runs; put {keys} in it")
    return configs


def train_together(configs: list[MutableMapping[str, Any]], prepare: Callable[..., Any]) -> dict[str, float]:
    """Train several models of one shape in lockstep and return their last values as `<run folder>/<metric>`.

    A run that ends in an error is reported at once; the others continue. `prepare` makes a run of a config, as in
    train.py.

    Raises:
        CryinGANError: as `train`; at the end, if some runs ended in an error.
    """
    from cryingan.training.labelled_output import labelled_output
    from cryingan.training.lockstep import Lockstep, Member

    runs: list[Run] = []
    for config in configs:
        runs.append(prepare(config, beside=runs[0] if runs else None, together=True))
    if runs[0].trainer.world_size > 1:
        raise CryinGANError("replicas are trained in one process: use trainer.devices=1")
    for run in runs:
        run.model.companions = [other.trainer for other in runs]
    members = [Member(run.model, run.fit, name=str(run.folder)) for run in runs]
    lockstep = Lockstep(report=_report)
    with labelled_output(members):
        lockstep.run(members)
    if lockstep.stopped_by is not None:
        sys.exit(128 + lockstep.stopped_by)
    failed = [member.name for member in members if member.error is not None]
    if failed:
        raise CryinGANError(f"{len(failed)} of {len(members)} runs ended early: {', '.join(failed)}")
    return {f"{member.name}/{name}": value for member in members for name, value in member.result.items()}


def _report(member: Member) -> None:
    """Print the error that ended a run in one line; an unexpected one after its traceback."""
    if isinstance(member.error, SystemExit):
        return
    if not isinstance(member.error, CryinGANError):
        traceback.print_exception(member.error)
    print(f"train.py: {member.name}: {' '.join(str(member.error).split())}", file=sys.stderr, flush=True)
