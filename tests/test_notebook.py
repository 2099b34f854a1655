"""Ensemble.ipynb: runs from top to bottom on other data, and is committed with its outputs."""
import os

import nbclient
import nbformat
import numpy as np
import pytest

from src.evaluation import ratings
from src.submission import ranked_csv

PROJECT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CLASSES = [3, 8, 12]
MODELS = ["one", "two"]


def read():
    return nbformat.read(os.path.join(PROJECT, "Ensemble.ipynb"), 4)


def outputs(notebook):
    """All outputs of the code cells."""
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def num_figures(notebook):
    return sum("image/png" in output.get("data", {}) for output in outputs(notebook))


@pytest.fixture
def folder(tmp_path):
    """Predictions of two models at three shifts, ratings, and scores of segments, like the quickstart's."""
    random = np.random.RandomState(0)
    ids = np.array([b"v%d:%d" % (video, start) for video in range(8) for start in range(0, 30, 5)])
    positive = {label: random.rand(len(ids)) < .4 for label in CLASSES}
    for model in MODELS:
        for partition in "oof", "test":
            for suffix in "", "_shift1", "_shift-1":
                rows = [(label, ids[np.argsort(random.rand(len(ids)) - .7 * positive[label])]) for label in CLASSES]
                ranked_csv.write(str(tmp_path / "predictions" / (model + "_" + partition + suffix + ".csv")), rows)
    rated = [(name, label, positive[label][index]) for label in CLASSES for index, name in enumerate(ids)]
    ratings.write_cache(str(tmp_path / "labels.csv"), ratings.create(*zip(*rated)))
    lines = ["%s,%s" % (name.decode(), " ".join("%d %.3f" % (label, random.rand()) for label in CLASSES))
             for name in ids]
    (tmp_path / "predictions" / "bert_mean_small_oof_segments.csv").write_text("\n".join(lines))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "vocabulary.csv").write_text('Index,Name\n3,Concert\n12,"Nike, Inc."\n')
    return str(tmp_path)


def test_runs_on_other_folders(folder):
    notebook = read()
    configuration = next(cell for cell in notebook.cells if cell.source.startswith("# Configuration"))
    for before, after in [('FOLDER = "quickstart"', 'FOLDER = "%s"' % folder),
                          ("INIT_POINTS, N_ITER, SEED = 20, 60, 0", "INIT_POINTS, N_ITER, SEED = 4, 3, 0")]:
        assert before in configuration.source
        configuration.source = configuration.source.replace(before, after)
    nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": PROJECT}}).execute()
    assert num_figures(notebook) == num_figures(read())
    submission = ranked_csv.read(os.path.join(folder, "notebook", "submission.csv"))
    assert sorted(submission) == CLASSES and {len(ids) for ids in submission.values()} == {48}
    with open(os.path.join(folder, "notebook", "tuning.json")) as stream:
        assert len(stream.readlines()) == 4 + 3
    assert any("of the objective" in output.get("text", "") for output in outputs(notebook))
    by_class, = [output.data["text/plain"] for output in outputs(notebook)
                 if "gain of the blend" in output.get("data", {}).get("text/plain", "")]
    assert all(name in by_class for name in ("Concert", "class 8", "Nike, Inc."))
    assert any("There is no %s/explore/index.html yet" % folder in output.get("data", {}).get("text/html", "")
               for output in outputs(notebook))


def test_is_committed_as_it_ran():
    notebook = read()
    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))
    assert num_figures(notebook) == 4
    assert any('href="quickstart/explore/index.html"' in output.get("data", {}).get("text/html", "")
               for output in outputs(notebook))
    texts = [output.get("text", "") + str(output.get("data", {}).get("text/plain", "")) for output in outputs(notebook)]
    assert not any(output.output_type == "error" or output.get("name") == "stderr" for output in outputs(notebook))
    assert not any(path in text for text in texts for path in ("/tmp", "/root", "/home"))
