"""What a structure is, and how it gets in and out of files."""
