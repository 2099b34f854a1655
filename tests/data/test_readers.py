"""Models and losses get the content of the records."""
import functools

import numpy as np
import pytest
import tensorflow as tf

from src.common.errors import InputError
from src.data import pipeline
from src.data import readers
from src.data import segments
from tests import records

# Start, class, score; a class that is rated again counts as the last time.
RATINGS = [(10, 7, 1), (0, 3, 1), (10, 3000, 0), (0, 7, 1), (0, 9, 0), (0, 3, 0), (0, 9, 1)]


@functools.lru_cache(maxsize=None)
def frame_reader(**changes):
    flags = dict(feature_names="rgb,audio", feature_sizes="1024,128", frame_features=True, max_frames=20)
    return readers.create(**dict(flags, **changes))


@functools.lru_cache(maxsize=None)
def video_reader(feature_names="mean_rgb,mean_audio", feature_sizes="1024,128"):
    return readers.create(feature_names, feature_sizes, frame_features=False)


@functools.lru_cache(maxsize=None)
def evaluation(reader, frame_indices, batch_size):
    """Batches as models and losses see them."""
    return records.Pipeline(
        lambda paths: pipeline.evaluation_batches(reader, paths, batch_size, frame_indices, 1),
        lambda batch: dict(batch, input=reader.model_input_raw(batch), dense=readers.dense_labels(batch),
                           weights=readers.label_weights(batch)))


def read(tmp_path, reader, serialized, frame_indices=None, batch_size=10):
    """The first batch of a shard of serialized records, as models and losses see it."""
    path = records.write(tmp_path / "validate0000.tfrecord", serialized)
    return evaluation(reader, frame_indices, batch_size).read([path])[0]


def dequantized(*features):
    return np.concatenate(features, axis=1).astype(np.float64) * 4 / 255 + 4 / 512 - 2


def presence(*labels):
    dense = np.zeros(records.NUM_CLASSES)
    dense[list(labels)] = 1
    return dense


def test_videos_are_dequantized_zero_padded_and_cut_to_max_frames(tmp_path):
    features = [records.random_frames(length, length) for length in (1, 12, 20, 33)]
    expected = np.zeros((4, 20, 1152))
    for row, (rgb, audio) in zip(expected, features):
        row[:len(rgb)] = dequantized(rgb, audio)[:20]
    batch = read(tmp_path, frame_reader(), [records.frame_level(b"v%d" % index, *each, labels=[])
                                            for index, each in enumerate(features)])
    assert batch["id"].tolist() == [b"v0", b"v1", b"v2", b"v3"]
    assert batch["num_frames"].tolist() == [1, 12, 20, 20]
    np.testing.assert_allclose(batch["input"], expected, atol=1e-6)
    assert not batch["input"][0, 1:].any()


@pytest.mark.parametrize("is_frame_level", [True, False])
def test_labels_become_ones_in_whatever_order_and_however_often_they_stand(tmp_path, is_frame_level):
    listed = [[5], [3861, 0, 17], [9, 9, 4, 9], []]
    if is_frame_level:
        reader, write, features = frame_reader(), records.frame_level, records.random_frames(1, 2)
    else:
        reader, write, features = video_reader(), records.video_level, (np.ones(1024), np.ones(128))
    batch = read(tmp_path, reader, [write(b"v%d" % number, *features, labels=labels)
                                    for number, labels in enumerate(listed)])
    np.testing.assert_array_equal(batch["dense"], [presence(*labels) for labels in listed])


def test_frames_without_labels_have_none(tmp_path):
    batch = read(tmp_path, frame_reader(), [records.frame_level(b"v", *records.random_frames(1, 2))])
    assert not batch["dense"].any()


@pytest.mark.parametrize("picked", [[0], [3, 3, 11, 0], [11, 10, 9, 8, 7]])
def test_frame_indices_pick_exactly_these_frames(tmp_path, picked):
    rgb, audio = records.random_frames(1, 12)
    batch = read(tmp_path, frame_reader(), [records.frame_level(b"v", rgb, audio, [1])],
                 frame_indices=lambda num_frames: tf.constant([picked]))
    assert batch["num_frames"].tolist() == [12]
    np.testing.assert_allclose(batch["input"], dequantized(rgb[picked], audio[picked])[np.newaxis], atol=1e-6)


def test_frame_indices_are_asked_with_the_frames_of_each_video_at_most_max_frames(tmp_path):
    features = [records.random_frames(length, length) for length in (7, 12, 33)]
    batch = read(tmp_path, frame_reader(), [records.frame_level(b"v%d" % number, *each)
                                            for number, each in enumerate(features)],
                 frame_indices=lambda num_frames: num_frames[:, tf.newaxis] - [1, 2])
    expected = [dequantized(*each)[[last, last - 1]] for each, last in zip(features, (6, 11, 19))]
    np.testing.assert_allclose(batch["input"], expected, atol=1e-6)


