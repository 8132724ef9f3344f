"""Periodic cells: lattices, distances, neighbours."""
