"""model/: the code on its card loads the model again, and gives the very same logits."""

import contextlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import AutoPeftModelForSequenceClassification, LoraConfig
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, PreTrainedTokenizerBase

from lightune.adapt import Adaptation, Adapter, Full
from lightune.data.loaders import Collate
from lightune.models import Backbone
from lightune.report import model_folder
from lightune.tasks.base import Task
from lightune.tasks.classification import Classification
from lightune.tasks.embedding import Embedding
from lightune.tasks.ner import EntityRecognition
from lightune.tasks.qa import QuestionAnswering
from tests import running
from tests.conftest import MINILM

TASKS: dict[str, Task] = {
    "qa": QuestionAnswering(columns={}),
    "classification": Classification(columns={}, labels=("no", "yes", "perhaps")),
    "ner": EntityRecognition(columns={}, labels=("B-PER", "I-PER", "O")),
    "embedding": Embedding(columns={}, pooling="mean"),
}
METHODS: dict[str, Callable[[], Adaptation]] = {
    "lora": lambda: Adapter(partial(LoraConfig, r=2, lora_alpha=8)),
    "full": Full,
}
METRICS = {"test/f1": 0.98765, "test/loss": 1.5, "val/f1": 0.5, "time/train_s": 60.0}


@dataclass
class Written:
    """A model folder, and the model that it was written from."""

    folder: Path
    model: nn.Module
    tokenizer: PreTrainedTokenizerBase


def write(folder: Path, backbone: Backbone, task: Task, method: str) -> Written:
    """Adapt a model, change everything that is trained, as training would, and write it."""
    torch.manual_seed(3)
    config = backbone.read_config(**task.head_config())
    loaded, fresh = backbone.load(task.auto_class, config)
    model = METHODS[method]().apply(loaded, fresh, task.peft_type, backbone.new_ids()).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.02 * torch.randn_like(parameter))
    tokenizer = backbone.tokenizer(task.pretokenized)
    model_folder.write(folder, model, tokenizer, task, backbone.path, METRICS, pretrained=backbone.pretrained)
    return Written(folder, model, tokenizer)


def logits(model: Any, tokenizer: PreTrainedTokenizerBase) -> Tensor:
    batch = tokenizer(
        ["Who wrote it?", "In 1905"],
        ["Marie Curie wrote it.", "it was <a>Einstein</a>"],
        return_tensors="pt",
        padding=True,
    )
    with torch.no_grad():
        output = model.eval()(**batch)
    if hasattr(output, "last_hidden_state"):  # a model without a head
        return output.last_hidden_state
    return torch.stack([output.start_logits, output.end_logits]) if hasattr(output, "start_logits") else output.logits


def run_card(folder: Path) -> dict[str, Any]:
    """Run the code on a model card, in its folder, and return what it defines."""
    (code,) = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, Any] = {}
    with contextlib.chdir(folder):
        exec(code, names)
    return names


@pytest.fixture(scope="session")
def language_model(tmp_path_factory: pytest.TempPathFactory, tiny_decoder: Backbone) -> Backbone:
    """Return a Llama that was saved with a language-model head, as decoders are."""
    folder = tmp_path_factory.mktemp("llama")
    torch.manual_seed(1)
    AutoModelForCausalLM.from_config(tiny_decoder.read_config()).save_pretrained(folder)
    tiny_decoder.tokenizer().save_pretrained(folder)
    return Backbone(path=str(folder), architecture="decoder")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("kind", ["pretrained encoder", "random encoder", "pretrained decoder", "random decoder"])
def test_the_card_loads_the_same_model(
    kind: str,
    task: str,
    method: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    backbones = {
        "pretrained encoder": "minilm",
        "random encoder": "tiny_encoder",
        "pretrained decoder": "language_model",
        "random decoder": "tiny_decoder",
    }
    written = write(tmp_path / "model", request.getfixturevalue(backbones[kind]), TASKS[task], method)
    loaded = run_card(written.folder)
    expected = logits(written.model, written.tokenizer)
    assert expected.std() > 1e-3  # a model that says the same of everything would prove nothing
    torch.testing.assert_close(logits(loaded["model"], loaded["tokenizer"]), expected, rtol=0, atol=1e-6)
    labels = TASKS[task].head_config().get("id2label")
    assert labels is None or loaded["model"].config.id2label == labels


@pytest.mark.parametrize("method", ["ia3", "vera", "prompt_tuning", "llama_adapter", "shadow"])
def test_the_card_loads_what_was_put_into_a_random_backbone(method: str, tmp_path: Path) -> None:
    typed = ("task=classification", "model=tiny-decoder", f"peft={method}")
    experiment = running.assembled(tmp_path / "run", *typed)
    model, task, tokenizer = experiment.module.model.eval(), experiment.task, experiment.tokenizer
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.2 * torch.randn_like(parameter))
    model_folder.write(tmp_path / "model", model, tokenizer, task, "tiny", METRICS, pretrained=False)
    loaded = run_card(tmp_path / "model")
    expected = logits(model, tokenizer)
    assert expected.std() > 1e-3
    torch.testing.assert_close(logits(loaded["model"], loaded["tokenizer"]), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["minilm", "tiny_encoder", "language_model", "tiny_decoder"])
