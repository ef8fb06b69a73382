"""New special tokens: one id each, embeddings that begin as the mean of the others, and are learnt by every method."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from peft import LoHaConfig, LoraConfig
from torch import Tensor, nn

from lightune.adapt import Adapter, Full
from lightune.errors import ConfigError
from lightune.models import Backbone
from tests import running

NEW = ("<a>", "</a>")
BACKBONES = ("minilm", "tiny_encoder", "tiny_decoder", "tied_decoder")


@pytest.fixture(scope="session")
def tied_decoder(tiny_decoder: Backbone) -> Backbone:
    """Return a decoder whose head shares the tensor of the embeddings."""
    return replace(tiny_decoder, config={**tiny_decoder.config, "tie_word_embeddings": True})


def _embeddings(model: nn.Module) -> Tensor:
    weight: Tensor = model.get_input_embeddings().weight  # type: ignore[operator]
    return weight.detach()


def _classifier(backbone: Backbone) -> str:
    return "AutoModelForSequenceClassification"


@pytest.mark.parametrize("name", BACKBONES)
def test_a_new_token_is_one_piece_with_a_row_of_its_own(name: str, request: pytest.FixtureRequest) -> None:
    plain: Backbone = request.getfixturevalue(name)
    backbone = replace(plain, new_tokens=NEW)
    tokenizer = backbone.tokenizer()
    first, last = backbone.new_ids()
    assert (first, last) == (len(plain.tokenizer()), len(plain.tokenizer()) + 1)
    ids = tokenizer("It was<a>Einstein</a>.", add_special_tokens=False)["input_ids"]
    assert ids.count(first) == ids.count(last) == 1
    assert str(tokenizer.decode(ids, skip_special_tokens=True)).replace(" ", "") in ("ItwasEinstein.", "itwaseinstein.")

    torch.manual_seed(0)
    old, _ = plain.load("AutoModelForSequenceClassification", plain.read_config())
    torch.manual_seed(0)
    new, _ = backbone.load("AutoModelForSequenceClassification", plain.read_config())
    before, after = _embeddings(old), _embeddings(new)
    assert torch.equal(after[: len(before)], before)
    torch.testing.assert_close(after[[first, last]], before.mean(0).expand(2, -1), rtol=1e-4, atol=1e-6)
    assert new.config.vocab_size == len(after) == len(tokenizer)


@pytest.mark.parametrize("method", ["full", "lora"])
@pytest.mark.parametrize("name", BACKBONES)
def test_their_embeddings_are_trained(name: str, method: str, request: pytest.FixtureRequest) -> None:
    backbone = replace(request.getfixturevalue(name), new_tokens=NEW)
    auto = "AutoModelForCausalLM" if "decoder" in name else "AutoModelForSequenceClassification"
    model, fresh = backbone.load(auto, backbone.read_config())
    way = Full() if method == "full" else Adapter(partial(LoraConfig, r=2))
    kind = "CAUSAL_LM" if "decoder" in name else "SEQ_CLS"
    adapted = way.apply(model, fresh, kind, backbone.new_ids()).train()
    ids = backbone.tokenizer()("It <a>was</a> him.", return_tensors="pt")["input_ids"]
    before = {n: p.detach().clone() for n, p in adapted.named_parameters()}
    labels = ids if "decoder" in name else torch.tensor([1])
    optimizer = torch.optim.SGD([p for p in adapted.parameters() if p.requires_grad], lr=1.0)
    adapted(input_ids=ids, labels=labels).loss.backward()
    optimizer.step()
    changed = {n: p.detach() - before[n] for n, p in adapted.named_parameters() if not torch.equal(p, before[n])}
    if method == "full":
        (delta,) = [change for n, change in changed.items() if "embed" in n and len(change) > 1000]
        assert (delta[backbone.new_ids()].abs().sum(1) > 0).all()
    else:
        (delta,) = [change for n, change in changed.items() if "trainable_tokens_delta" in n]
        assert delta.shape[0] == 2
        assert (delta.abs().sum(1) > 0).all()
        assert not any("embed" in n and "delta" not in n and "lora" not in n for n in changed)


def test_methods_that_cannot_are_refused(minilm: Backbone) -> None:
    backbone = replace(minilm, new_tokens=NEW)
    model, fresh = backbone.load("AutoModelForSequenceClassification", backbone.read_config())
    with pytest.raises(ConfigError, match="cannot train the embeddings of new tokens"):
        Adapter(partial(LoHaConfig, r=2)).apply(model, fresh, "SEQ_CLS", backbone.new_ids())


@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_run_with_new_tokens_is_evaluated_and_resumed(method: str, tmp_path: Path) -> None:
    rows = [{"text": f"<a>word {i}</a> and {'good' if i % 2 else 'bad'}", "label": "ab"[i % 2]} for i in range(60)]
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    typed = (
        "task=classification",
        f"peft={method}",
        "data=files",
        f"data.train={file}",
        'model.new_tokens=["<a>","</a>"]',
    )
    run = running.train(tmp_path / "run", *typed)
    again = running.evaluate(run / "checkpoints" / "best.ckpt", tmp_path / "again")
    assert running.predictions(again) == running.predictions(run)
    running.resume(run, "trainer.max_epochs=3")
