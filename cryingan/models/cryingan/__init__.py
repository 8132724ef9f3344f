"""CryinGAN: networks, losses in closed form, the LightningModule."""
