"""A backbone: where its files are, and how configuration, tokenizer and weights are read from them."""

import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
import transformers
from huggingface_hub.errors import StrictDataclassError
from tokenizers import AddedToken, normalizers
from transformers import AutoConfig, AutoTokenizer, PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from lightune.errors import ConfigError, nearest
from lightune.models.architecture import class_options, head_parameters, none_loaded
from lightune.models.embeddings import make_room
from lightune.models.gguf import converted
from lightune.models.pairs import paired
from lightune.models.quantization import loading_options, settle

_GENERATION_KEYS = ("decoder_start_token_id", "forced_eos_token_id")  # read from a configuration, but no default of it
_CAUSAL_PREFIXES = ("model", "transformer")  # what language models call their backbone


@dataclass(frozen=True)
class Backbone:
    """A pretrained model by name, folder, or installed package.

    Args:
        path: Name on the Hugging Face Hub, or a local folder.
        architecture: ``encoder``, ``decoder`` or ``encoder-decoder``; None reads it from the model's configuration.
        biases: Whether linear layers have biases; None where that is not known before the model is.
        package: Installed package that carries the weights; used instead of `path` where it is installed.
        folder: Where the weights lie in that package.
        gguf_file: GGUF file in that folder; it is converted once.
        paired: Whether this encoder's weights start both sides of an encoder-decoder; it is put together once.
        config: Changes to the model's configuration; a ``model_type`` in it starts a new configuration.
        pretrained: Whether weights are loaded; else they are random.
        new_tokens: Special tokens that the tokenizer is to know besides, such as ``<entity>``; the embeddings get a row
            for each, which begins as the mean of the others.
        lr: Learning rate that suits this model by method, such as ``full``; read by the methods' configuration.
        gradient_checkpointing: Whether layers are computed again for the backward pass, which takes less memory.
        compile: Whether ``torch.compile`` makes faster code of the model, which takes minutes at the start.
        trust_remote_code: Whether code from the Hub may run.
        cache: Folder for converted files.
        learnt: A tokenizer that takes the place of the backbone's own; the embeddings then start anew.
        quantization: How transformers is to quantise the weights of linear layers; None: not at all.
    """

    path: str
    architecture: str | None = None
    biases: bool | None = None
    package: str | None = None
    folder: str | None = None
    gguf_file: str | None = None
    paired: bool = False
    config: Mapping[str, Any] = field(default_factory=dict)
    pretrained: bool = True
    new_tokens: Sequence[str] = ()
    lr: Mapping[str, float] = field(default_factory=dict)
    gradient_checkpointing: bool = False
    compile: bool = False
    trust_remote_code: bool = False
    cache: Path = Path("~/.cache/lightune")
    learnt: PreTrainedTokenizerBase | None = None
    quantization: Any = None

    @cached_property
    def location(self) -> str:
        """The folder that is read, or the Hub name where no package carries the weights."""
        folder = self._package_folder()
        if folder is not None and self.gguf_file:
            return str(converted(folder / self.gguf_file, self.cache.expanduser()))
        place = self.path if folder is None else str(folder)
        return str(paired(place, self.cache.expanduser())) if self.paired else place

    def _package_folder(self) -> Path | None:
        spec = importlib.util.find_spec(self.package) if self.package else None
        if spec is None or not spec.submodule_search_locations:
            return None
        folder = Path(spec.submodule_search_locations[0]) / (self.folder or ".")
        return folder if folder.is_dir() else None

    def read_config(self, **changes: Any) -> PretrainedConfig:
        """Return the model's configuration with this backbone's and the caller's changes.

        Args:
            **changes: What the task's head needs, such as ``num_labels``.

        Raises:
            ConfigError: No such model, or a key of ``model.config`` that its configuration does not have.
        """
        own = dict(self.config)
        if "model_type" in own:
            return self._new_config(own, changes)
        config = _reading(self.path, AutoConfig, self.location, trust_remote_code=self.trust_remote_code)
        _refuse_unknown(own, config)
        with _refusing_values():
            for key, value in {**own, **changes}.items():
                setattr(config, key, value)
        if self.learnt is not None:
            self._renumber(config)
        if config.pad_token_id is None:
            config.pad_token_id = self.tokenizer().pad_token_id
        return config

    def _renumber(self, config: PretrainedConfig) -> None:
        """Give a configuration the size of the new vocabulary, and the new numbers of its special tokens."""
        if not hasattr(config, "vocab_size"):
            raise ConfigError(
                f"tokenizer=train: {config.model_type} models have a vocabulary on either side", "type tokenizer=own"
            )
        own, new = replace(self, learnt=None).tokenizer(), self.tokenizer()
        config.vocab_size = len(new)
        for key, number in config.to_dict().items():
            if key.endswith("_token_id") and isinstance(number, int):
                setattr(config, key, new.get_vocab().get(str(own.convert_ids_to_tokens(number))))

    def _new_config(self, own: Mapping[str, Any], changes: Mapping[str, Any]) -> PretrainedConfig:
        kind = own["model_type"]
        if kind not in CONFIG_MAPPING:
            raise ConfigError(
                f"model.config.model_type={kind}: transformers has no such models", nearest(kind, CONFIG_MAPPING)
            )
        _refuse_unknown(own, AutoConfig.for_model(kind))
        tokenizer = self.tokenizer()
        ids = {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
        with _refusing_values():
            return AutoConfig.for_model(**{**ids, "bos_token_id": None, "eos_token_id": None, **own, **changes})

    def tokenizer(self, pretokenized: bool = False) -> PreTrainedTokenizerBase:
        """Return the tokenizer; one without a padding token pads with its end-of-text token.

        Args:
            pretokenized: Whether it will be given lists of words.
        """
        tokenizer = self._read_tokenizer() if self.learnt is None else deepcopy(self.learnt)
        if pretokenized and _is_byte_level(tokenizer):
            # Byte-level tokenizers mark a word by the space before it, and a word of a list has none. Some classes
            # build their parts anew from the option, others ignore it and keep what their file says.
            tokenizer = self._read_tokenizer(add_prefix_space=True) if self.learnt is None else tokenizer
            _put_space_before_words(tokenizer)
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        tokenizer.add_tokens([AddedToken(token, normalized=False) for token in self.new_tokens], special_tokens=True)
        return tokenizer

    def _read_tokenizer(self, **options: Any) -> PreTrainedTokenizerBase:
        options["trust_remote_code"] = self.trust_remote_code
        tokenizer: PreTrainedTokenizerBase = _reading(self.path, AutoTokenizer, self.location, **options)
        return tokenizer

    def new_ids(self) -> list[int]:
        """Return the ids of the new tokens, which no weights know yet."""
        vocabulary = self.tokenizer().get_vocab() if self.new_tokens else {}
        return [vocabulary[token] for token in self.new_tokens]

    def skeleton(self, auto_class: str, config: PretrainedConfig) -> PreTrainedModel:
        """Return the model without memory for its weights, to look at module names before anything is loaded."""
        with torch.device("meta"):
            return self._auto(auto_class, config).from_config(config, **class_options(auto_class, config))

    def load(
        self, auto_class: str, config: PretrainedConfig, device: torch.device | str = "cpu"
    ) -> tuple[PreTrainedModel, frozenset[str]]:
        """Return the model with rows for new tokens, and the names of the parameters that its files did not hold.

        Args:
            auto_class: A transformers auto class, such as ``AutoModelForQuestionAnswering``.
            config: What `read_config` returned.
            device: Where weights are quantised; others are loaded into main memory.

        Returns:
            The model in float32, its quantised layers apart, and its freshly drawn parameters: the head, and whatever
            else is new.

        Raises:
            ConfigError: The files cannot be had, or their weights have other sizes than the configuration says.
        """
        model, fresh = self._made(auto_class, config, device)
        if self.quantization:
            settle(model, fresh)
        if self.new_tokens:
            make_room(model, len(self.tokenizer()), self.new_ids())
        if self.gradient_checkpointing:
            model.activation_checkpointing_enable()
        return model, fresh

    def _made(
        self, auto_class: str, config: PretrainedConfig, device: torch.device | str
    ) -> tuple[PreTrainedModel, frozenset[str]]:
        auto, options = self._auto(auto_class, config), class_options(auto_class, config)
        if not self.pretrained:
            model = auto.from_config(config, **options)
            fresh = {name for name, _ in model.named_parameters()}
            return model, frozenset(fresh & head_parameters(model))
        if self.quantization:
            options |= loading_options(self.quantization, self.skeleton(auto_class, config), device)
        model, info = self._loaded(auto, config, **options)
        if none_loaded(model, info):
            # Some heads call the backbone otherwise than the language model does (Llama's is `transformer` for question
            # answering, `model` elsewhere); transformers then loads nothing, and goes on with random weights.
            mapping = {rf"^{name}\.": f"{model.base_model_prefix}." for name in _CAUSAL_PREFIXES}
            model, info = self._loaded(auto, config, key_mapping=mapping, **options)
            model.config.key_mapping = mapping  # whoever loads an adapter of this model needs it again
        if none_loaded(model, info):
            raise ConfigError(
                f"model.path={self.path}: its files hold none of the weights of a {type(model).__name__}",
                "choose another backbone, or type model.pretrained=false for random weights",
            )
        resized, head = {name for name, *_ in info["mismatched_keys"]}, head_parameters(model)
        anew = self._rows_of_tokens(model) & resized if self.learnt is not None else set()
        if resized - head - anew:
            raise ConfigError(
                f"model.config: the weights of {self.path} have other sizes, first {min(resized - head - anew)}",
                "leave model.config alone, or type model.pretrained=false for random weights",
            )
        # A head that was made for another number of labels starts anew.
        return model, frozenset(info["missing_keys"]) | anew | frozenset(head if resized & head else ())

    def _rows_of_tokens(self, model: PreTrainedModel) -> set[str]:
        """Return the names of the parameters that have a row for each token."""
        size = model.get_input_embeddings().weight.shape[0]  # type: ignore[index]
        return {name for name, parameter in model.named_parameters() if parameter.shape[:1] == (size,)}

    def _loaded(self, auto: Any, config: PretrainedConfig, **options: Any) -> tuple[PreTrainedModel, dict[str, Any]]:
        model, info = _reading(
            self.path,
            auto,
            self.location,
            config=config,
            dtype=torch.float32,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            trust_remote_code=self.trust_remote_code,
            **options,
        )
        return model, info

    def _auto(self, auto_class: str, config: PretrainedConfig) -> Any:
        auto = getattr(transformers, auto_class)
        if type(config) not in auto._model_mapping:
            raise ConfigError(
                f"model={self.path}: transformers has no {auto_class[9:]} for {config.model_type} models",
                "choose another backbone, e.g. model=minilm",
            )
        return auto


def _refuse_unknown(own: Mapping[str, Any], config: PretrainedConfig) -> None:
    for key in own:
        if not hasattr(config, key) and key not in _GENERATION_KEYS:
            raise ConfigError(
                f"model.config.{key}: the configuration of {config.model_type} models has no such key",
                nearest(key, config.to_dict()),
            )


@contextmanager
def _refusing_values() -> Iterator[None]:
    """Turn what a configuration says of a value that it does not take into an error that a user can mend."""
    try:
        yield
    except (TypeError, ValueError, StrictDataclassError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"model.config: {reason}", "give a value of the expected type (3 is no 3.0)") from error


def _is_byte_level(tokenizer: PreTrainedTokenizerBase) -> bool:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    return "ByteLevel(" in str(getattr(backend, "pre_tokenizer", ""))


def _put_space_before_words(tokenizer: Any) -> None:
    backend = tokenizer.backend_tokenizer
    before = backend.normalizer
    if before is None or not before.normalize_str("x").startswith(" "):  # one that was saved so has it already
        backend.normalizer = normalizers.Sequence([normalizers.Prepend(" "), *([before] if before else [])])


def _reading(path: str, reader: Any, location: str, **options: Any) -> Any:
    """Call ``from_pretrained`` and say in one message what to do where the files cannot be had."""
    try:
        return reader.from_pretrained(location, **options)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"model.path={path}: it could not be loaded: {str(error).strip().splitlines()[0]}",
            "check the name and the network, give a local folder (model=auto model.path=<folder>), "
            "or use a backbone that is installed: model=minilm",
        ) from error
