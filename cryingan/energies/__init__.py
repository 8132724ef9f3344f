"""From eV/atom of one potential to the energies of one data set."""
