"""What may not be combined: the borders of each rule, and what has to pass."""

import warnings
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from lightune import machine
from lightune.check import architecture_error, check, check_multirun
from lightune.errors import ConfigError
from lightune.keys import KEYS, referred
from tests.command import ROOT, composed

BIG = 2**32
# key, values that pass, values that do not
NUMBERS: list[tuple[str, list[Any], list[Any]]] = [
    ("seed", [0, 42, BIG - 1], [-1, BIG, 1.5, "x", None, True]),
    ("data.batch_size", [1, 64], [0, -1, 1.0, "many", None, True]),
    ("data.eval_batch_size", [1, 64], [0, None]),
    ("data.max_length", [8, 512], [7, 0, "long"]),
    ("data.num_workers", [0, 4], [-1, None]),
    ("data.tokens_per_batch", [None, 1, 4096], [0, -1, 10.5]),
    ("data.balanced", [True, False], [1, "yes", None]),
    ("data.pad_to_multiple_of", [None, 8], [0, 1.5]),
    ("data.limit.train", [None, 1, 1000], [0, -5, 0.5, "all"]),
    ("optimizer.lr", [1e-9, 1, 0.1], [0, -1e-4, "1e-4 ", None]),
    ("optimizer.head_lr", [None, 1e-3, "10x", "0.5x"], [0, -1, "x", "0x", "0.0x", "-2x", "10 x", "ten"]),
    ("optimizer.weight_decay", [0, 0.01], [-0.01, "no"]),
    ("trainer.accumulate_grad_batches", [1, 8], [0, 0.5]),
    ("trainer.max_epochs", [0, 1, 10], [-2, 1.5]),
    ("trainer.max_steps", [-1, 1, 1000], [0, -2]),
    ("trainer.gradient_clip_val", [None, 0, 1.0], [-1, "norm"]),
    ("scheduler.warmup", [0, 0.0, 0.1, 0.999, 1, 100], [-1, -0.1, 1.0, 1.5, "10%", None]),
]


@cache
def defaults() -> DictConfig:
    return composed()


def changed(key: str, value: object) -> DictConfig:
    cfg = defaults().copy()
    OmegaConf.update(cfg, key, value, merge=False)
    return cfg


VALID = [(key, value) for key, valid, _ in NUMBERS for value in valid]
INVALID = [(key, value) for key, _, invalid in NUMBERS for value in invalid]


@pytest.mark.parametrize(("key", "value"), VALID)
def test_numbers_that_make_sense_pass(key: str, value: object) -> None:
    check(changed(key, value))


@pytest.mark.parametrize(("key", "value"), INVALID)
def test_numbers_that_make_none_are_refused_with_one_that_does(key: str, value: object) -> None:
    with pytest.raises(ConfigError) as caught:
        check(changed(key, value))
    assert caught.value.problem.startswith(f"{key}={value}: expected ")
    example = OmegaConf.create(caught.value.remedy.removeprefix(f"type for instance {key}=").join(("x: ", "")))
    check(changed(key, example.x))


@pytest.mark.parametrize(
    ("shares", "passes"),
    [
        ({"train": 0.8, "val": 0.1, "test": 0.1}, True),
        ({"train": 1 / 3, "val": 1 / 3, "test": 1 / 3}, True),
        ({"train": 0.8, "val": 0.2, "test": 0.0}, False),
        ({"train": 0.8, "val": 0.2}, False),
        ({"train": 0.8, "val": 0.1, "test": "rest"}, False),
        ({"train": 1.2, "val": -0.1, "test": -0.1}, False),
        ({"train": 8, "val": 1, "test": 1}, False),
    ],
)
def test_shares_of_a_cut_are_positive_and_sum_to_one(shares: dict[str, object], passes: bool) -> None:
    cfg = changed("data.split", shares)
    if passes:
        check(cfg)
    else:
        with pytest.raises(ConfigError, match="must each be above 0 and sum to 1"):
            check(cfg)


