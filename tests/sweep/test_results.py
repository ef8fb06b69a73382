"""The best trial as a file that runs again."""

from omegaconf import OmegaConf

from lightune.sweep.results import as_experiment


def test_an_experiment_says_what_was_typed() -> None:
    words = [
        "task=ner",
        "hparams_search=optuna",
        "precision=32",
        "experiment=glue/cola",
        "+peft.config.r=8",
        "optimizer.lr=1e-3",
        "data.limit={train: 40, val: null}",
        "callbacks.best=null",
        "~logger",
        "name='a b'",
        "callbacks=[default,neftune]",
        "run_dir=x",
        "hydra.sweeper.n_trials=3",
    ]
    text = as_experiment(words, {"task", "precision", "experiment", "callbacks", "hparams_search", "logger"})
    assert text.startswith("# @package _global_\n# ")
    assert OmegaConf.to_container(OmegaConf.create(text)) == {
        "defaults": [
            "glue/cola",
            {"override /task": "ner"},
            {"override /precision": 32},
            {"override /callbacks": ["default", "neftune"]},
            "_self_",
        ],
        "peft": {"config": {"r": 8}},
        "optimizer": {"lr": 1e-3},
        "data": {"limit": {"train": 40, "val": None}},
        "callbacks": {"best": None},
        "name": "a b",
    }
