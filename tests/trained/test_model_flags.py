"""model_flags.json: written by training, adopted by the other programs, contradictions named."""
import json
import shutil

from absl import flags
import pytest

from src import models
from src.common import files
from src.common.errors import InputError
from src.trained import model_flags

DEFINE = {bool: flags.DEFINE_bool, int: flags.DEFINE_integer, float: flags.DEFINE_float,
          str: flags.DEFINE_string}
DEFAULTS = {"model": "LogisticModel", "feature_names": "mean_rgb", "feature_sizes": "1024",
            "frame_features": False, "label_loss": "CrossEntropyLoss", "num_classes": 3862}


def parse(*arguments):
    """A command line's flags."""
    name = next((one[len("--model="):] for one in arguments if one.startswith("--model=")), DEFAULTS["model"])
    parsed, defaults = flags.FlagValues(), dict(DEFAULTS, frame_features=name != "LogisticModel")
    for name in models.names():
        defaults.update(models.create(name).hparams)
    for encoder in ("MixNeXtVLAD", "GatedNetVLAD"):  # whose hyperparameters ContextSegment has, too
        defaults.update(models.create("ContextSegment", context_encoder=encoder, segment_encoder=encoder).hparams)
    for name, default in defaults.items():
        DEFINE[type(default)](name, default, "", flag_values=parsed)
    parsed(["program"] + list(arguments))
    return parsed


def write(folder, content):
    (folder / "model_flags.json").write_text(content if isinstance(content, str) else json.dumps(content))


def read(folder):
    return json.loads((folder / "model_flags.json").read_text())


def record(folder, *arguments):
    """Records the flags of a training that saves a checkpoint."""
    model_flags.record(str(folder), parse(*arguments))
    (folder / "model.ckpt-1.index").write_text("")


def refused(function, folder, *arguments):
    """The sentence that refuses a command line."""
    with pytest.raises(InputError) as raised:
        function(str(folder), parse(*arguments))
    return str(raised.value)


def test_records_the_model_and_its_own_hyperparameters(tmp_path):
    record(tmp_path, "--l2_penalty=1e-5", "--bert_hidden_layer=7")
    assert read(tmp_path) == dict(DEFAULTS, l2_penalty=1e-5)


def test_the_same_flags_may_be_recorded_again(tmp_path):
    for _ in range(2):
        record(tmp_path, "--model=FrameLevelLogisticModel", "--iterations=3")
    assert read(tmp_path)["iterations"] == 3


def test_hyperparameters_are_checked_for_the_features_that_the_flags_name(tmp_path):
    arguments = ["--model=GatedNetVLAD", "--frame_features", "--netvlad_cluster_size=1"]
    record(tmp_path, "--feature_names=rgb", "--feature_sizes=1024", *arguments)
    assert "leaves no cluster to sound" in refused(
        model_flags.record, tmp_path, "--feature_names=rgb,audio", "--feature_sizes=1024,128", *arguments)


def test_training_another_model_is_refused_with_every_difference(tmp_path):
    record(tmp_path, "--model=Bert", "--bert_hidden_layer=2", "--pooling_strategy=attn")
    before = read(tmp_path)
    sentence = refused(model_flags.record, tmp_path, "--model=Bert", "--bert_hidden_layer=3")
    assert "--bert_hidden_layer=3 given, 2 recorded, --pooling_strategy=mean given, attn recorded" in sentence
    assert "--start_new_model" in sentence and "bert_attention_heads" not in sentence
    assert read(tmp_path) == before


def test_training_completes_a_file_without_hyperparameters(tmp_path):
    record(tmp_path)
    write(tmp_path, dict(DEFAULTS, of_another_fork=1))
    record(tmp_path, "--l2_penalty=1e-5")
    assert read(tmp_path) == dict(DEFAULTS, of_another_fork=1, l2_penalty=1e-5)
    record(tmp_path, "--l2_penalty=1e-5")


