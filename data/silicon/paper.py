"""What the Dismai-Bench paper and the literature say of amorphous silicon, to stand beside a set."""

PAPER_MOTIFS = {
    "tetrahedral CN_4": 71.0,
    "trigonal pyramidal CN_4": 12.0,
    "trigonal bipyramidal CN_5": 6.0,
    "rectangular see-saw-like CN_4": 3.0,
    "see-saw-like CN_4": 3.0,
    "trigonal non-coplanar CN_3": 2.4,
}
"""Percent of the atoms of the paper's training set, read off its figures."""
PAPER = {
    "first_peak": "9.7",
    "first_peak_at": "2.35",
    "second_peak": "1.95",
    "second_peak_at": "3.85",
    "minimum": "0.05",
    "bond": "2.35",
    "bond_deviation": "0.047, from the first peak",
    "angle_peak": "1.56",
    "angle_peak_at": "107",
}
"""Of the paper's training set, read off its figures; units as in the table of the page."""
LITERATURE = {
    "density": "2.285, 2 % less than the crystal",
    "four_fold": "above 98 with a GAP cooled at 1e11 K/s (Deringer et al. 2018)",
    "angle_deviation": "9.7 with that GAP",
    "above_diamond": "130 to 170",
    "rings": "diamond: 2 of six, no other",
}
