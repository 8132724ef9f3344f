"""Energies and forces of structures, from potentials that are verified before they are used."""