def test_an_alias_is_the_same_model(tmp_path):
    record(tmp_path, "--model=NetVLADModelLF")
    record(tmp_path, "--model=GatedNetVLAD")
    assert model_flags.adopt(str(tmp_path), parse("--model=GatedNetVLAD"))["model"] == "NetVLADModelLF"
    assert "--model=NeXtVLADModel given" in refused(model_flags.adopt, tmp_path, "--model=NeXtVLADModel")


def test_blanks_in_lists_do_not_matter(tmp_path):
    record(tmp_path, "--feature_names=rgb, audio", "--feature_sizes=1024 ,128")
    assert (read(tmp_path)["feature_names"], read(tmp_path)["feature_sizes"]) == ("rgb,audio", "1024,128")
    write(tmp_path, dict(read(tmp_path), feature_names="rgb , audio"))
    for given in "rgb,audio", " rgb, audio":
        record(tmp_path, "--feature_names=" + given, "--feature_sizes=1024,128")
        assert model_flags.adopt(str(tmp_path), parse("--feature_names=" + given))["feature_names"] == "rgb,audio"
    assert "--feature_names=rgb given" in refused(model_flags.adopt, tmp_path, "--feature_names=rgb")


def test_features_are_identified_by_name(tmp_path):
    record(tmp_path, "--feature_names=audio, rgb", "--feature_sizes=128,1024")
    for given in ["--feature_names=rgb,audio", "--feature_sizes=1024,128"], ["--feature_names=rgb,audio"], []:
        values = model_flags.adopt(str(tmp_path), parse(*given))
        assert (values["feature_names"], values["feature_sizes"]) == ("audio,rgb", "128,1024")
    record(tmp_path, "--feature_names=rgb,audio", "--feature_sizes=1024,128")
    assert model_flags.create_model(values).features == [("audio", 128), ("rgb", 1024)]
    assert "--feature_names=rgb,audio given, audio,rgb recorded; pass" in refused(
        model_flags.record, tmp_path, "--feature_names=rgb,audio", "--feature_sizes=128,1024")


@pytest.mark.parametrize("model, name", [
    ("Bert", "bert_config_file"), ("ContextSegment", "context_bert_config_file"),
    ("ContextSegment", "segment_bert_config_file")])
def test_the_path_of_a_configuration_file_may_change(tmp_path, model, name):
    other = shutil.copy(files.beside_project("bert_config.json"), str(tmp_path / "other.json"))
    record(tmp_path, "--model=" + model, "--%s=bert_config.json" % name)
    record(tmp_path, "--model=" + model, "--%s=%s" % (name, other))
    for arguments, expected in ([], "bert_config.json"), (["--%s=%s" % (name, other)], other):
        assert model_flags.adopt(str(tmp_path), parse(*arguments))[name] == expected


def test_the_flags_of_a_training_that_saved_no_checkpoint_are_replaced(tmp_path):
    model_flags.record(str(tmp_path), parse("--feature_sizes=128"))
    model_flags.record(str(tmp_path), parse("--feature_sizes=1024"))
    assert read(tmp_path)["feature_sizes"] == "1024"


def test_model_flags_may_be_left_out(tmp_path):
    record(tmp_path, "--model=FrameLevelLogisticModel", "--iterations=3", "--frame_features",
           "--feature_names=rgb,audio", "--feature_sizes=1024,128", "--nosample_random_frames")
    values = model_flags.adopt(str(tmp_path), parse())
    assert (values["model"], values["feature_names"], values["frame_features"]) == (
        "FrameLevelLogisticModel", "rgb,audio", True)
    hparams = model_flags.create_model(values).hparams
    assert (hparams["iterations"], hparams["sample_random_frames"]) == (3, False)


def test_model_flags_may_be_repeated(tmp_path):
    record(tmp_path, "--l2_penalty=1e-5")
    assert model_flags.adopt(str(tmp_path), parse("--l2_penalty=0.00001"))["l2_penalty"] == 1e-5


def test_given_flags_that_contradict_are_all_named(tmp_path):
    record(tmp_path, "--l2_penalty=1e-5")
    sentence = refused(model_flags.adopt, tmp_path, "--l2_penalty=1e-8", "--feature_sizes=128")
    assert sentence == ("%s contradicts the command line: --feature_sizes=128 given, 1024 recorded, "
                        "--l2_penalty=1e-08 given, 1e-05 recorded; leave these flags out."
                        % (tmp_path / "model_flags.json"))