@pytest.mark.parametrize("size, max_frames", [(3, 5), (6, 3), (4, 5), (1024, 3)])
def test_frames_of_any_size_come_out_as_they_were(tmp_path, size, max_frames):
    """Those of 20 videos, which are parsed together and copied by words of 1, 2, 4 and 8 bytes."""
    features = [np.random.RandomState(length).randint(0, 256, (length, size), np.uint8) for length in range(1, 21)]
    batch = read(tmp_path, frame_reader(feature_names="rgb", feature_sizes=str(size), max_frames=max_frames), [
        records.frame_level(b"v%d" % number, rgb, None) for number, rgb in enumerate(features)], batch_size=20)
    expected = np.zeros((20, max_frames, size))
    for row, rgb in zip(expected, features):
        row[:len(rgb)] = dequantized(rgb)[:max_frames]
    np.testing.assert_allclose(batch["input"], expected, atol=1e-6)


def test_a_segment_example_for_each_distinct_start(tmp_path):
    rgb, audio = records.random_frames(1, 18)
    batch = read(tmp_path, frame_reader(segment_labels=True),
                 [records.frame_level(b"abcd", rgb, audio, [1], RATINGS)])
    assert sorted(batch["id"].tolist()) == [b"abcd:0", b"abcd:10"]
    assert batch["num_frames"].tolist() == [5, 5]
    for row, video_id in enumerate(batch["id"]):
        start = int(video_id.decode().split(":")[1])
        np.testing.assert_allclose(batch["input"][row], dequantized(rgb, audio)[start:start + 5], atol=1e-6)
        scores, weights = np.zeros((2, records.NUM_CLASSES))
        for _, label, score in (rating for rating in RATINGS if rating[0] == start):
            scores[label], weights[label] = score, 1
        np.testing.assert_array_equal(batch["dense"][row], scores)
        np.testing.assert_array_equal(batch["weights"][row], weights)


@pytest.mark.parametrize("frames, seen", [(18, 3), (15, 0), (12, 0), (33, 5)])
def test_a_segment_has_zero_frames_beyond_the_video_end(tmp_path, frames, seen):
    rgb, audio = records.random_frames(1, frames)
    batch = read(tmp_path, frame_reader(segment_labels=True, max_frames=20),
                 [records.frame_level(b"v", rgb, audio, ratings=[(15, 2, 1)])])
    assert batch["num_frames"].tolist() == [5]
    np.testing.assert_allclose(batch["input"][0, :seen], dequantized(rgb, audio)[15:15 + seen], atol=1e-6)
    assert not batch["input"][0, seen:].any()


def view(num_frames, seed=None):
    return num_frames[:, tf.newaxis] * [0, 1] // 2 + [0, -1]  # the first frame, and that before the middle


