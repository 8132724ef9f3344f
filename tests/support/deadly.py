import os
import time

import numpy as np
from ase.calculators.calculator import Calculator, all_changes


class DeadlyCalculator(Calculator):
    """An ASE calculator that ends its process the second time it is asked."""

    implemented_properties = ("energy", "forces")
    calls = 0

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        DeadlyCalculator.calls += 1
        if DeadlyCalculator.calls > 1:
            os._exit(3)
        self.results = {"energy": 0.0, "forces": np.zeros((len(atoms), 3))}


class PickyCalculator(Calculator):
    """An ASE calculator that one structure kills wherever it is computed: the one whose first atom is beyond 0.5 A."""

    implemented_properties = ("energy", "forces")

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        if atoms.positions[0, 0] > 0.5:
            os._exit(3)
        time.sleep(0.1)  # results that end in the same moment may be lost with the other workers
        self.results = {"energy": 1.0, "forces": np.zeros((len(atoms), 3))}


class MoodyCalculator(Calculator):
    """An ASE calculator that cannot do structures whose first atom is moved."""

    implemented_properties = ("energy", "forces")

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        if atoms.positions[0, 0] > 0.5:
            raise RuntimeError("not converged")
        self.results = {"energy": 1.0, "forces": np.zeros((len(atoms), 3))}


class BrokenCalculator(Calculator):
    """An ASE calculator with a mistake, which shows after the first structure."""

    implemented_properties = ("energy", "forces")
    calls = 0

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        BrokenCalculator.calls += 1
        self.results = {"energy": 1.0, "forces": np.ones((len(atoms), 3))}
        if BrokenCalculator.calls > 20:
            raise TypeError("no such unit")
