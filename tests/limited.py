"""Train with little more memory than the libraries take: ``python tests/limited.py MIB OVERRIDE…``."""

import resource
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import lightune.run  # what is imported later would count as the run's memory
from tests import command

assert lightune.run
held = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
limit = held + int(sys.argv[1]) * 2**20
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
outcome = command.run("train", sys.argv[2:], Path.cwd())
print(outcome.out)
sys.exit(f"{outcome.err}" if outcome.status else 0)
