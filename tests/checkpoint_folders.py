"""Folders that look like those of trained and evaluated models."""
import json
import os
import zlib

COLUMNS = ("step,examples,hit_at_one,perr,map,gap,loss,segment_labels,holdout_shards,eval_data_pattern,top_k,"
           "max_frames,feature_names,checkpoint_crc32")


def make(folder, steps, evaluated=(), best=None, size=1, holdout_shards=1):
    """Writes checkpoints, and the files of evaluations beside them.

    Args:
      folder: a new one.
      steps: steps of the checkpoints, each with its SavedModel.
      evaluated: steps that were evaluated on rated segments, in this order.
      best: step that best_checkpoint.json names, or None.
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
        rows.append("%d,56,.2,.2,.7,.3,.6,True,%d,pattern,1000,300,\"rgb,audio\",%08x" % (
            step, holdout_shards, zlib.crc32(bytes([step]) * size)))
    os.makedirs(os.path.join(folder, "eval"))
    with open(os.path.join(folder, "eval", "results.csv"), "w") as stream:
        stream.write("\n".join(rows) + "\n")
    if best is not None:
        with open(os.path.join(folder, "best_checkpoint.json"), "w") as stream:
            json.dump({"checkpoint": "model.ckpt-%d" % best, "step": best, "value": .7}, stream)
