"""A flow from simple structures to those of a set, on the network of DiffCSP."""
