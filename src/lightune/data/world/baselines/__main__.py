"""Print the table of baselines."""

import sys

from lightune.data.world.baselines import table

sys.stdout.write(table())
