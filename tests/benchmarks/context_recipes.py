"""mAP of rankings of the holdout by a model of segments, by one that also sees the rest of the video, and by both.

  python tests/benchmarks/context_recipes.py [seeds] [folder of records] [holdout shards]

A BERT of one layer is pre-trained on the labels of videos. It is fine-tuned on rated segments, as the published models
are, and it gives its weights to both encoders of ContextSegment, which is fine-tuned for as many steps, with the same
loss. The records are synthetic, whose classes are twins that only other frames of the video tell apart, unless a folder
is given; see recipes.py, also for what is printed.
"""
import collections
import os
import sys

if __name__ == "__main__":  # run as a file
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from tests.benchmarks import recipes
from tests.programs import runner

PRETRAINED, FINETUNED = 300, 300  # steps
CONTEXT = dict(
    {"%s_%s" % (part, name): recipes.MODEL[name] for part in ("context", "segment")
     for name in ("bert_hidden_layer", "bert_attention_heads", "pooling_strategy")},
    model="ContextSegment", head_units=512, context_frames=30, rate_factor="tower/segment/.*=0.5")
SEGMENT, AROUND, BOTH = "segment only", "with context", "both blended"


def rankings(folder, data, holdout, seed):
    """Trains all arms; returns an OrderedDict {arm: path of its ranked CSV}."""
    common = dict(recipes.TRAINING, seed=seed, holdout_shards=holdout)
    segment_dir = os.path.join(folder, "segment")
    recipes.pretrain(segment_dir, data, PRETRAINED, common)
    pretrained = os.path.join(segment_dir, "model.ckpt-%d" % PRETRAINED)
    arms = collections.OrderedDict([
        (SEGMENT, ("segment", dict(max_steps=PRETRAINED + FINETUNED))),
        (AROUND, ("context", dict(CONTEXT, max_steps=FINETUNED, init_context=pretrained, init_segment=pretrained)))])
    found = collections.OrderedDict()
    for arm, (name, flags) in arms.items():
        train_dir = os.path.join(folder, name)
        runner.succeed("train", train_dir=train_dir, segment_labels=True, negative_weight=.5,
                       train_data_pattern=recipes.rated(data), **dict(common, **flags))
        recipes.evaluate(train_dir, data, holdout)
        found[arm] = os.path.join(folder, name + ".csv")
        recipes.infer(train_dir, data, holdout, found[arm])
    found[BOTH] = os.path.join(folder, "both.csv")
    runner.succeed("ensemble", mode="blend", input_files="%s,%s" % (found[SEGMENT], found[AROUND]), weights="1,1",
                   output_file=found[BOTH])
    return found


if __name__ == "__main__":
    recipes.compare(rankings, SEGMENT, context=True)
