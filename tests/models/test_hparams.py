"""A hyperparameter of the wrong type or out of its bounds, from a flag or a file, is refused with one sentence."""
import json

import pytest

from src import models
from src.common.errors import InputError
from src.models import registry

# {type of the default: values of another type or size}
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


@pytest.mark.parametrize("name, hparams, told", [
    ("GatedNetVLAD", dict(netvlad_cluster_size=1),
     "--netvlad_cluster_size=1 leaves no cluster to sound, which has half as many: give at least 2."),
    ("NeXtVLAD", dict(nextvlad_cluster_size=1),
     "--nextvlad_cluster_size=1 leaves no cluster to sound, which has half as many: give at least 2."),
    ("NeXtVLAD", dict(gating_reduction=9, nextvlad_hidden_size=8),
     "--gating_reduction=9 cannot narrow the 8 units of --nextvlad_hidden_size: give at most 8."),
    ("NeXtVLAD", dict(gating_reduction=0), "--gating_reduction=0 is out of range: give a number from 1 to 65536."),
    ("NeXtVLAD", dict(groups=-8), "--groups=-8 is out of range: give a number from 1 to 65536."),
    ("NeXtVLAD", dict(expansion=0), "--expansion=0 is out of range: give a number from 1 to 65536."),
    ("MixNeXtVLAD", dict(mix_number=0), "--mix_number=0 is out of range: give a number from 1 to 100."),
    ("NeXtVLAD", dict(nextvlad_hidden_size=0),
     "--nextvlad_hidden_size=0 is out of range: give a number from 1 to 65536."),
    ("NeXtVLAD", dict(drop_rate=1.0), "--drop_rate=1.0 is out of range: give a number from 0 to below 1."),
    ("NeXtVLAD", dict(iterations=0), "--iterations=0 is out of range: give a number from 1 to 3000."),
    ("NeXtVLAD", dict(moe_num_mixtures=0),
     "--moe_num_mixtures=0 is out of range: give a number from 1 to 65536."),
    ("GatedNetVLAD", dict(netvlad_hidden_size=0),
     "--netvlad_hidden_size=0 is out of range: give a number from 1 to 65536."),
    ("Bert", dict(bert_hidden_layer=0), "--bert_hidden_layer=0 is out of range: give a number from 1 to 100."),
    ("Bert", dict(bert_dropout_prob=-.1),
     "--bert_dropout_prob=-0.1 is out of range: give a number from 0 to below 1."),
    ("BertCross", dict(bert_attention_heads=0),
     "--bert_attention_heads=0 is out of range: give a number from 1 to 65536.")])
def test_sizes_that_leave_nothing_are_explained(name, hparams, told):
    with pytest.raises(InputError) as raised:
        models.create(name, **hparams)
    assert str(raised.value) == told
