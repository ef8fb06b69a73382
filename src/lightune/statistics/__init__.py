"""Is a difference between runs more than chance? Pure functions of scores, with numpy alone.

Two sources of chance are told apart. ``intervals`` is about seeds: what another training run would give. ``paired`` is
about examples: what another test set would give to the same models.
"""
