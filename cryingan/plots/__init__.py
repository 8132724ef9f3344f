"""Figures from arrays, in one style: readable at the width of a journal's column, and for colour-blind readers.

Every function returns a matplotlib `Figure` without the global state of pyplot.
"""
