"""Examples derived from the world: one module per task, each with `SIZES` and `examples(world, rng)`."""
