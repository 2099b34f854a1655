"""SavedModels of a training run, and the inference model that eval.py writes."""
import logging
import os

import tensorflow as tf

from src.common import atomic
from src.trained import checkpoints
from src.trained import forward

tf1 = tf.compat.v1
log = logging.getLogger("yt8m")
TOP_PREDICTIONS = 20
_CPU = tf1.ConfigProto(device_count={"GPU": 0})  # leaves the GPU's memory to training and evaluation


def restore_model(session, checkpoint, variables):
    """Restores a model's variables from a checkpoint that holds all of them; it may be replaced meanwhile."""
    saver = tf1.train.Saver(variables)

    def restore():
        with checkpoints.unreplaced(checkpoint):
            checkpoints.restorable(checkpoint, variables)
            checkpoints.restore(session, saver, checkpoint)

    checkpoints.read_whole(restore)


class SavedModelExporter(object):
    """Exports checkpoints as SavedModels.

    Their default signature takes serialized records and returns the best classes of each. Their signature `features`
    takes `rgb_and_audio` (named after the reader's features), dequantized and not normalised, with `num_frames`
    [batch] at frame level, and returns `predictions` [batch, classes]; see the reader's `input_placeholder`. A model
    with a context has only this one, as a record does not say which segment is meant. It takes segments with their
    margins, `context_rgb_and_audio`, the frames of the videos' contexts, and `video`, the row of each segment's video
    there.

    Args:
      model: see `models.create`.
      reader: parses the records; see `data.readers`.
    """

    def __init__(self, model, reader):
        self._graph = tf.Graph()
        with self._graph.as_default(), tf.device("/cpu:0"):
            self._signatures = {}
            if forward.view(model).context:
                log.info("the SavedModels have the signature features, and none of records, which do not say which "
                         "segment is meant")
            else:
                self._signatures[tf1.saved_model.signature_constants.DEFAULT_SERVING_SIGNATURE_DEF_KEY] = _of_records(
                    model, reader)
            self._signatures["features"] = _of_features(model, reader)
            self._saver = tf1.train.Saver(tf1.global_variables(), sharded=True)

    def export(self, checkpoint, folder):
        """Writes the SavedModel of a checkpoint to `folder`, replacing what is there."""
        with atomic.replacing_folder(folder) as temporary, self._graph.as_default(), \
                tf1.Session(config=_CPU) as session:
            checkpoints.restore(session, self._saver, checkpoint)
            builder = tf1.saved_model.builder.SavedModelBuilder(temporary)
            builder.add_meta_graph_and_variables(
                session, [tf1.saved_model.tag_constants.SERVING], self._signatures, saver=self._saver,
                clear_devices=True, strip_default_attrs=True)  # so that older TensorFlow reads it
            builder.save()


def _of_records(model, reader):
    """The default signature of a SavedModel."""
    examples = tf1.placeholder(tf.string, [None], "example_bytes")
    batch = reader.serving_batch(examples)
    predictions = forward.of_batch(model, reader, batch)["predictions"]
    top = tf.nn.top_k(predictions, min(TOP_PREDICTIONS, reader.num_classes))
    return _signature({"example_bytes": examples}, {
        "video_id": batch["id"], "class_indexes": top.indices, "predictions": top.values})


def _of_features(model, reader):
    """The signature `features` of a SavedModel, on the variables that the graph holds already, if any."""
    raw, inputs, around = reader.input_placeholder(), {}, _around(model, reader)
    if model.frame_level:
        inputs["num_frames"] = tf1.placeholder(tf.int32, [None], "num_frames")
    predictions = forward.build(model, reader, raw, inputs.get("num_frames"), reuse=tf1.AUTO_REUSE, **around)
    name = "_and_".join(reader.feature_names)
    inputs[name] = raw
    if around:
        inputs.update({"context_" + name: around["context_raw"], "video": around["video"]})
    return _signature(inputs, {"predictions": predictions["predictions"]})


def _around(model, reader):
    """Placeholders of what a model with a context sees around segments, as options of `forward.build`."""
    if not forward.view(model).context:
        return {}
    return {"context_raw": reader.input_placeholder("context_batch_raw"),
            "video": tf1.placeholder(tf.int32, [None], "video")}


def _signature(inputs, outputs):
    infos = ({name: tf1.saved_model.utils.build_tensor_info(tensor) for name, tensor in tensors.items()}
             for tensors in (inputs, outputs))
    return tf1.saved_model.signature_def_utils.build_signature_def(
        *infos, tf1.saved_model.signature_constants.PREDICT_METHOD_NAME)


class InferenceModelExporter(object):
    """Writes `train_dir/inference_model/inference_model.*`: weights, and a graph that can be fed.

    The starter code's inference loads the graph's collections `input_batch_raw` ([batch, frames,
    features], dequantized, not normalised), `num_frames` ([batch]) and `predictions`. For a model with a context there
    are also `context_raw` and `video`; see `forward.build`.

    Args:
      model, reader: as of `SavedModelExporter`.
    """

    def __init__(self, model, reader):
        self._graph = tf.Graph()
        with self._graph.as_default():
            raw = reader.input_placeholder()
            num_frames = tf1.placeholder(tf.int32, [None], "num_frames")
            checkpoints.create_global_step()
            around = _around(model, reader)
            predictions = forward.build(model, reader, raw, num_frames, **around)["predictions"]
            tensors = dict(around, input_batch_raw=raw, num_frames=num_frames, predictions=predictions)
            for name, tensor in tensors.items():
                tf1.add_to_collection(name, tensor)
            self._saver = tf1.train.Saver(tf1.global_variables())

    def export(self, checkpoint, train_dir):
        """Writes the inference model of a checkpoint, replacing the previous one."""
        folder, name = os.path.split(checkpoints.inference_model_path(train_dir))
        with atomic.replacing_folder(folder) as temporary, self._graph.as_default(), \
                tf1.Session(config=_CPU) as session:
            tf.io.gfile.makedirs(temporary)
            checkpoints.restorable(checkpoint, tf1.global_variables())
            checkpoints.restore(session, self._saver, checkpoint)
            self._saver.save(session, os.path.join(temporary, name), write_state=False, strip_default_attrs=True)
