"""Training an M3GNet on structures with known energies and forces."""
