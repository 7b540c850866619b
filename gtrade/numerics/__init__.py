"""Mathematics without economics, where lineax, optimistix and jax have none."""
