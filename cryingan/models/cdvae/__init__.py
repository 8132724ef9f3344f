"""CDVAE: a variational autoencoder whose decoder removes noise from coordinates."""
