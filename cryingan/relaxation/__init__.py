"""Many structures to their minima: in processes, on clusters, across kills."""
