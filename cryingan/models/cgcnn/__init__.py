"""A CryinGAN whose discriminator is a crystal graph network."""
