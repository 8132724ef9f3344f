"""Order of the Fe-Cr-Ni alloy on its fcc lattice: mapping, clusters, short-range order, formation energy."""
