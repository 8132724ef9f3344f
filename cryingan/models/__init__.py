"""Generative models, a room for each."""