@pytest.mark.parametrize(
    ("epochs", "steps", "ends"), [(3, -1, True), (-1, 100, True), (None, 100, True), (-1, -1, False), (None, -1, False)]
)
def test_a_run_has_an_end(epochs: int | None, steps: int, ends: bool) -> None:
    cfg = composed(f"trainer.max_epochs={'null' if epochs is None else epochs}", f"trainer.max_steps={steps}")
    if ends:
        check(cfg)
    else:
        with pytest.raises(ConfigError, match="training would never end"):
            check(cfg)


@pytest.mark.parametrize(("balanced", "tokens", "passes"), [(True, None, True), (False, 500, True), (True, 500, False)])
def test_a_budget_of_tokens_cannot_be_balanced(balanced: bool, tokens: int | None, passes: bool) -> None:
    cfg = changed("data.balanced", balanced)
    cfg.data.tokens_per_batch = tokens
    if passes:
        check(cfg)
    else:
        with pytest.raises(ConfigError, match=r"data\.balanced=true does not go with data\.tokens_per_batch"):
            check(cfg)


MIX = ("data=mix", "data.parts={news: a.csv, web: b.csv}")


@pytest.mark.parametrize(
    ("typed", "says", "remedy"),
    [
        ([*MIX], None, ""),
        ([*MIX, "data.weights={news: 1, web: 2.5}"], None, ""),
        ([*MIX, "data.weights={news: 1, wbe: 2}"], r"data\.weights\.wbe: data\.parts has no such part", "'web'"),
        ([*MIX, "data.weights={news: 1}"], "part web has no weight", "+data.weights.web=1"),
        (
            [*MIX, "data.weights={news: 1, web: 0}"],
            r"data\.weights\.web=0: expected a number above 0",
            "news: 1, web: 1",
        ),
        ([*MIX, "data.weights=equal"], r"data\.weights=equal: expected a number for each part", "news: 1, web: 1"),
        ([*MIX, "data.weights={news: 1, web: 1}", "data.balanced=true"], "does not go with data.balanced", "=false"),
        ([*MIX, "data.weights={news: 1, web: 1}", "data.tokens_per_batch=99"], "does not go with data.tokens", "=null"),
        (["data.filter={question: {max_words: 20}}"], None, ""),
        (["data.filter={question: {max_word: 20}}"], "there is no such condition", "'max_words'"),
        (["data.filter=question"], r"data\.filter=question: expected columns", "lang: en"),
        (["data.augment={swap: 0.2}"], None, ""),
        (["data.augment={swop: 0.2}"], r"data\.augment\.swop: there is no such setting", "'swap'"),
        (["data.sample.train=0.5", "data.sample.val=100"], None, ""),
        (["data.sample.train=1.5"], r"data\.sample\.train=1\.5: expected null, a share below 1", "=0.1"),
    ],
)
def test_how_rows_are_chosen_is_looked_at_first(typed: list[str], says: str | None, remedy: str) -> None:
    cfg = composed(*typed)
    if says is None:
        check(cfg)
    else:
        with pytest.raises(ConfigError, match=says) as caught:
            check(cfg)
        assert remedy in caught.value.remedy


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("train.csv", "test.csv"):
        (tmp_path / name).write_text("text,label\n", encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    "named",
    [
        ["data.train=train.csv"],
        ["data.train=[train.csv,test.csv]"],
        ["data.train=train-*.csv"],  # a pattern is looked up when it is read
        ["data.source.train=train.csv"],
    ],
)
def test_files_that_are_there_pass(named: list[str], files: Path) -> None:
    check(composed("data=files", *named))


