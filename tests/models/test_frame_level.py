"""What all frame-level models do alike."""
import numpy as np
import pytest
import tensorflow as tf

from src import models
from src.training import footprint
from tests.models.formulas import AUDIO
from tests.models.formulas import RGB
from tests.models.formulas import VOCAB
from tests.models.formulas import evaluate
from tests.models.formulas import normalized

tf1 = tf.compat.v1


@pytest.mark.parametrize("random_frames", [True, False])
@pytest.mark.parametrize("name", ["GatedNetVLAD", "NeXtVLAD", "MixNeXtVLAD", "FrameLevelLogisticModel"])
def test_frames_seen_many_times_over_are_computed_once(name, random_frames):
    model = models.create(name, netvlad_cluster_size=4, netvlad_hidden_size=3, nextvlad_cluster_size=4,
                          nextvlad_hidden_size=8, groups=4, gating_reduction=4, iterations=60,
                          sample_random_frames=random_frames, video_level_classifier_model="LogisticModel")
    frames, logits, memory = normalized([5, 4, 1], 5), [], []
    for num_frames in (5, None):  # without a static number of frames, all `iterations` frames are gathered
        with tf.Graph().as_default():
            given = tf1.placeholder_with_default(frames, [3, num_frames, RGB + AUDIO])
            logits.append(evaluate(lambda: model.create_model(given, VOCAB, tf.constant([5, 4, 1]), False)["logits"]))
    np.testing.assert_allclose(*logits, atol=2e-5)
    for iterations in (5, 60):
        model.hparams["iterations"] = iterations
        with tf.Graph().as_default():
            given = tf1.placeholder(tf.float32, [3, 5, RGB + AUDIO])
            outputs = model.create_model(given, VOCAB, tf1.placeholder(tf.int32, [3]), False)
            memory.append(footprint.activation_bytes(outputs["predictions"].op, []))
    assert memory[1] < 1.5 * memory[0]
