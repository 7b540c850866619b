"""Figures, drawn on the host: nothing here imports jax or touches global settings."""
