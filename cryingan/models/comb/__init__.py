"""CryinGAN-comb: one discriminator that sees coordinates and distances."""
