"""FrameLevelLogisticModel in NumPy, from a checkpoint's variables."""
import numpy as np
import tensorflow as tf


class Model(object):
    """The model of a checkpoint that sees `iterations` evenly spread frames of a video or segment."""

    def __init__(self, checkpoint, iterations=5):
        reader = tf.train.load_checkpoint(checkpoint)
        self._weights, self._biases = (
            reader.get_tensor("tower/fully_connected/" + name) for name in ("weights", "biases"))
        self._iterations = iterations

    def predict(self, raw, num_frames):
        """Probabilities [classes] of dequantized frames [frames, features]; only the first num_frames count."""
        seen = raw[[int((i + .5) * num_frames / self._iterations) for i in range(self._iterations)]]
        normalized = seen / np.maximum(np.linalg.norm(seen, axis=1, keepdims=True), 1e-6)
        return 1 / (1 + np.exp(-(normalized.mean(axis=0).dot(self._weights) + self._biases)))


def dequantized(frames, max_frames=300):
    """float32 [max_frames, features] of uint8 frames, zero beyond the video."""
    result = np.zeros([max_frames, frames.shape[1]], "f4")
    result[:len(frames)] = (frames * (4 / 255.) + 4 / 512. - 2)[:max_frames]
    return result


def segments(video, shift=0):
    """Yields (id, dequantized frames [5, features], num_frames) of all segments of a rolled video."""
    rolled, num_frames = np.roll(dequantized(video.frames), shift, axis=0), min(len(video.frames), 300)
    for start in range(0, num_frames, 5):
        yield b"%s:%d" % (video.id, start), rolled[start:start + 5], min(5, num_frames - start)


def rated_segments(video, num_classes=3862):
    """Yields (id, dequantized frames [5, features], labels [classes], weights [classes]) per rated segment."""
    for start in sorted({start for start, _, _ in video.ratings}):
        labels, weights = np.zeros(num_classes), np.zeros(num_classes)
        for _, label, score in [rating for rating in video.ratings if rating[0] == start]:
            labels[label], weights[label] = score, 1
        yield b"%s:%d" % (video.id, start), dequantized(video.frames)[start:start + 5], labels, weights


def average_precision(entries, positives):
    """Average precision of (score, is positive) pairs; `positives` counts all positives, also those not found."""
    ranked = [positive for _, positive in sorted(entries, reverse=True)]
    return sum(sum(ranked[:i + 1]) / (i + 1) for i, positive in enumerate(ranked) if positive) / positives


def metrics(predictions, labels, weights, top_k):
    """{column of results.csv: value} of arrays [examples, classes]; weights multiply predictions and losses."""
    losses = -np.log(np.where(labels > 0, predictions, 1 - predictions) + 1e-5) * weights
    predictions, labels = predictions * weights, labels > 0
    order = np.argsort(-predictions, axis=1, kind="stable")
    by_class, everything, hits, precisions = {}, [], [], []
    for row, columns in enumerate(order):
        hits.append(labels[row, columns[0]])
        count = labels[row].sum()
        precisions.append(labels[row, columns[:count]].mean() if count else 0)
        for column in columns[:top_k]:
            entry = predictions[row, column], labels[row, column]
            by_class.setdefault(column, []).append(entry)
            everything.append(entry)
    with_positives = np.flatnonzero(labels.any(axis=0))
    aps = [average_precision(by_class.get(column, []), labels[:, column].sum()) for column in with_positives]
    return {"examples": len(labels), "hit_at_one": np.mean(hits), "perr": np.mean(precisions),
            "map": np.mean(aps), "gap": average_precision(everything, labels.sum()),
            "loss": losses.sum(axis=1).mean()}
