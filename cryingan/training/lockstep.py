"""Several trainings in one process: each runs as if alone, but their steps are taken as one step."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from lightning import Trainer
from lightning.pytorch.utilities.exceptions import SIGTERMException
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor

from cryingan.errors import CryinGANError
from cryingan.models.cryingan.gan import CryinGAN
from cryingan.training.replicas import Replicas


class Replica(CryinGAN):
    """A CryinGAN whose training steps a `Lockstep` takes together with those of others.

    Attributes:
        member: the thread that trains it.
        companions: the trainers of all runs that are trained together, in the order in which they take turns.
    """

    member: Member
    companions: Sequence[Trainer] = ()

    def training_step(self, batch: Tensor, batch_idx: int) -> None:
        """The step of a CryinGAN."""
        if not self.member.meet(batch, batch_idx):
            super().training_step(batch, batch_idx)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save copies: views of stacked tensors would be written with the whole stack."""
        super().on_save_checkpoint(checkpoint)
        for section in ("state_dict", "optimizer_states"):
            checkpoint[section] = apply_to_collection(checkpoint[section], Tensor, Tensor.clone)


def replica_of(target: str) -> str:
    """The import path of the class whose steps are taken together, from that of a model.

    Raises:
        CryinGANError: models of this class train alone.
    """
    if target != f"{CryinGAN.__module__}.{CryinGAN.__qualname__}":
        raise CryinGANError(f"replicas and lambdas train CryinGAN only; start the runs of {target} one by one")
    return f"{Replica.__module__}.{Replica.__qualname__}"


class Member(threading.Thread):
    """The training of one replica, in a thread that runs only in its turn.

    Attributes:
        waiting: (epoch, batch) of the step that it waits for; None while it does something else or has ended.
        error: what ended it, if anything did.
    """

    def __init__(self, model: Replica, training: Callable[[], Any], name: str) -> None:
        super().__init__(name=name, daemon=True)
        self.model, self.training = model, training
        self.waiting: tuple[int, int] | None = None
        self.batch: Tensor | None = None
        self.error: BaseException | None = None
        self.result: Any = None
        self.outcome: BaseException | bool = True
        self.dtype = torch.get_default_dtype()
        self.turn, self.back = threading.Semaphore(0), threading.Semaphore(0)
        model.member = self

    def run(self) -> None:
        """Train."""
        self.turn.acquire()
        try:
            self.result = self.training()
        except BaseException as error:
            self.error = error
        self.waiting = None
        self.back.release()

    def proceed(self) -> None:
        """Run the thread until it waits for its next step or ends; called by the `Lockstep`.

        Lightning changes PyTorch's default type during a step in double precision; each training has its own.
        """
        before = torch.get_default_dtype()
        torch.set_default_dtype(self.dtype)
        self.turn.release()
        self.back.acquire()
        self.dtype = torch.get_default_dtype()
        torch.set_default_dtype(before)

    def meet(self, batch: Tensor, batch_idx: int) -> bool:
        """Wait until the step has been taken; return False if this replica is to take it by itself."""
        self.waiting, self.batch = (self.model.current_epoch, batch_idx), batch
        self.back.release()
        self.turn.acquire()
        self.waiting = self.batch = None
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome


class Lockstep:
    """Trains replicas together: steps of the same batch of the same epoch are one step in batched matrix products.

    Everything else, such as callbacks and checkpoints, is done by each training in turn. Where they stand at different
    batches, those behind catch up with the others first. One that ends, however it does, stops no other. A
    signal to stop ends all of them after the current batch.

    Args:
        report: called at once with a training that ended in an error.
    """

    def __init__(self, report: Callable[[Member], None]) -> None:
        self.report = report
        self.members: list[Member] = []
        self.group: list[Member] = []
        self.replicas: Replicas | None = None
        self.stopped_by: int | None = None

    def run(self, members: Sequence[Member]) -> None:
        """Train until all have ended."""
        self.members = ready = list(members)
        for member in ready:
            member.start()
        with self._signals():
            while ready:
                for member in ready:
                    member.proceed()
                    if member.error is not None:
                        self.report(member)
                waiting = [member for member in self.members if member.waiting is not None]
                ready = self._step(waiting) if waiting else []

    def _step(self, waiting: Sequence[Member]) -> list[Member]:
        """Take the next step of those furthest behind, and return them."""
        position = min(member.waiting for member in waiting)
        group = [member for member in waiting if member.waiting == position]
        try:
            if self.stopped_by is not None:
                raise SIGTERMException
            if group != self.group:
                self._regroup(group)
            if self.replicas is None:
                group[0].outcome = False
                return group
            with group[0].model.trainer.precision_plugin.train_step_context():
                self.replicas.training_step([member.batch for member in group], position[1])
            for member in group:
                member.outcome = True
        except (Exception, SIGTERMException) as error:  # it ends the trainings, each of which cleans up
            for member in group:
                member.outcome = error
        return group

    def _regroup(self, group: Sequence[Member]) -> None:
        if self.replicas is not None:
            self.replicas.release()
        self.group, self.replicas = list(group), None
        if len(group) > 1:
            if group[0].model.device.type == "cuda":
                torch.cuda.set_device(group[0].model.device)
            self.replicas = Replicas([member.model for member in group])

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """End the trainings in good order at the first signal, and the process at the second."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        before = {number: handler for number, handler in before.items() if handler != signal.SIG_IGN}

        def stop(number: int, _: Any) -> None:
            self.stopped_by = number
            for member in self.members:
                if member.model._trainer is not None:
                    member.model._trainer._signal_connector.received_sigterm = True
            restore()

        def restore() -> None:
            for number, handler in before.items():
                signal.signal(number, handler)

        for number in before:
            signal.signal(number, stop)
        try:
            yield
        finally:
            restore()
