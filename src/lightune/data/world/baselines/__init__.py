"""What can be scored on the built-in corpus without understanding it.

    python -m lightune.data.world.baselines

One module a task: ``MEASURE`` is the name and the function of its score, ``BASELINES`` are functions that take the
training rows and the rows to predict, and return one prediction per row.
"""

from importlib import import_module

from lightune.data.world import generate, tasks


def measure(task: str, seed: int = 0) -> dict[str, float]:
    """Score every baseline of a task on its test split.

    Args:
        task: Name of the task.
        seed: Seed of the corpus.

    Returns:
        Score between 0 and 1 by the name of the baseline.
    """
    data, room = generate(task, seed), import_module(f"{__name__}.{task}")
    _, score = room.MEASURE
    return {run.__name__: score(run(data["train"], data["test"]), data["test"]) for run in room.BASELINES}


def table(seed: int = 0) -> str:
    """Return a Markdown table of all baselines."""
    lines = ["| task | measure | baseline | test |", "|---|---|---|---:|"]
    for task in tasks():
        name, _ = import_module(f"{__name__}.{task}").MEASURE
        lines += [f"| {task} | {name} | `{run}` | {score:.3f} |" for run, score in measure(task, seed).items()]
    return "\n".join(lines) + "\n"
