"""NeXtVLAD and MixNeXtVLAD equal formulas written out in NumPy."""
import numpy as np
import pytest
import tensorflow as tf

from src import models
from src.common.errors import InputError
from src.models import nextvlad
from tests.models.formulas import IMAGE
from tests.models.formulas import RGB
from tests.models.formulas import SMALL
from tests.models.formulas import SOUND
from tests.models.formulas import Statistics
from tests.models.formulas import VOCAB
from tests.models.formulas import assert_moving_variances
from tests.models.formulas import dense
from tests.models.formulas import evaluate
from tests.models.formulas import mixture_of_experts
from tests.models.formulas import normalized
from tests.models.formulas import run_model
from tests.models.formulas import sigmoid
from tests.models.formulas import softmax
from tests.models.formulas import var
from tests.models.formulas import weighted_residuals


def nextvlad_block(frames, clusters, groups, expansion, scope, statistics):
    batch, num_frames, _ = frames.shape
    width = expansion * frames.shape[2]
    widened = dense(frames, width, scope + "fully_connected")
    attention = sigmoid(dense(widened, groups, scope + "fully_connected_1"))
    scores = statistics.norm(widened @ var(scope + "cluster_weights", width, groups * clusters),
                             scope + "cluster_bn")
    weights = softmax(scores.reshape(batch, num_frames, groups, clusters)) * attention[..., np.newaxis]
    points = num_frames * groups
    descriptors = weighted_residuals(
        widened.reshape(batch, points, -1), weights.reshape(batch, points, clusters),
        var(scope + "cluster_weights2", 1, width // groups, clusters)[0])
    return statistics.norm(descriptors.reshape(batch, -1), scope + "vlad_bn")


def next_vlad(frames, sizes, statistics, scope="", kept=slice(2)):
    """Pooled frames of a NeXtVLAD of these sizes; `kept` is the slice of (image, sound) that there is."""
    clusters, groups = sizes["nextvlad_cluster_size"], sizes["groups"]
    hidden_size = sizes["nextvlad_hidden_size"]
    parts = [(frames[:, :, :RGB], clusters, groups, "video_vlad/"),
             (frames[:, :, RGB:], clusters // 2, groups // 2, "audio_vlad/")]
    descriptors = np.concatenate([
        nextvlad_block(features, clusters_of, groups_of, sizes["expansion"], scope + name, statistics)
        for features, clusters_of, groups_of, name in parts[kept]], axis=1)
    hidden = statistics.norm(descriptors @ var(scope + "hidden1_weights", descriptors.shape[1], hidden_size),
                             scope + "hidden1_bn")
    narrow_size = hidden_size // sizes["gating_reduction"]
    narrow = statistics.norm(hidden @ var(scope + "gating_weights_1", hidden_size, narrow_size),
                             scope + "gating_bn")
    return hidden * sigmoid(np.maximum(narrow, 0) @ var(scope + "gating_weights_2", narrow_size, hidden_size))


@pytest.mark.parametrize("num_frames, width, clusters, groups, expansion", [
    (1, 4, 2, 2, 1), (5, 6, 3, 4, 2), (300, 2, 1, 1, 3), (4, 4, 5, 8, 2)])
def test_nextvlad_attends_to_groups_and_sums_their_residuals(num_frames, width, clusters, groups, expansion):
    frames = np.random.RandomState(1).randn(2, num_frames, width).astype("f4")
    descriptors = evaluate(lambda: nextvlad.nextvlad(tf.constant(frames), clusters, groups, expansion, False))
    expected = nextvlad_block(frames, clusters, groups, expansion, "", Statistics())
    np.testing.assert_allclose(descriptors, expected, atol=1e-4)


@pytest.mark.parametrize("is_training", [False, True])
@pytest.mark.parametrize("clusters, hidden_size, groups, expansion, reduction", [
    (2, 8, 8, 2, 4), (5, 6, 2, 1, 6), (4, 7, 64, 1, 3)])
def test_nextvlad_model(clusters, hidden_size, groups, expansion, reduction, is_training):
    sizes = dict(nextvlad_cluster_size=clusters, nextvlad_hidden_size=hidden_size, groups=groups, expansion=expansion,
                 gating_reduction=reduction)
    model = models.create("NeXtVLAD", drop_rate=0.0, moe_num_mixtures=1, **sizes)
    frames, statistics = normalized([4] * 5, 4), Statistics(is_training)
    pooled = next_vlad(frames, sizes, statistics)
    np.testing.assert_allclose(run_model(model, frames, is_training=is_training)["predictions"],
                               mixture_of_experts(pooled, 1, False, statistics), atol=1e-4)


@pytest.mark.parametrize("name, groups, expansion, told", [
    ("NeXtVLAD", 7, 2, "2048 widened features into 7 groups"),
    ("NeXtVLAD", 512, 1, "128 widened features into 256 groups"),
    ("MixNeXtVLAD", 1, 2, "256 widened features into 0 groups")])
def test_groups_must_divide_the_widened_features(name, groups, expansion, told):
    model = models.create(name, groups=groups, expansion=expansion, nextvlad_cluster_size=2)
    with pytest.raises(InputError) as raised:
        run_model(model, normalized([1], 1))
    assert str(raised.value) == (
        "--groups and --expansion split %s: choose groups (sound takes half as many) that divide them."
        % told)


def test_dropout_hides_descriptors_in_training_only():
    # Nothing is left of the descriptors, so videos do not differ.
    model = models.create("NeXtVLAD", drop_rate=1 - 1e-6, moe_num_mixtures=1, **SMALL)
    frames = normalized([5, 5], 5)
    first, second = run_model(model, frames, is_training=True)["predictions"]
    np.testing.assert_allclose(first, second, atol=1e-6)
    with tf.Graph().as_default():
        evaluated = run_model(model, frames)["predictions"]
    pooled = next_vlad(frames, SMALL, Statistics())
    np.testing.assert_allclose(evaluated, mixture_of_experts(pooled, 1, False, Statistics()), atol=1e-5)


@pytest.mark.parametrize("feature, kept", [(IMAGE, slice(0, 1)), (SOUND, slice(1, 2))], ids=["image", "sound"])
def test_image_or_sound_alone_lacks_the_other_branch(feature, kept):
    frames = normalized([5, 5, 5], 5)
    alone = frames[:, :, :RGB] if feature == IMAGE else frames[:, :, RGB:]
    model = models.create("NeXtVLAD", [feature], moe_num_mixtures=2, **SMALL)
    pooled = next_vlad(frames, SMALL, Statistics(), kept=kept)
    np.testing.assert_allclose(run_model(model, alone)["predictions"],
                               mixture_of_experts(pooled, 2, False, Statistics()), atol=1e-5)


# MixNeXtVLAD.


def mix_next_vlad(frames, branches, statistics):
    """Mixed logits, and a list of each branch's logits."""
    logits = [dense(next_vlad(frames, SMALL, statistics, "branch_%d/" % branch), VOCAB,
                    "branch_%d/fully_connected" % branch) for branch in range(branches)]
    means = statistics.norm(frames.mean(axis=2), "mix_weights_bn")
    weights = softmax(dense(means, branches, "mix_weights"))
    return sum(weights[:, i:i + 1] * logits[i] for i in range(branches)), logits


def divergence(teacher, student, temperature):
    """KL(softmax(teacher / T) || softmax(student / T)) of each row."""
    teacher, student = softmax(teacher / temperature), softmax(student / temperature)
    return (teacher * np.log(teacher / student)).sum(axis=1)


def create_mix(branches=2, head="LogisticModel", **hparams):
    return models.create("MixNeXtVLAD", mix_number=branches, drop_rate=0.0, video_level_classifier_model=head,
                         **dict(SMALL, **hparams))


@pytest.mark.parametrize("branches, num_frames", [(1, 2), (3, 5)])
def test_branches_are_mixed_by_weights_that_depend_on_the_video(branches, num_frames):
    frames = normalized([num_frames] * 3, num_frames)
    result = run_model(create_mix(branches), frames)
    mixed, _ = mix_next_vlad(frames, branches, Statistics())
    np.testing.assert_allclose(result["logits"], mixed, atol=1e-5)
    np.testing.assert_allclose(result["predictions"], sigmoid(mixed), atol=1e-5)
    assert set(result) == {"logits", "predictions"}


@pytest.mark.parametrize("temperature, factor", [(.25, 1.0), (3.0, 9.0)])
def test_in_training_the_mixture_teaches_its_branches(temperature, factor):
    frames = normalized([4] * 5, 4)
    result = run_model(create_mix(cl_temperature=temperature, cl_lambda=factor), frames, is_training=True)
    mixed, logits = mix_next_vlad(frames, 2, Statistics(is_training=True))
    expected = factor * np.mean(sum(divergence(mixed, branch, temperature) for branch in logits))
    assert expected > .01
    np.testing.assert_allclose(result["logits"], mixed, atol=1e-4)
    np.testing.assert_allclose(result["regularization_loss"], expected, rtol=1e-3)


def test_a_mixture_needs_a_head_with_logits():
    with pytest.raises(InputError) as raised:
        run_model(create_mix(head="MoeModel"), normalized([1], 1))
    assert str(raised.value) == ("--model=MixNeXtVLAD mixes logits, which MoeModel does not have: add "
                                 "--video_level_classifier_model=LogisticModel.")


def test_moving_variances_take_bessels_correction_where_batch_norm_is_fused():
    frames, statistics = normalized([2] * 3, 2), Statistics(is_training=True)
    mix_next_vlad(frames, 2, statistics)
    assert_moving_variances(create_mix(), frames, statistics, unfused=("cluster_bn", "vlad_bn", "hidden1_bn"))