def test_hyperparameters_that_an_older_file_lacks_come_from_the_command_line(tmp_path):
    write(tmp_path, dict(DEFAULTS, model="Bert", frame_features=True))
    values = model_flags.adopt(str(tmp_path), parse("--bert_hidden_layer=3"))
    hparams = model_flags.create_model(values).hparams
    assert (hparams["bert_hidden_layer"], hparams["bert_attention_heads"]) == (3, 12)


def test_an_older_file_means_3862_classes(tmp_path):
    write(tmp_path, {name: value for name, value in DEFAULTS.items() if name != "num_classes"})
    (tmp_path / "model.ckpt-1.index").write_text("")
    assert model_flags.adopt(str(tmp_path), parse())["num_classes"] == 3862
    for function in model_flags.record, model_flags.adopt:
        assert "--num_classes=12 given, 3862 recorded" in refused(function, tmp_path, "--num_classes=12")


def test_the_number_of_classes_is_recorded(tmp_path):
    record(tmp_path, "--num_classes=12")
    values = model_flags.adopt(str(tmp_path), parse())
    assert values["num_classes"] == model_flags.create_reader(values).num_classes == 12
    assert "--num_classes=13 given, 12 recorded" in refused(model_flags.adopt, tmp_path, "--num_classes=13")


def test_unknown_entries_are_ignored(tmp_path):
    write(tmp_path, dict(DEFAULTS, of_another_fork=1))
    assert model_flags.create_model(model_flags.adopt(str(tmp_path), parse())).hparams == {"l2_penalty": 1e-8}


@pytest.mark.parametrize("function", [model_flags.record, model_flags.adopt])
@pytest.mark.parametrize("content, sentence", [
    ("{", r"is not valid JSON \(.*\): restore or delete it."),
    (json.dumps(dict(DEFAULTS, model=["Bert"])), r": model is \['Bert'\], not of type str with at most 1000"),
    (json.dumps(dict(DEFAULTS, frame_features=1)), ": frame_features is 1, not of type bool with at most"),
    (json.dumps(dict(DEFAULTS, num_classes=True)), ": num_classes is True, not of type int with at most"),
    (json.dumps(dict(DEFAULTS, num_classes=0)), ": num_classes is 0 and not 1 to 65536: restore it"),
    (json.dumps(dict(DEFAULTS, model="Bert")), ": frame_features is false, which does not fit the model Bert: restore"),
    (json.dumps(dict(DEFAULTS, model="NetVLADModelLF")), ": frame_features is false, which does not fit the model Net"),
    (json.dumps(dict(DEFAULTS, frame_features=True)),
     ": frame_features is true, which does not fit the model LogisticModel: restore it from the training run"),
    (json.dumps(dict(DEFAULTS, feature_sizes="1024,128")),
     ": --feature_names=mean_rgb and --feature_sizes=1024,128 must list as many distinct names as sizes"),
    (json.dumps(dict(DEFAULTS, feature_sizes="-5")), ": --feature_sizes=-5 must hold positive sizes"),
    (json.dumps(dict(DEFAULTS, feature_sizes=5000 * "9")), ": feature_sizes is 9{60}..., not of type str with at most"),
    ("[]", "lacks feature_names, feature_sizes, frame_features, label_loss, model: restore"),
    (json.dumps(dict(DEFAULTS, model=None)).replace("model", "modell"),
     "lacks model: restore it from the training run")])
def test_a_damaged_file_is_refused(tmp_path, function, content, sentence):
    record(tmp_path)
    write(tmp_path, content)
    with pytest.raises(InputError, match="model_flags.json ?" + sentence):
        function(str(tmp_path), parse())


def test_a_folder_without_the_file_was_not_written_by_training(tmp_path):
    assert refused(model_flags.adopt, tmp_path) == (
        "%s/model_flags.json does not exist: --train_dir must be a folder that train.py has written."
        % tmp_path)
