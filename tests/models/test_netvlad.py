"""GatedNetVLAD equals formulas written out in NumPy."""
import numpy as np
import pytest
import tensorflow as tf

from src import models
from src.models import netvlad
from tests.models.formulas import IMAGE
from tests.models.formulas import RGB
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
from tests.models.formulas import unit
from tests.models.formulas import var
from tests.models.formulas import weighted_residuals


def relu6(x):
    return np.clip(x, 0, 6)


def netvlad_block(frames, clusters, scope, statistics):
    width = frames.shape[2]
    scores = statistics.norm(frames @ var(scope + "conv2/cluster_weights", width, clusters),
                             scope + "cluster_bn")
    centres = var(scope + "cluster_weights2/cluster_weights2", 1, width, clusters)[0]
    return unit(weighted_residuals(frames, softmax(scores), centres).reshape(-1, width * clusters))


def gated_netvlad(frames, clusters, hidden_size, relu, gating, statistics, kept=slice(2)):
    """Pooled frames of a GatedNetVLAD; `kept` is the slice of (image, sound) that there is."""
    parts = [(frames[:, :, :RGB], clusters, "video_VLAD/"), (frames[:, :, RGB:], clusters // 2, "audio_VLAD/")]
    descriptors = np.concatenate([netvlad_block(features, clusters_of, scope, statistics)
                                  for features, clusters_of, scope in parts[kept]], axis=1)
    hidden = descriptors @ var("hidden1_weights/hidden1_weights", descriptors.shape[1], hidden_size)
    hidden = relu6(statistics.norm(hidden, "hidden1_bn"))
    units = 2 * hidden_size
    hidden = hidden @ var("hidden2_weights/hidden2_weights", hidden_size, units)
    hidden = hidden + var("hidden2_biases", units)
    hidden = relu6(hidden) if relu else hidden
    if not gating:
        return hidden
    gates = statistics.norm(hidden @ var("gating_weights/gating_weights", units, units), "gating_bn")
    return hidden * sigmoid(gates)


@pytest.mark.parametrize("num_frames, width, clusters", [(1, 4, 2), (5, 6, 1), (300, 3, 8)])
def test_netvlad_sums_residuals_by_soft_assignment_and_normalises_twice(num_frames, width, clusters):
    frames = np.random.RandomState(1).randn(2, num_frames, width).astype("f4")
    descriptors = evaluate(lambda: netvlad.netvlad(tf.constant(frames), clusters, is_training=False))
    np.testing.assert_allclose(descriptors, netvlad_block(frames, clusters, "", Statistics()), atol=1e-5)


@pytest.mark.parametrize("clusters, hidden_size, gating, relu, prob_gating", [
    (2, 5, True, False, True), (5, 6, False, True, False), (16, 4, True, True, False),
    (6, 7, False, False, True)])
def test_gated_netvlad(clusters, hidden_size, gating, relu, prob_gating):
    model = models.create("GatedNetVLAD", netvlad_cluster_size=clusters, netvlad_hidden_size=hidden_size,
                          gating=gating, netvlad_relu=relu, moe_prob_gating=prob_gating, moe_num_mixtures=2)
    frames = normalized([5, 5, 5], 5)
    pooled = gated_netvlad(frames, clusters, hidden_size, relu, gating, Statistics())
    np.testing.assert_allclose(run_model(model, frames)["predictions"],
                               mixture_of_experts(pooled, 2, prob_gating, Statistics()), atol=1e-5)


def spread(num_frames, iterations):
    return [int((i + .5) * num_frames / iterations) for i in range(iterations)]


def middle(num_frames, iterations):
    start = max((num_frames - iterations) // 2, 0)
    return [min(start + i, num_frames - 1) for i in range(iterations)]


@pytest.mark.parametrize("random_frames, picked", [(True, spread), (False, middle)])
@pytest.mark.parametrize("num_frames, max_frames, iterations", [
    ([300, 1], 300, 5), ([1], 1, 3), ([5, 4, 2], 5, 5), ([7, 300, 61], 300, 60)])
def test_evaluation_sees_frames_spread_evenly_or_the_middle_run(
        num_frames, max_frames, iterations, random_frames, picked):
    model = models.create(
        "GatedNetVLAD", netvlad_cluster_size=2, netvlad_hidden_size=3, iterations=iterations,
        sample_random_frames=random_frames, video_level_classifier_model="LogisticModel")
    frames = normalized(num_frames, max_frames)
    seen = np.stack([video[picked(count, iterations)] for video, count in zip(frames, num_frames)])
    expected = dense(gated_netvlad(seen, 2, 3, False, False, Statistics()), VOCAB, "fully_connected")
    np.testing.assert_allclose(run_model(model, frames, num_frames)["logits"], expected, atol=5e-5)


def test_moving_variances_take_bessels_correction():
    model = models.create("GatedNetVLAD", netvlad_cluster_size=4, netvlad_hidden_size=3, gating=True,
                          moe_prob_gating=True, moe_num_mixtures=1)
    frames, statistics = normalized([2] * 3, 2), Statistics(is_training=True)
    mixture_of_experts(gated_netvlad(frames, 4, 3, False, True, statistics), 1, True, statistics)
    assert_moving_variances(model, frames, statistics, unfused=())


@pytest.mark.parametrize("feature, kept", [(IMAGE, slice(0, 1)), (SOUND, slice(1, 2))], ids=["image", "sound"])
def test_image_or_sound_alone_lacks_the_other_branch(feature, kept):
    frames = normalized([5, 5, 5], 5)
    alone = frames[:, :, :RGB] if feature == IMAGE else frames[:, :, RGB:]
    model = models.create("GatedNetVLAD", [feature], netvlad_cluster_size=4, netvlad_hidden_size=4, moe_num_mixtures=2)
    pooled = gated_netvlad(frames, 4, 4, False, False, Statistics(), kept=kept)
    np.testing.assert_allclose(run_model(model, alone)["predictions"],
                               mixture_of_experts(pooled, 2, False, Statistics()), atol=1e-5)
