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


# Tasks of one text or two, which encoders and decoders have a head for; and those of language models.
TASKS = ("qa", "qa_v2", "classification", "multilabel", "regression", "embedding", "ner", "choice")
TINY = ("tiny", "tiny-decoder")
# A vocabulary's logits are most of the work of a tiny language model.
FEW = "data.limit.train=3"
SHORT = ("task.max_target_length=32", "data.max_length=64", FEW)
LANGUAGE = {
    "clm": (("tiny-decoder",), ("data.limit.train=1",)),  # a document is many rows
    "mlm": (("tiny",), (FEW,)),
    "prefix_lm": (("tiny-decoder", "tiny-seq2seq"), SHORT),
    "summarization": (("tiny-decoder", "tiny-seq2seq"), SHORT),
    "instruct": (("tiny-decoder",), SHORT),
    "translation": (("tiny-decoder", "tiny-seq2seq"), SHORT),
}
METHODS = ("full", "lora")

# Without training the tokens of a tiny backbone look alike; spread out they are something to learn from.
SPREAD = ("+model.config.initializer_range=0.2",)

ROWS = (
    *(Row(*names, SPREAD) for names in product(TASKS, TINY, METHODS)),
    *(
        # T5 spreads its tokens out by itself.
        Row(task, model, peft, (*(() if "seq2seq" in model else (*SPREAD, "optimizer.lr=1e-2")), *extra))
        for task, (models, extra) in LANGUAGE.items()
        for model, peft in product(models, METHODS)
    ),
    # A pretrained backbone: what is frozen comes from files, and a checkpoint holds only what was trained.
    Row("ner", "minilm", "lora", ("data.max_length=32",)),
)
