"""Hyperparameters of whatever flag or file: of the right type and a sane size, or one sentence."""
import json

import pytest

from src import models
from src.common.errors import InputError
from src.models import registry

# {type of the default: values that are no hyperparameter of it}
WRONG = {int: [True, 1.5, "5", None, [], 65537, -65537, 10 ** 30, float("nan")],
         float: [True, "0.5", None, {}, float("nan"), float("inf"), 10 ** 400, 1e300],
         bool: [1, 0.0, "true", None], str: [5, None, [], "a\0b", "\udcff", 100000 * "a"]}
CASES = [(model, hparam.name, value) for model in ("Bert", "GatedNetVLAD", "LogisticModel", "MixNeXtVLAD")
         for hparam in registry._MODELS[model].hparams_declared for value in WRONG[type(hparam.default)]]


def test_no_value_of_another_type_or_size_makes_a_model():
    for model, name, value in CASES:
        with pytest.raises(InputError, match="--%s=" % name) as error:
            models.create(model, **{name: value})
        assert len(str(error.value)) < 200 and str(error.value).endswith("."), (model, name, str(error.value))
    assert len(CASES) > 200


@pytest.mark.parametrize("model, name, most", [("Bert", "bert_hidden_layer", 100), ("Bert", "iterations", 3000)])
def test_what_would_take_days_to_build_is_refused(model, name, most):
    models.create(model, **{name: most})
    with pytest.raises(InputError, match="--%s=%d is out of range: give .* from 1 to %d." % (name, most + 1, most)):
        models.create(model, **{name: most + 1})


@pytest.mark.parametrize("model, features, name, value", [
    ("MoeModel", None, "moe_low_rank_gating", -1), ("Bert", None, "bert_dropout_prob", 0.0),
    ("NeXtVLAD", None, "drop_rate", 1 - 1e-9), ("NeXtVLAD", None, "drop_rate", 0), ("Bert", None, "iterations", 1),
    ("GatedNetVLAD", [("rgb", 1024)], "netvlad_cluster_size", 1)])
def test_values_at_a_bound_are_allowed(model, features, name, value):
    assert models.create(model, features, **{name: value}).hparams[name] == value


@pytest.mark.parametrize("name, value", [
    ("intermediate_size", -5), ("intermediate_size", 0), ("intermediate_size", 10 ** 12), ("initializer_range", -0.02),
    ("initializer_range", 1e300), ("max_position_embeddings", 65537), ("max_position_embeddings", -1)])
def test_sizes_of_a_bert_configuration_are_checked(tmp_path, name, value):
    config = {"intermediate_size": 64, "initializer_range": 0.02, "max_position_embeddings": 512, name: value}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="config.json: %s is .*: give a number above 0 and up to " % name):
        models.create("Bert", bert_config_file=str(tmp_path / "config.json"))


@pytest.mark.parametrize("content", [
    "[]", "5", '{"intermediate_size": true, "initializer_range": 0.02, "max_position_embeddings": 5}',
    '{"intermediate_size": 64, "initializer_range": "0.02", "max_position_embeddings": 5}',
    '{"intermediate_size": 64, "initializer_range": 0.02, "max_position_embeddings": null}'])
def test_what_is_no_bert_configuration_is_named(tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(InputError, match="config.json lacks a number for intermediate_size, initializer_range or max"):
        models.create("Bert", bert_config_file=str(tmp_path / "config.json"))
