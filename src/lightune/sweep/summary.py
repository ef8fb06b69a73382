"""A study as one more run in its group of Weights & Biases, beside the runs of its trials."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna

from lightune.report import show
from lightune.report.wandb import is_offline
from lightune.sweep.results import PICTURE, REPORT, trial_table
from lightune.sweep.shown import names
from lightune.sweep.study import is_good


def log_study(study: optuna.Study, folder: Path, options: Mapping[str, Any]) -> None:
    """Log the table of all trials, the best values, the picture and the report; a failure is said, and no more.

    Args:
        study: With its trials.
        folder: Of the study, with its report.
        options: What the configuration of the logger says: ``project``, ``entity``, ``offline``, ``tags``.
    """
    try:
        import wandb

        with wandb.init(
            project=options.get("project"),
            entity=options.get("entity"),
            tags=options.get("tags"),
            group=study.study_name,
            name="summary",
            id=f"{study.study_name}-summary".replace("/", "-"),  # one, however often the study goes on
            resume="allow",
            job_type="study",
            dir=folder,
            mode="offline" if is_offline(options.get("offline")) else "online",
        ) as run:
            columns, rows = trial_table(study)
            run.log({"trials": wandb.Table(columns=[*columns], data=[[*map(str, row)] for row in rows])})
            if (folder / PICTURE).is_file():
                run.log({"study": wandb.Image(str(folder / PICTURE))})
            if (folder / REPORT).is_file():
                run.save(str(folder / REPORT), base_path=str(folder), policy="now")
            run.summary.update(summary(study))
    except Exception as error:  # of the library, a server or a disk: the study's results are written
        show.note(f"W&B: the study was not recorded ({type(error).__name__}: {error})")


def summary(study: optuna.Study) -> dict[str, Any]:
    """Return how many trials ended how, the best values, and where they were found."""
    found: dict[str, Any] = {f"trials/{k}": n for k, n in Counter(t.state.name.lower() for t in study.trials).items()}
    if len(study.directions) > 1 or not any(map(is_good, study.trials)):
        return found
    best = study.best_trial
    found |= {f"best/{names(study)[0]}": best.value, "best/trial": best.number}
    return found | {f"best/{key}": value for key, value in best.params.items()}
