"""The table of rows that generates end-to-end tests: task × backbone × method, and what a row needs besides.

Whoever adds a task, an architecture or a method adds its row here and gets every test of `tests/test_matrix.py`.
"""

from dataclasses import dataclass
from itertools import product


@dataclass(frozen=True)
class Row:
    """One combination.

    Args:
        task: Option of the config group ``task``.
        model: Option of ``model``.
        peft: Option of ``peft``.
        extra: Further overrides.
    """

    task: str
    model: str
    peft: str
    extra: tuple[str, ...] = ()

    @property
    def overrides(self) -> tuple[str, ...]:
        """What is typed."""
        return f"task={self.task}", f"model={self.model}", f"peft={self.peft}", *self.extra

    @property
    def random_backbone(self) -> bool:
        """Whether no files hold the backbone's weights."""
        return self.model.startswith("tiny")

    def __str__(self) -> str:
        """Return the name of the row in a test's name."""
        return "-".join((self.task, self.model, self.peft))


TASKS = ("qa", "classification", "multilabel", "regression", "ner", "choice")
TINY = ("tiny", "tiny-decoder")
METHODS = ("full", "lora")

# Without training the tokens of a tiny backbone look alike; spread out they are something to learn from.
SPREAD = ("+model.config.initializer_range=0.2",)

# A language model's head is as large as its embeddings, and with LoRA it would be trained in full if it were new.
TIED = ("+model.config.tie_word_embeddings=true",)


def extra(task: str, model: str) -> tuple[str, ...]:
    """Return what a tiny backbone needs for a task."""
    return (*SPREAD, *TIED) if (task, model) == ("choice", "tiny-decoder") else SPREAD


ROWS = (
    *(Row(*names, extra(*names[:2])) for names in product(TASKS, TINY, METHODS)),
    # A pretrained backbone: what is frozen comes from files, and a checkpoint holds only what was trained.
    Row("ner", "minilm", "lora", ("data.max_length=32",)),
)
