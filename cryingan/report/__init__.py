"""The results of many runs on one page that needs no network: table, curves, energies and structures that turn."""
