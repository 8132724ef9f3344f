"""The benchmarks of Dismai-Bench: interface, amorphous silicon and alloy."""
