"""Run commands one after the other in each of several ranks: ``torchrun --nproc-per-node 2 tests/in_ranks.py FILE``.

The file holds a JSON list of ``[script, arguments]``. A command that fails ends the job with what it printed.
"""

import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests import command

for script, arguments in json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")):
    outcome = command.run(script, arguments, Path(tempfile.gettempdir()))
    if outcome.status:
        sys.exit(f"{script} {' '.join(arguments)}\n{outcome.out}\n{outcome.err}")
