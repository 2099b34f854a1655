"""The ensemble as published: the 9th place of the 3rd YouTube-8M Video Understanding Challenge."""
import collections
import os
import re

# w0 of the fusion of a model's shifts, and of the models.
TTA_W0 = 3.72384689385059
MODELS_W0 = 6.058430980648939
SEGMENTS, TEST_SEGMENTS = 100000, 2062258  # of a class in a submission, of all videos of 3/frame/test
# {model: weight in percent}, named as in shell_script/.
WEIGHTS = collections.OrderedDict([
    ("gatednetvlad_h1024c16", 0.22),
    ("bert_l2h12", 2.81),
    ("bertcross_mean_l2h8", 4.90),
    ("bert_l3h12", 13.88),
    ("bertcross_attn_l2h8", 5.97),
    ("bert_first_l2h12", 19.67),
    ("mixnextvlad_iter300", 20.03),
    ("mixnextvlad_iter60", 17.26),
    ("bert_mean_l2h12", 15.46),
])

_NOT_THE_MODEL = re.compile(r"(_(oof|test|sorted|all\d*))+$")  # the last two are the original's


def model_name(path):
    """The name of a ranked CSV's model: folder/bert_mean_l2h12_oof.csv -> bert_mean_l2h12."""
    return _NOT_THE_MODEL.sub("", os.path.splitext(os.path.basename(path))[0])
