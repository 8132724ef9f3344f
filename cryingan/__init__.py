"""CryinGAN: a Wasserstein GAN that generates disordered crystal structures."""

__version__ = "0.1.0"
