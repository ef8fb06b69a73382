"""The raw material of the built-in world: names and values written by hand, one table per noun."""
