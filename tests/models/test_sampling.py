"""Which frames models see: fixed frames in evaluation, random frames in training."""
import numpy as np
import pytest
import tensorflow as tf

from src import models
from src.common.errors import InputError
from src.models import sampling

LENGTHS = np.arange(1, 301)


def run(tensor):
    with tf.compat.v1.Session() as session:
        return session.run(tensor)


def evaluation_frames(iterations, random_frames, lengths=LENGTHS):
    return run(sampling.vlad_indices(tf.constant(lengths, tf.int32), iterations, random_frames, False))


def training_frames(lengths, iterations, random_frames):
    return run(sampling.training_indices(tf.constant(lengths, tf.int32), iterations, random_frames))


@pytest.mark.parametrize("iterations", [1, 5, 7, 60, 300])
def test_evaluation_spreads_frames_evenly_where_training_drew_single_frames(iterations):
    expected = [[(2 * i + 1) * length // (2 * iterations) for i in range(iterations)]
                for length in LENGTHS.tolist()]
    np.testing.assert_array_equal(evaluation_frames(iterations, True), expected)


@pytest.mark.parametrize("iterations", [1, 5, 7, 60, 300])
def test_evaluation_takes_the_middle_run_where_training_drew_runs(iterations):
    expected = [[min(max((length - iterations) // 2, 0) + i, length - 1) for i in range(iterations)]
                for length in LENGTHS.tolist()]
    np.testing.assert_array_equal(evaluation_frames(iterations, False), expected)


@pytest.mark.parametrize("random_frames", [True, False])
def test_frames_of_a_video_without_any_can_still_be_gathered(random_frames):
    assert evaluation_frames(5, random_frames, [0]).tolist() == [[0] * 5]


@pytest.mark.parametrize("length", [1, 2, 7])
def test_single_frames_are_drawn_uniformly_with_replacement(length):
    drawn = training_frames(np.full(4000, length), 5, True)
    share = np.bincount(drawn.ravel(), minlength=length) / drawn.size
    assert len(share) == length
    np.testing.assert_allclose(share, 1 / length, atol=.02)  # at least 5 standard deviations
    if length > 1:
        # Each draw is independent of the one before.
        np.testing.assert_allclose(np.mean(drawn[:, 0] == drawn[:, 1]), 1 / length, atol=.05)


def test_single_frames_stay_inside_their_own_video():
    lengths = np.tile(LENGTHS, 30)
    drawn = training_frames(lengths, 60, True)
    assert (drawn >= 0).all() and (drawn < lengths[:, np.newaxis]).all()
    assert (drawn.reshape(30, 300, 60).max(axis=(0, 2)) >= 0.9 * LENGTHS - 1).all()


@pytest.mark.parametrize("length, iterations", [(9, 5), (6, 5), (300, 297), (5, 5)])
def test_runs_are_consecutive_and_every_start_is_as_likely(length, iterations):
    drawn = training_frames(np.full(4000, length), iterations, False)
    np.testing.assert_array_equal(drawn, drawn[:, :1] + np.arange(iterations))
    starts = length - iterations + 1
    share = np.bincount(drawn[:, 0], minlength=starts) / len(drawn)
    assert len(share) == starts
    np.testing.assert_allclose(share, 1 / starts, atol=.045)


def test_runs_of_short_videos_repeat_the_last_frame():
    expected = [[min(i, length - 1) for i in range(8)] for length in range(1, 9)]
    np.testing.assert_array_equal(training_frames(np.arange(1, 9), 8, False), expected)


@pytest.mark.parametrize("random_frames", [True, False])
def test_one_video_alone_gets_a_vector_of_known_length(random_frames):
    indices = sampling.training_indices(tf.constant(9), 5, random_frames)
    assert indices.shape.as_list() == [5]
    assert run(indices).shape == (5,)


@pytest.mark.parametrize("random_frames", [True, False])
def test_training_draws_anew_each_time(random_frames):
    indices = sampling.training_indices(tf.constant([300] * 50), 5, random_frames)
    with tf.compat.v1.Session() as session:
        assert (session.run(indices) != session.run(indices)).any()


@pytest.mark.parametrize("random_frames", [True, False])
def test_frame_level_logistic_model_averages_the_evaluation_frames(random_frames):
    frames = np.random.RandomState(1).randn(2, 12, 3).astype(np.float32)
    model = models.create("FrameLevelLogisticModel", iterations=4, sample_random_frames=random_frames)
    lengths = tf.constant([12, 7])
    predictions = model.create_model(tf.constant(frames), 6, lengths, is_training=False)["predictions"]
    weights, biases = tf.compat.v1.trainable_variables()
    chosen = [[1, 4, 7, 10], [0, 2, 4, 6]] if random_frames else [[4, 5, 6, 7], [1, 2, 3, 4]]
    with tf.compat.v1.Session() as session:
        session.run(tf.compat.v1.global_variables_initializer())
        got, weights, biases = session.run([predictions, weights, biases])
    mean = np.stack([video[rows].mean(axis=0) for video, rows in zip(frames, chosen)])
    np.testing.assert_allclose(got, 1 / (1 + np.exp(-(mean @ weights + biases))), atol=1e-6)


@pytest.mark.parametrize("iterations, allowed", [(0, False), (1, True), (3000, True), (3001, False)])
def test_models_see_1_to_3000_frames(iterations, allowed):
    if allowed:
        assert models.create("FrameLevelLogisticModel", iterations=iterations).hparams["iterations"] == iterations
    else:
        with pytest.raises(InputError, match="^--iterations=%d is out of range: give a number from 1 to" % iterations):
            models.create("FrameLevelLogisticModel", iterations=iterations)
