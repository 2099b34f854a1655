"""A BERT configuration small enough for tests."""
import json

import pytest


@pytest.fixture(scope="module", name="bert_config_file")
def small_bert_config_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("bert") / "config.json"
    path.write_text(json.dumps(
        {"intermediate_size": 6, "initializer_range": .02, "max_position_embeddings": 5}))
    return str(path)
