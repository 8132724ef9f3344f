"""Metrics of structures: close pairs, neighbour and radial distributions, angles, energies, bootstrap intervals."""