@pytest.mark.parametrize("batch_size", [2, 9])
def test_rated_segments_have_margins_and_share_the_context_of_their_video(tmp_path, batch_size):
    videos = {b"v%d" % length: records.random_frames(length, length) for length in (18, 10, 33)}
    starts = {b"v18": [0, 10, 15], b"v10": [5], b"v33": [15, 5]}
    path = records.write(tmp_path / "validate0000", [records.frame_level(
        name, *videos[name], ratings=[(start, 7, 1) for start in starts[name]]) for name in videos])
    reader = frame_reader(segment_labels=True)
    batches = records.fetch(
        pipeline.evaluation_batches(reader, [path], batch_size, None, 1, view=segments.View(3, view)),
        lambda batch: dict(batch, input=reader.model_input_raw(batch), around=reader.context_raw(batch)))
    names = []
    for batch in batches:
        assert len(batch["around"]) == len({name.split(b":")[0] for name in batch["id"]})
        for name, frames, row in zip(batch["id"], batch["input"], batch["video"]):
            video, start = name.split(b":")[0], int(name.split(b":")[1])
            raw = dequantized(*videos[video])[:20]  # max_frames
            with_zeros = np.pad(raw, [(3, 13), (0, 0)], "constant")
            np.testing.assert_allclose(frames, with_zeros[start:start + 11], atol=1e-6)
            np.testing.assert_allclose(batch["around"][row], raw[[0, len(raw) // 2 - 1]], atol=1e-6)
            names.append(name)
    assert names == [b"%s:%d" % (name, start) for name in videos for start in starts[name]]


def test_a_training_batch_holds_few_contexts_as_segments_of_a_video_stay_together(tmp_path):
    paths = records.write_shards(tmp_path, num_shards=2, videos=9, frames=20, rated=True)  # 4 segments per video
    reader, orders = frame_reader(segment_labels=True), set()
    for seed in 1, 2:
        batches = records.fetch(pipeline.training_batches(reader, paths, 8, None, 2, 2, seed=seed,
                                                          view=segments.View(0, view)))
        assert [len(batch["id"]) for batch in batches] == [8] * 18
        assert max(len(batch["context"]) for batch in batches) <= 3
        names = [name for batch in batches for name in batch["id"].tolist()]
        expected = sorted(b"v%03d:%d" % (video, start) for video in range(18) for start in (0, 5, 10, 15))
        assert sorted(names[:72]) == sorted(names[72:]) == expected
        orders |= {tuple(names[:72]), tuple(names[72:])}
    assert len(orders) == 4


def test_videos_without_ratings_give_no_segments(tmp_path):
    features = records.random_frames(1, 6)
    videos = [records.frame_level(b"%d" % index, *features, labels=[1], ratings=ratings)
              for index, ratings in enumerate([None, [(0, 2, 1)], [], [(5, 4, 0)]])]
    assert read(tmp_path, frame_reader(segment_labels=True), videos)["id"].tolist() == [b"1:0", b"3:5"]


def test_segments_of_several_videos_share_batches(tmp_path):
    paths = records.write_shards(tmp_path, num_shards=2, videos=3, frames=20, rated=True)
    batches = records.fetch(pipeline.evaluation_batches(frame_reader(segment_labels=True), paths, 5, None, 1))
    assert [len(batch["id"]) for batch in batches] == [5, 5, 5, 5, 4]
    assert [video_id for batch in batches for video_id in batch["id"].tolist()] == [
        b"v%03d:%d" % (video, start) for video in range(6) for start in (0, 5, 10, 15)]


def test_blanks_in_the_lists_do_not_matter():
    reader = readers.create("rgb , audio", " 1024, 128", frame_features=True)
    assert (reader.feature_names, reader.feature_sizes) == (["rgb", "audio"], [1024, 128])


def test_video_level_features_and_labels(tmp_path):
    random = np.random.RandomState(1)
    rgb, audio = random.randn(3, 1024), random.randn(3, 128)
    batch = read(tmp_path, video_reader(), [
        records.video_level(b"v%d" % row, rgb[row], audio[row], [row, 3861]) for row in range(3)])
    assert batch["id"].tolist() == [b"v0", b"v1", b"v2"]
    np.testing.assert_allclose(batch["input"], np.concatenate([rgb, audio], axis=1), rtol=1e-6)
    np.testing.assert_array_equal(batch["dense"], [presence(row, 3861) for row in range(3)])


def delimited(tag, parts):
    """The wire format of one field: tag, length, bytes."""
    return tag + tf.train.BytesList(value=[b"".join(parts)]).SerializeToString()[1:]


@pytest.mark.parametrize("order", [1, -1])
def test_the_order_of_features_on_disk_is_irrelevant(tmp_path, order):
    rgb, audio = records.random_frames(1, 3)
    context = [tf.train.Features(feature=feature).SerializeToString() for feature in
               ({"id": records.bytes_feature([b"v"])}, {"labels": records.int_feature([4])})]
    columns = {name: tf.train.FeatureList(feature=[records.bytes_feature([bytes(frame)]) for frame in frames])
               for name, frames in (("rgb", rgb), ("audio", audio))}
    lists = [tf.train.FeatureLists(feature_list={name: column}).SerializeToString() for name, column in columns.items()]
    serialized = delimited(b"\x0a", context[::order]) + delimited(b"\x12", lists[::order])
    batch = read(tmp_path, frame_reader(max_frames=3), [serialized])
    np.testing.assert_allclose(batch["input"][0], dequantized(rgb, audio), atol=1e-6)
    np.testing.assert_array_equal(batch["dense"], [presence(4)])

    means = [np.arange(1024), -np.arange(128)]
    features = context + [tf.train.Features(feature={name: records.float_feature(values)}).SerializeToString()
                          for name, values in zip(("mean_rgb", "mean_audio"), means)]
    batch = read(tmp_path, video_reader(), [delimited(b"\x0a", features[::order])])
    np.testing.assert_array_equal(batch["input"][0], np.concatenate(means))
    np.testing.assert_array_equal(batch["dense"], [presence(4)])


def test_features_stand_in_the_order_of_feature_names(tmp_path):
    rgb, audio = records.random_frames(1, 3)
    reader = frame_reader(feature_names="audio,rgb", feature_sizes="128,1024", max_frames=3)
    batch = read(tmp_path, reader, [records.frame_level(b"v", rgb, audio)])
    np.testing.assert_allclose(batch["input"][0], dequantized(audio, rgb), atol=1e-6)

    means = [np.arange(1024), -np.arange(128)]
    reader = video_reader("mean_audio,mean_rgb", "128,1024")
    batch = read(tmp_path, reader, [records.video_level(b"v", *means)])
    np.testing.assert_array_equal(batch["input"][0], np.concatenate(means[::-1]))


def test_one_feature_alone_can_be_read(tmp_path):
    rgb, audio = records.random_frames(1, 3)
    batch = read(tmp_path, frame_reader(feature_names="audio", feature_sizes="128", max_frames=3),
                 [records.frame_level(b"v", rgb, audio), records.frame_level(b"w", None, audio)])
    np.testing.assert_allclose(batch["input"], [dequantized(audio)] * 2, atol=1e-6)


def test_normalized_rows_have_unit_norm_and_zero_rows_stay_zero():
    raw = np.random.RandomState(1).randn(2, 3, 8).astype(np.float32) * 7
    raw[1, 2] = 0
    with tf.compat.v1.Session() as session:
        normalized = session.run(readers.normalize(tf.constant(raw)))
    lengths = np.sqrt((raw.astype(np.float64) ** 2).sum(axis=-1, keepdims=True))
    np.testing.assert_allclose(normalized, raw / np.where(lengths, lengths, 1), atol=1e-6)


def test_a_request_to_a_saved_model_reads_like_a_shard(tmp_path):
    serialized = [records.frame_level(b"v%d" % frames, *records.random_frames(frames, frames), labels=[1])
                  for frames in (3, 20, 25)]
    reader = frame_reader()
    served = reader.serving_batch(tf.constant(serialized))
    with tf.compat.v1.Session() as session:
        served = session.run(dict(served, input=reader.model_input_raw(served)))
    from_shard = read(tmp_path, reader, serialized)
    for name in "id", "num_frames", "input":
        np.testing.assert_array_equal(served[name], from_shard[name])


def test_a_request_without_records_has_no_predictions():
    served = frame_reader().serving_batch(tf.constant([], tf.string))
    with tf.compat.v1.Session() as session:
        assert [len(values) for values in session.run(served).values()] == [0, 0, 0, 0]


@pytest.mark.parametrize("flags, told", [
    (dict(feature_names="rgb", feature_sizes="1024,128"), "as many distinct names as sizes"),
    (dict(feature_names="rgb,rgb", feature_sizes="1024,128"), "as many distinct names as sizes"),
    (dict(feature_names="", feature_sizes="1024"), "as many distinct names as sizes"),
    (dict(feature_names="rgb", feature_sizes="big"), "--feature_sizes=big is not a comma list"),
    (dict(feature_names="rgb", feature_sizes="0"), "--feature_sizes=0 must hold positive"),
    (dict(feature_names="mean_rgb", feature_sizes="1024", frame_features=False, segment_labels=True),
     "--segment_labels needs frame-level records")])
def test_flags_that_do_not_fit_are_explained(flags, told):
    with pytest.raises(InputError) as error:
        frame_reader(**flags)
    assert told in str(error.value)


@pytest.mark.parametrize("make, expected", [
    (frame_reader, {"frames": [3, 7, 1152], "frame_valid": [3, 7], "num_frames": [3]}),
    (video_reader, {"features": [3, 1152]})])
def test_placeholders_have_the_static_shapes_of_a_batch(make, expected):
    batch = make().placeholder_batch(3, 7)
    labels = batch.pop("labels")
    assert {name: placeholder.shape.as_list() for name, placeholder in batch.items()} == expected
    assert labels.shape.as_list() == [3, records.NUM_CLASSES]


def test_segments_hold_the_classes_that_may_be_in_their_video(tmp_path):
    reader = frame_reader(segment_labels=True, video_classes=True)
    path = records.write(tmp_path / "validate0000", [
        records.frame_level(b"a", *records.random_frames(1, 12), labels=[8, 2, 8], ratings=[(0, 7, 1), (5, 9, 0)]),
        records.frame_level(b"b", *records.random_frames(2, 12), labels=[1], ratings=[(5, 3861, 0), (5, 1, 1)]),
        records.frame_level(b"c", *records.random_frames(3, 12), ratings=[])])
    found, = records.fetch(pipeline.evaluation_batches(reader, [path], 9, None, 1), lambda batch: dict(
        id=batch["id"], classes=readers.dense_labels(batch, "video_classes"), rated=readers.label_weights(batch)))
    assert found["id"].tolist() == [b"a:0", b"a:5", b"b:5"]
    np.testing.assert_array_equal(found["classes"], [presence(2, 8, 7, 9)] * 2 + [presence(1, 3861)])
    np.testing.assert_array_equal(found["rated"], [presence(7), presence(9), presence(1, 3861)])
