"""Seeded paths: samplers, and estimates that stream over any number of paths."""