@pytest.mark.parametrize(
    ("named", "says"),
    [
        (["data.train=trian.csv"], "data.train=trian.csv: there is no such file\n  → in ./, did you mean 'train.csv'"),
        (["data.train=[train.csv,no.csv]"], "data.train=no.csv"),
        (["data.train=train.csv", "data.test=no.csv"], "data.test=no.csv"),
        (["data.train=no/train.csv"], "data.train=no/train.csv"),
        ([], "data.train: no training file was named\n  → type data.train=<file>"),
    ],
)
def test_files_that_are_not_there(named: list[str], says: str, files: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        check(composed("data=files", *named))
    assert str(caught.value).startswith(says)


@pytest.mark.parametrize(
    ("named", "passes"),
    [
        (["data.train=gone.csv", "data.test=test.csv"], True),  # its own file is all that an evaluation reads
        (["data.train=gone.csv"], False),  # the test split would be cut from it
        (["data.train=gone.csv", "data.val=test.csv", "split=val"], True),
        (["data.val=test.csv", "split=train"], True),
        ([], False),
    ],
)
def test_an_evaluation_needs_the_files_of_its_split(named: list[str], passes: bool, files: Path) -> None:
    cfg = composed("checkpoint=some.ckpt", "data=files", *named, config="eval")
    if passes:
        check(cfg)
    else:
        with pytest.raises(ConfigError, match=r"data\.t"):
            check(cfg)


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_every_split_can_be_evaluated(split: str) -> None:
    check(composed("checkpoint=some.ckpt", f"split={split}", config="eval"))


@pytest.mark.parametrize("task", ["qa", "classification", "regression", "ner"])
@pytest.mark.parametrize(("model", "passes"), [("minilm", True), ("smollm2", True), ("t5-small", False)])
def test_heads_exist_for_encoders_and_decoders(task: str, model: str, passes: bool) -> None:
    cfg = composed(f"task={task}", f"model={model}")
    if passes:
        check(cfg)
    else:
        with pytest.raises(ConfigError, match=f"task={task} does not work on an encoder-decoder model"):
            check(cfg)


def test_an_architecture_that_is_not_known_yet_is_left_to_the_models_files() -> None:
    assert architecture_error("qa", ("encoder",), None) is None
    check(composed("model=auto", "model.path=anything"))


def test_a_task_of_ones_own_is_not_restricted() -> None:
    check(composed("model=t5-small", "~task.architectures"))


@pytest.mark.parametrize("gpu", [False, True])
@pytest.mark.parametrize(
    "choice", ["trainer=gpu", "precision=16-mixed", "trainer.precision=16-true", "optimizer=paged_adamw_8bit"]
)
def test_what_needs_a_gpu(choice: str, gpu: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "has_gpu", lambda: gpu)
    if gpu:
        check(composed(choice))
    else:
        with pytest.raises(ConfigError, match="GPU"):
            check(composed(choice))


def test_float16_on_the_cpu_of_a_machine_with_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "has_gpu", lambda: True)
    with pytest.raises(ConfigError, match="this run uses the CPU"):
        check(composed("precision=16-mixed", "trainer=cpu"))


@pytest.mark.parametrize(("native", "gpu", "warns"), [(False, False, True), (True, False, False), (False, True, False)])
def test_bfloat16_that_a_cpu_only_emulates_is_warned_of(
    native: bool, gpu: bool, warns: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "cpu_has_bf16", lambda: native)
    monkeypatch.setattr(machine, "has_gpu", lambda: gpu)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check(composed("precision=bf16-mixed"))
    assert [("emulates bfloat16" in str(warning.message)) for warning in caught] == [True] * warns


@pytest.mark.parametrize(
    ("strategy", "passes"),
    [
        ("ddp", False),
        ("fsdp", False),
        ("deepspeed_stage_2", False),
        ("ddp_spawn", True),
        ("ddp_fork", True),
        ("auto", True),
    ],
)
def test_a_multirun_starts_no_ranks_that_would_start_it_again(strategy: str, passes: bool) -> None:
    cfg = composed(f"trainer.strategy={strategy}")
    check(cfg)  # a run of its own may
    if passes:
        check(cfg, multirun=True)
        check_multirun(cfg)
    else:
        with pytest.raises(ConfigError, match="-m with DDP"):
            check(cfg, multirun=True)