def test_the_card_knows_new_tokens(kind: str, method: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    backbone = replace(request.getfixturevalue(kind), new_tokens=("<a>", "</a>"))
    written = write(tmp_path / "model", backbone, TASKS["classification"], method)
    loaded = run_card(written.folder)
    assert loaded["tokenizer"].tokenize("<a>it</a>")[::2] == ["<a>", "</a>"]
    expected = logits(written.model, written.tokenizer)
    torch.testing.assert_close(logits(loaded["model"], loaded["tokenizer"]), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_the_card_shows_how_vectors_are_had(method: str, minilm: Backbone, tmp_path: Path) -> None:
    written = write(tmp_path / "model", minilm, TASKS["embedding"], method)
    names = run_card(written.folder)
    rows: dict[str, list[Any]] = {"text": ["A sentence."], "text_pair": ["Another one."], "example": [0]}
    encoded = TASKS["embedding"].encode(rows, written.tokenizer, 64)
    batch = Collate({"input_ids": 0, "token_type_ids": 0, "key": -1})(
        [{name: values[0] for name, values in encoded.items() if name not in ("truncated", "length")}]
    )
    with torch.no_grad():
        expected = torch.cat(TASKS["embedding"].step(written.model, batch).logits)
    torch.testing.assert_close(names["vectors"], expected, rtol=0, atol=1e-5)
    assert names["model"].get_base_model().pooler is None if method == "lora" else names["model"].pooler is None


def test_the_backbone_of_a_question_answering_llama_is_found(language_model: Backbone, tmp_path: Path) -> None:
    written = write(tmp_path / "model", language_model, TASKS["qa"], "lora")
    card = (written.folder / "README.md").read_text(encoding="utf-8")
    assert "key_mapping=config.key_mapping" in card  # without it transformers goes on with random weights
    model = run_card(written.folder)["model"]
    kept = AutoModelForCausalLM.from_pretrained(language_model.path).model.embed_tokens.weight
    assert torch.equal(model.get_base_model().transformer.embed_tokens.weight, kept)


def test_an_adapter_of_a_pretrained_backbone_is_small(minilm: Backbone, tmp_path: Path) -> None:
    written = write(tmp_path / "model", minilm, TASKS["classification"], "lora")
    size = sum(file.stat().st_size for file in written.folder.rglob("*.safetensors"))
    trained = sum(p.numel() for p in written.model.parameters() if p.requires_grad)
    assert size < 4.2 * trained  # four bytes a number, and a header
    assert not (written.folder / "backbone").exists()


def test_an_adapter_of_a_random_backbone_brings_it_along(tiny_encoder: Backbone, tmp_path: Path) -> None:
    written = write(tmp_path / "model", tiny_encoder, TASKS["classification"], "lora")
    settings = json.loads((written.folder / "adapter_config.json").read_text(encoding="utf-8"))
    assert settings["base_model_name_or_path"] == str(written.folder / "backbone")
    loaded = AutoPeftModelForSequenceClassification.from_pretrained(written.folder)
    assert torch.equal(logits(loaded, written.tokenizer), logits(written.model, written.tokenizer))
    moved = written.folder.rename(tmp_path / "elsewhere")
    assert torch.equal(logits(run_card(moved)["model"], written.tokenizer), logits(written.model, written.tokenizer))


def test_writing_leaves_the_model_as_it_was(tiny_encoder: Backbone, tmp_path: Path) -> None:
    written = write(tmp_path / "model", tiny_encoder, TASKS["classification"], "lora")
    before = logits(written.model, written.tokenizer)
    model_folder.write(
        tmp_path / "again", written.model, written.tokenizer, TASKS["classification"], "x", METRICS, pretrained=False
    )
    assert torch.equal(logits(written.model, written.tokenizer), before)


def test_a_folder_is_replaced_whole(tiny_encoder: Backbone, tmp_path: Path) -> None:
    write(tmp_path / "model", tiny_encoder, TASKS["classification"], "lora")
    written = write(tmp_path / "model", tiny_encoder, TASKS["classification"], "full")
    assert not (written.folder / "adapter_config.json").exists()
    assert [entry.name for entry in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize(("method", "library"), [("lora", "peft"), ("full", "transformers")])
def test_the_card_says_what_the_model_is(method: str, library: str, minilm: Backbone, tmp_path: Path) -> None:
    written = write(tmp_path / "model", minilm, TASKS["classification"], method)
    card = (written.folder / "README.md").read_text(encoding="utf-8")
    counts = model_folder.parameter_counts(written.model)
    assert f"library_name: {library}\nbase_model: {MINILM['path']}\ntags: [lightune, classification]" in card
    assert f"{counts['trainable']:,} of {counts['total']:,} parameters trained" in card
    assert re.findall(r"^\| (test/\w+) \| ([\d.]+) \|$", card, re.MULTILINE) == [
        ("test/f1", "0.9877"),
        ("test/loss", "1.5000"),
    ]
    assert "val/f1" not in card


def test_a_random_backbone_is_not_said_to_be_the_pretrained_one(tiny_encoder: Backbone, tmp_path: Path) -> None:
    written = write(tmp_path / "model", tiny_encoder, TASKS["classification"], "full")
    assert "base_model:" not in (written.folder / "README.md").read_text(encoding="utf-8")


def test_parameters_are_counted() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    model[0].requires_grad_(False)
    assert model_folder.parameter_counts(model) == {"trainable": 4 * 2 + 2, "total": 3 * 4 + 4 + 4 * 2 + 2}
