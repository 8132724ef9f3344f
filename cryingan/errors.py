"""Errors that a user can cause; the entry scripts print them as one line without a traceback."""


class CryinGANError(Exception):
    """An input cannot be used; the message is one line that says what would be right.

    Example:
        >>> try:
        ...     cryingan.read_structures("missing.extxyz")
        ... except cryingan.CryinGANError as error:
        ...     print(error)
        missing.extxyz is not there; give a file, a folder or a pattern of structures
    """


class TrainingDiverged(CryinGANError):  # noqa: N818, the word that users search for
    """A loss or a gradient is not finite; the message names it, the epoch and the batch."""


class OtherResultsError(CryinGANError):
    """A folder holds results of other structures, another potential or other settings."""
