"""Precision of a training: the type of its numbers and of its matrix products."""

import torch


def use_precision(name: str, accelerator: str) -> str:
    """Set how float32 matrices are multiplied, and return Lightning's name of the precision.

    Args:
        name: 32-true, where a GPU multiplies in TF32, with 10 bits of mantissa instead of 23; 32-strict, where it does
            not; 64-true; or bf16-mixed, where weights stay in float32 and the products are taken with 7 bits, except
            those with coordinates and distances.
        accelerator: the trainer's; a CPU knows no TF32.
    """
    tf32 = name == "32-true" and accelerator != "cpu"
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    return "32-true" if name == "32-strict" else name
