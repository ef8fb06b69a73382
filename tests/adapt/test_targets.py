"""Which modules are fresh, and which ones an adapter attaches to, on models that name their parts differently."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from transformers import PreTrainedModel

from lightune.adapt.targets import fresh_modules, linear_layers, target_modules
from lightune.errors import ConfigError
from lightune.models import Backbone

QA, CLASSES, TAGS, CHOICES, LANGUAGE = (
    f"AutoModelFor{head}"
    for head in ("QuestionAnswering", "SequenceClassification", "TokenClassification", "MultipleChoice", "CausalLM")
)
COMMON = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
CONFIGS: dict[str, dict[str, Any]] = {
    "bert": COMMON,
    "roberta": {"model_type": "roberta", **COMMON},
    "deberta-v2": {"model_type": "deberta-v2", **COMMON},
    "distilbert": {"model_type": "distilbert", "dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64},
    "llama": {"model_type": "llama", "num_key_value_heads": 1, **COMMON},
    "gpt2": {"model_type": "gpt2", "n_embd": 32, "n_layer": 2, "n_head": 2},
}
ENCODER = {"query", "key", "value", "dense"}
DECODER = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
# model, head → the fresh modules, the last names of what is adapted, and how many layers that is: what stands in the
# papers' architectures, counted by hand. Attention has four projections, a block four (six with a gated unit) more.
CASES = [
    ("bert", QA, {"qa_outputs"}, ENCODER, 2 * 6),
    ("bert", CLASSES, {"classifier"}, ENCODER, 2 * 6 + 1),  # and the pooler
    ("bert", TAGS, {"classifier"}, ENCODER, 2 * 6),
    ("roberta", CLASSES, {"classifier"}, ENCODER, 2 * 6),  # its head has a layer called dense, too
    ("deberta-v2", CLASSES, {"pooler", "classifier"}, {"query_proj", "key_proj", "value_proj", "dense"}, 2 * 6),
    (
        "distilbert",
        CLASSES,
        {"pre_classifier", "classifier"},
        {"q_lin", "k_lin", "v_lin", "out_lin", "lin1", "lin2"},
        12,
    ),
    ("llama", QA, {"qa_outputs"}, DECODER, 2 * 7),
    ("llama", CLASSES, {"score"}, DECODER, 2 * 7),
    ("llama", TAGS, {"score"}, DECODER, 2 * 7),
    ("gpt2", CLASSES, {"score"}, {"c_attn", "c_proj", "c_fc"}, 2 * 4),  # layers of transformers' own class
    ("bert", CHOICES, {"classifier"}, ENCODER, 2 * 6 + 1),  # and the pooler
    ("llama", LANGUAGE, {"lm_head"}, DECODER, 2 * 7),
    ("gpt2", LANGUAGE, set(), {"c_attn", "c_proj", "c_fc"}, 2 * 4),  # its head is the embeddings, and no target
]


@pytest.fixture
def load(make_backbone: Callable[..., Backbone]) -> Callable[[str, str], tuple[PreTrainedModel, frozenset[str]]]:
    def made(kind: str, head: str) -> tuple[PreTrainedModel, frozenset[str]]:
        backbone = make_backbone(**CONFIGS[kind])
        return backbone.load(head, backbone.read_config(num_labels=3))

    return made


def _matched(model: nn.Module, names: list[str], head: tuple[str, ...]) -> set[str]:
    """Return what peft would adapt: it compares whole names and ends of names, and passes over what it saves whole."""
    modules = [name for name, _ in model.named_modules()]
    kept = [name for name in modules if not any(name == h or name.startswith(f"{h}.") for h in head)]
    return {name for name in kept for wanted in names if name == wanted or name.endswith(f".{wanted}")}


@pytest.mark.parametrize(("kind", "head", "fresh", "leaves", "count"), CASES)
def test_auto_is_every_linear_layer_but_the_head(
    kind: str, head: str, fresh: set[str], leaves: set[str], count: int, load: Callable[..., Any]
) -> None:
    model, names = load(kind, head)
    modules = fresh_modules(model, names)
    assert set(modules) == fresh
    layers = linear_layers(model, modules)
    assert len(layers) == count
    assert {name.rpartition(".")[2] for name in layers} == leaves
    assert _matched(model, target_modules(model, "auto", modules), modules) == set(layers)


class Net(nn.Module):
    """A backbone whose names invite mistakes: a linear layer's name is another kind of module elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.ModuleDict({"proj": nn.Linear(2, 2), "out_proj": nn.Linear(2, 2), "mix": nn.Linear(2, 2)})
        self.other = nn.ModuleDict({"proj": nn.LayerNorm(2), "inner": nn.ModuleDict({"mix": nn.Linear(2, 2)})})
        self.head = nn.ModuleDict({"mix": nn.Linear(2, 2), "out": nn.Linear(2, 2)})
        self.scale = nn.Parameter(torch.ones(2))
        self.empty = nn.Dropout()