@pytest.mark.parametrize("place", KEYS)
def test_a_key_that_nothing_reads_is_refused_at_every_place(place: str) -> None:
    prefix = f"{place}." if place else ""
    with pytest.raises(ConfigError, match=f"{prefix}sede: nothing reads a key of that name"):
        check(composed(f"+{prefix}sede=3"))


def test_a_key_that_an_interpolation_reads_is_no_mistake(files: Path) -> None:
    check(composed("data=files", f"+data.root={files}", "data.train=${data.root}/train.csv"))
    check(composed("data=files", f"+paths.mine={files}", "data.train=${paths.mine}/train.csv"))


def test_a_whole_place_cannot_be_replaced_by_a_value() -> None:
    with pytest.raises(ConfigError, match=r"data\.limit=50: expected named values"):
        check(composed("data.limit=50"))


@pytest.mark.parametrize("key", ["data.path", "model.path"])
def test_mandatory_values_are_asked_for(key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check(composed("data=hub" if key == "data.path" else "model=auto"))
    assert str(caught.value) == f"{key}: a value is needed\n  → type {key}=…"


@pytest.mark.parametrize(
    ("node", "places"),
    [
        ("plain text, a.b", set()),
        ("${a.b}", {"a.b"}),
        ({"x": [{"y": "in ${a.b}/c and ${d}"}, 3, None]}, {"in", "a.b", "c", "and", "d"}),
        ("${mode:${task.monitor}}", {"mode", "task.monitor"}),
        ("${oc.select:data.epochs.${task.name},3}", {"oc.select", "data.epochs", "task.name", "3"}),
    ],
)
def test_interpolations_name_the_places_they_read(node: object, places: set[str]) -> None:
    assert referred(node) == places


@pytest.mark.parametrize(
    ("visible", "devices", "count"),
    [
        (None, ("null", "nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"), 2),
        ("1", ("nvidia0", "nvidia1"), 1),
        ("GPU-5a, GPU-5b", ("nvidia0", "nvidia1", "nvidia2"), 2),
        ("", ("nvidia0",), 0),
        ("-1", ("nvidia0",), 0),
        (None, ("null", "nvidiactl"), 0),
        ("0", ("null",), 0),
        (None, ("dxg",), 1),
    ],
)
def test_gpus_are_what_the_driver_made_files_for_unless_hidden(
    visible: str | None, devices: tuple[str, ...], count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in devices:
        (tmp_path / name).touch()
    monkeypatch.setattr(machine, "_DEVICES", tmp_path)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert machine.gpu_count() == count
    assert machine.has_gpu() is (count > 0)


@pytest.mark.parametrize(
    ("flags", "has"),
    [("sse avx512f avx512_bf16", True), ("amx_bf16 amx_tile", True), ("asimd bf16", True), ("avx2", False)],
)
def test_bfloat16_of_a_cpu_is_told_by_its_flags(flags: str, has: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_text", lambda path, **options: f"flags\t\t: fpu {flags}\n")
    assert machine.cpu_has_bf16.__wrapped__() is has


@pytest.mark.parametrize(
    ("variables", "first"),
    [
        ({}, True),
        ({"LOCAL_RANK": "0", "NODE_RANK": "0"}, True),
        ({"LOCAL_RANK": "1"}, False),
        ({"NODE_RANK": "1"}, False),
    ],
)
def test_one_process_speaks_for_a_run(variables: dict[str, str], first: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOCAL_RANK", "NODE_RANK", "RANK"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert machine.is_first_process() is first


def test_the_data_options_of_every_source_are_known() -> None:
    for file in (ROOT / "conf/data").glob("[!_]*.yaml"):
        needed = ["data.path=x"] if file.stem == "hub" else []
        cfg = composed(f"data={file.stem}", *needed)
        known = KEYS["data"] | set(cfg.data.source)
        assert set(cfg.data) - known == set()


def test_auto_on_several_gpus_is_ddp_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lightune.machine.gpu_count", lambda: 2)
    with pytest.raises(ConfigError, match="-m with DDP"):
        check(composed(), multirun=True)
    check(composed("trainer.devices=1"), multirun=True)
