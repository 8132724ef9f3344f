"""A limit on the time of one job."""

from typing import Any

from lightning.pytorch.callbacks import Timer


class TimeLimit(Timer):
    """Stops training after the epoch in which the time runs out; a resumed run has the whole time again.

    Lightning's `max_time` stops within an epoch and counts the time of earlier jobs.

    Args:
        duration: DD:HH:MM:SS.
    """

    def __init__(self, duration: str) -> None:
        super().__init__(duration, interval="epoch", verbose=False)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Ignore the time of earlier jobs."""