def test_a_short_name_stands_only_for_what_is_meant() -> None:
    net = Net()
    names = target_modules(net, "auto", ("head",))
    # `proj` is a LayerNorm elsewhere and `mix` also lies in the head; `out_proj` is no other module's name.
    assert names == ["body.mix", "body.proj", "other.inner.mix", "out_proj"]
    assert _matched(net, names, ()) == {"body.proj", "body.out_proj", "body.mix", "other.inner.mix"}


def test_fresh_modules_are_the_outermost_that_are_wholly_fresh() -> None:
    net = Net()
    assert fresh_modules(net, {"head.mix.weight", "head.mix.bias", "head.out.weight", "head.out.bias"}) == ("head",)
    assert fresh_modules(net, {"head.mix.weight", "head.mix.bias", "head.out.weight"}) == ("head.mix",)
    assert fresh_modules(net, {"scale", "body.proj.weight"}) == ()
    assert fresh_modules(net, {name for name, _ in net.named_parameters()}) == ("body", "other", "head")
    assert fresh_modules(net, ()) == ()


@pytest.mark.parametrize(
    "wanted", [["query"], "query", ["query", "attention.output.dense"], ["bert.encoder.layer.1.output.dense"]], ids=str
)
def test_named_modules_are_taken_as_they_are(wanted: str | list[str], load: Callable[..., Any]) -> None:
    model, fresh = load("bert", QA)
    names = target_modules(model, wanted, fresh_modules(model, fresh))
    assert names == ([wanted] if isinstance(wanted, str) else wanted)
    assert _matched(model, names, ())


@pytest.mark.parametrize(
    ("kind", "wanted", "remedy"),
    [
        ("bert", ["query", "vlaue"], "did you mean 'value'?"),
        ("bert", "q_proj", "peft.target_modules=auto for all of: dense, key, query, value"),
        ("bert", ["uery"], "did you mean 'query'"),  # ends of names count only at a dot
        ("bert", ["classifier"], "peft.target_modules=auto"),  # the head is trained in full anyway
        ("roberta", ["out_proj"], "all of: dense, key, query, value"),  # in the head, and only there
        ("llama", ["query"], "there is: down_proj, gate_proj, k_proj, o_proj, q_proj, up_proj, v_proj"),
        ("llama", "all-linear", "peft.target_modules=auto"),
    ],
)
def test_an_unknown_module_is_named(kind: str, wanted: Any, remedy: str, load: Callable[..., Any]) -> None:
    model, fresh = load(kind, CLASSES)
    with pytest.raises(ConfigError) as caught:
        target_modules(model, wanted, fresh_modules(model, fresh))
    last = wanted if isinstance(wanted, str) else wanted[-1]
    assert caught.value.problem == f"peft.target_modules: no module of the backbone is called '{last}'"
    assert remedy in caught.value.remedy
