"""Dismai-Bench: structures of any origin against a reference, with scores, tables and figures."""
