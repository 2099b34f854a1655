"""mAP of rankings of the holdout by the options beyond the published recipe, each alone, against the published one.

  python tests/benchmarks/recipes.py [seeds] [folder of records] [holdout shards]

A BERT of one layer is pre-trained on the labels of videos (150 steps of 32) and fine-tuned on rated segments (120
steps). Each seed, of five by default, fixes all random choices, and each arm begins at the same pre-trained model. The
records are synthetic, of 20 classes, unless a folder is given that holds 2/frame/train and so on; the first 4 shards of
the validation partition, or as many as given, are held out. Prints each arm's mean mAP and its standard deviation over
seeds, and the mean difference to the arm `as published` of the same seed, with its deviation: of rankings cut as
`ensemble.py --scaled_cut` does, and of whole rankings.
"""
import collections
import csv
import os
import re
import shutil
import statistics
import sys
import tempfile

if __name__ == "__main__":  # run as a file
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from src.common import tables
from tests.programs import runner

SEEDS, HOLDOUT = 5, 4
PRETRAINED, FINETUNED, SAVED_EVERY = 150, 270, 40
MODEL = dict(model="Bert", bert_hidden_layer=1, bert_attention_heads=12, pooling_strategy="mean", frame_features=True,
             video_level_classifier_model="LogisticModel", feature_names="rgb,audio", feature_sizes="1024,128")
TRAINING = dict(MODEL, batch_size=32, num_epochs=0, base_learning_rate=.0005, learning_rate_decay=.9,
                export_model_steps=SAVED_EVERY, export_saved_models=False)
PUBLISHED = "as published"
ARMS = collections.OrderedDict([  # flags of the fine-tuning
    (PUBLISHED, {}),
    ("--mask_unrated_labels", dict(mask_unrated_labels=True))] + [
    ("--negative_weight=%g" % weight, dict(negative_weight=weight)) for weight in (.5, 1, 10, 100)] + [
    ("AdamW 0.02, warm-up, linear decay", dict(
        custom_optimizer="bert", weight_decay=.02, warmup_steps=(FINETUNED - PRETRAINED) // 4,
        schedule_start_step=PRETRAINED))])
AVERAGED = "mean of the last 3 checkpoints"
SKIPPED = "--skip_first_segments=6 --skip_last_segments=2"
CANDIDATES, PRIORS = (5, 20), (0, .3, .5)


def rated(data):
    """The pattern of the rated shards."""
    return os.path.join(data, "3/frame/validate/validate*.tfrecord")


def infer(train_dir, data, holdout, output, **flags):
    """Ranks the holdout's segments, of synthetic records for the classes that occur."""
    classes = os.path.join(data, "classes.csv")
    runner.succeed("inference", train_dir=train_dir, segment_labels=True, top_k=1000, output_file=output,
                   input_data_pattern=rated(data),
                   segment_label_ids_file=classes if os.path.exists(classes) else None, holdout_shards=holdout, **flags)


def evaluate(train_dir, data, holdout):
    """Makes the newest checkpoint the inference model."""
    runner.succeed("eval", train_dir=train_dir, segment_labels=True, run_once=True, checkpoint_file="latest",
                   eval_data_pattern=rated(data), holdout_shards=holdout)


def pretrain(train_dir, data, max_steps, common):
    """Trains on the labels of whole videos."""
    runner.succeed("train", train_dir=train_dir, max_steps=max_steps, **common, train_all=True,
                   train_data_pattern=os.path.join(data, "2/frame/train/train*.tfrecord"),
                   train_valid_data_pattern=os.path.join(data, "2/frame/validate/validate*.tfrecord"))


