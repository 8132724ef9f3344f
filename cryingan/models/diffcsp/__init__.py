"""Score models and flows on a network of pairs of atoms, for a fixed cell and composition."""
