"""Folders that look like those of trained and evaluated models."""
import json
import os
import zlib

import tensorflow as tf

COLUMNS = ("step,examples,hit_at_one,perr,map,gap,loss,segment_labels,holdout_shards,eval_data_pattern,top_k,"
           "max_frames,feature_names,checkpoint_crc32")


def make(folder, steps, evaluated=(), best=None, size=1, holdout_shards=1):
    """Writes checkpoints, and the files of evaluations beside them.

    Args:
      folder: a new one.
      steps: steps of the checkpoints, each with its SavedModel.
      evaluated: steps that were evaluated on rated segments, in this order; the last is the inference model's.
      best: step whose MAP is best; None: there is no best_checkpoint.json either.
      size: bytes of each file of a checkpoint.
      holdout_shards: of the evaluations.
    """
    rows = [COLUMNS]
    for step in steps:
        os.makedirs(os.path.join(folder, "export", "step_%d" % step))
        for ending in "index", "meta", "data-00000-of-00001":
            with open(os.path.join(folder, "model.ckpt-%d.%s" % (step, ending)), "wb") as stream:
                stream.write(bytes([step]) * size)
    for step in evaluated:
        rows.append("%d,56,.2,.2,%g,.3,.6,True,%d,pattern,1000,300,\"rgb,audio\",%08x" % (
            step, .8 if step == best else .7, holdout_shards, zlib.crc32(bytes([step]) * size)))
    os.makedirs(os.path.join(folder, "eval"))
    with open(os.path.join(folder, "eval", "results.csv"), "w") as stream:
        stream.write("\n".join(rows) + "\n")
    if best is not None:
        with open(os.path.join(folder, "best_checkpoint.json"), "w") as stream:
            json.dump({"checkpoint": "model.ckpt-%d" % best, "step": best, "value": .8}, stream)
    if evaluated:
        write_inference_model(folder, evaluated[-1])


def write_inference_model(folder, step):
    """Writes an inference model that holds its global step only."""
    os.makedirs(os.path.join(folder, "inference_model"), exist_ok=True)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tf.compat.v1.get_variable("global_step", initializer=step)
        session.run(tf.compat.v1.global_variables_initializer())
        tf.compat.v1.train.Saver().save(session, os.path.join(folder, "inference_model", "inference_model"),
                                        write_meta_graph=False, write_state=False)
