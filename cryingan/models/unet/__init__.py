"""UniMat and CrysTens: diffusion of numbers in an image of a structure, by a U-Net."""
