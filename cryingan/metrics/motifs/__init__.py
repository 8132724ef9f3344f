"""Coordination motifs of atoms: fingerprints, their distances, and distributions of the most likely motif."""
