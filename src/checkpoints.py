"""Shows which steps of a model's training and evaluation are done, and removes checkpoints that are no longer needed.

  python src/checkpoints.py --mode=done --train_dir=model
  python src/checkpoints.py --mode=prune --train_dir=model --dry_run
"""
import os
import sys

if __name__ == "__main__":
    if not __package__:  # run as a file
        sys.path[0] = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    from src.common import startup
    startup.begin()  # before the modules below load

import logging
import shlex

from absl import flags

from src.common import files
from src.common import program
from src.common.errors import InputError
from src.data import shards
from src.evaluation import results
from src.trained import averages
from src.trained import checkpoints

log = logging.getLogger("yt8m")


def define_flags():
    shards.define_flags()
    flags.DEFINE_enum("mode", None, ["latest", "done", "prune"],
                      "latest: print the step of the newest checkpoint, or nothing if there is none. "
                      "done: print which of pretrain, finetune, eval, average and evaluate-best are done, one per "
                      "line. prune: remove all checkpoints but the best, the last of the pre-training and the newest, "
                      "each with its SavedModel, and all averages but the best.")
    flags.DEFINE_string("train_dir", "/tmp/yt8m_model/", "The folder that train.py wrote.")
    flags.DEFINE_integer("pretrain_max_steps", 200000, "Global step at which the pre-training ends.", lower_bound=0)
    flags.DEFINE_integer("finetune_max_steps", 220000, "Global step at which the fine-tuning ends.", lower_bound=0)
    flags.DEFINE_bool("dry_run", False, "With --mode=prune: print the command that removes them, and remove nothing.")


def steps_done(args):
    """The steps of a model's script that are done, in their order.

    The evaluation is done when the fine-tuning is finished and each of its checkpoints, as it is now, was evaluated on
    the segments of the holdout. That holds for the averages, too.

    Raises:
      InputError: a file that evaluations wrote is damaged.
    """
    saved = checkpoints.steps(args.train_dir)
    tuned = [checkpoints.path(args.train_dir, step) for step in saved if step > args.pretrain_max_steps]
    kind = {"segment_labels": True, "holdout_shards": shards.split(args).recorded}
    is_pretrained, is_finetuned = (bool(saved) and saved[-1] >= end
                                   for end in (args.pretrain_max_steps, args.finetune_max_steps))
    done = [("pretrain", is_pretrained), ("finetune", is_finetuned),
            ("eval", is_finetuned and results.all_evaluated(args.train_dir, tuned, kind)),
            ("average", is_finetuned and averages.are_evaluated(args.train_dir, args.pretrain_max_steps + 1, kind)),
            ("evaluate-best", averages.predicts_with_best(args.train_dir))]
    return [step for step, is_done in done if is_done]


def prune(train_dir, pretrain_max_steps, dry_run):
    """Removes the checkpoints that no later step reads; logs their number and size on disk.

    Raises:
      InputError: the best checkpoint is unknown, or the inference model comes from another one.
    """
    if not averages.predicts_with_best(train_dir):
        raise InputError("The best checkpoint in %s is not known, or not evaluated last: run the step evaluate-best "
                         "first, or eval.py --run_once --checkpoint_file=best." % train_dir)
    saved = checkpoints.steps(train_dir)
    pretrained = [step for step in saved if step <= pretrain_max_steps]
    kept = set([checkpoints.best(train_dir)["step"]] + pretrained[-1:] + saved[-1:])
    of_averages = averages.removable(train_dir)
    doomed = checkpoints.removable(train_dir, kept, end=max(kept)) + of_averages
    if not doomed:
        log.info("nothing to prune in %s", train_dir)
        return
    staying = [checkpoints.path("", step) for step in saved if step in kept]
    best = os.path.relpath(averages.best(train_dir), train_dir)
    log.info("removing %d checkpoints frees %.2f GB; %s stay in %s",
             len(set(saved) - kept) + sum(path.endswith(".index") for path in of_averages),
             files.total_bytes(files.below(doomed)) / 2 ** 30,
             " ".join(staying + [best] * (best not in staying)), train_dir)
    if dry_run:
        print("rm -rf " + " ".join(map(shlex.quote, doomed)))
        return
    for path in doomed:
        files.remove(path)


def main(args):
    """Prints the answer, or prunes, depending on --mode."""
    if not args.mode:
        raise InputError("--mode is missing: choose latest, done or prune.")
    if not files.exists(args.train_dir):
        raise InputError("--train_dir=%s does not exist: give the folder that train.py wrote." % args.train_dir)
    if args.mode == "prune":
        prune(args.train_dir, args.pretrain_max_steps, args.dry_run)
        return
    for found in steps_done(args) if args.mode == "done" else checkpoints.steps(args.train_dir)[-1:]:
        print(found)


if __name__ == "__main__":
    program.run(define_flags, main)