def rankings(folder, data, holdout, seed):
    """Trains all arms; returns an OrderedDict {arm: path of its ranked CSV}."""
    common = dict(TRAINING, seed=seed, holdout_shards=holdout)
    pretrained = os.path.join(folder, "pretrained")
    pretrain(pretrained, data, PRETRAINED, common)
    evaluate(pretrained, data, holdout)
    videos = os.path.join(folder, "videos.csv")
    runner.succeed("inference", train_dir=pretrained, top_k=50, input_data_pattern=rated(data), holdout_shards=holdout,
                   output_file=videos)
    found = collections.OrderedDict()
    for arm, flags in ARMS.items():
        train_dir = os.path.join(folder, str(len(found)))
        shutil.copytree(pretrained, train_dir)
        runner.succeed("train", train_dir=train_dir, max_steps=FINETUNED, segment_labels=True,
                       train_data_pattern=rated(data), **dict(common, **flags))
        evaluate(train_dir, data, holdout)
        found[arm] = train_dir + ".csv"
        infer(train_dir, data, holdout, found[arm])
    averaged, published = os.path.join(folder, "mean"), os.path.join(folder, "0")
    runner.succeed("average_checkpoints", train_dir=published, num_last_checkpoints=3, output_dir=averaged)
    found[AVERAGED] = averaged + ".csv"
    infer(averaged, data, holdout, found[AVERAGED])
    found[SKIPPED] = os.path.join(folder, "skipped.csv")
    infer(published, data, holdout, found[SKIPPED], skip_first_segments=6, skip_last_segments=2)
    infer(published, data, holdout, os.path.join(folder, "prior.csv"), video_predictions=videos,
          candidates=",".join("%d" % number for number in CANDIDATES),
          prior_weight=",".join("%g" % weight for weight in PRIORS))
    for number in CANDIDATES:
        for weight in PRIORS:
            found["--candidates=%d --prior_weight=%g" % (number, weight)] = os.path.join(
                folder, "prior_candidates%d_prior%g.csv" % (number, weight))
    return found


def mean_average_precisions(found, data, holdout, scaled_cut):
    """{arm: mAP}."""
    printed = runner.output_of("ensemble", mode="report", input_files=",".join(found.values()), scaled_cut=scaled_cut,
                               eval_data_pattern=rated(data), holdout_shards=holdout)
    return {arm: float(re.search(r"^%s\s+(\S+)" % re.escape(path), printed, re.M).group(1))
            for arm, path in found.items()}


def deviation(values):
    return statistics.stdev(values) if len(values) > 1 else float("nan")


def print_summary(of_seeds, baseline):
    """Prints the table of a list of {arm: mAP}, one per seed."""
    rows = []
    for arm in of_seeds[0]:
        values = [of_seed[arm] for of_seed in of_seeds]
        gains = [of_seed[arm] - of_seed[baseline] for of_seed in of_seeds]
        rows.append(collections.OrderedDict([
            ("arm", arm), ("mAP", "%.4f" % statistics.mean(values)), ("deviation", "%.4f" % deviation(values)),
            ("difference", "%+.4f" % statistics.mean(gains)), ("its deviation", "%.4f" % deviation(gains))]))
    tables.print_table(rows)


def compare(rankings, baseline, **synthetic):
    """Prints the tables of the arms, for the arguments of the command line.

    Args:
      rankings: function of (folder for files, data, holdout, seed) that returns an OrderedDict {arm: path of its CSV}.
      baseline: the arm to compare with.
      **synthetic: flags of make_synthetic_data.py.
    """
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else SEEDS
    holdout = int(sys.argv[3]) if len(sys.argv) > 3 else HOLDOUT
    runner.TIMEOUT = 3600
    measures = collections.OrderedDict([(True, ("scaled cut", [])), (False, ("whole rankings", []))])
    with tempfile.TemporaryDirectory() as folder:
        data = sys.argv[2] if len(sys.argv) > 2 else os.path.join(folder, "data")
        if len(sys.argv) < 3:
            runner.succeed("make_synthetic_data", output_dir=data, num_validate_shards=10, **synthetic)
            with open(os.path.join(data, "vocabulary.csv")) as known:
                classes = [row["Index"] + "\n" for row in csv.DictReader(known)]
            with open(os.path.join(data, "classes.csv"), "w") as stream:
                stream.writelines(classes)
        for seed in range(seeds):
            with tempfile.TemporaryDirectory(dir=folder) as of_seed:
                found = rankings(of_seed, data, holdout, seed)
                for scaled_cut, (title, of_seeds) in measures.items():
                    of_seeds.append(mean_average_precisions(found, data, holdout, scaled_cut))
                    print("seed %d, %s: %s" % (seed, title, ", ".join(
                        "%s %.4f" % pair for pair in of_seeds[-1].items())), file=sys.stderr, flush=True)
    for title, of_seeds in measures.values():
        print("\n" + title)
        print_summary(of_seeds, baseline)


if __name__ == "__main__":
    compare(rankings, PUBLISHED)
