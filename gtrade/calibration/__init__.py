"""Numbers of a market from its data, and plans that learn them as they go."""
