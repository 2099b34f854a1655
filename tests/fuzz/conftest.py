"""Fuzzing takes some seconds in all, with the same inputs each time.

FUZZ_EXAMPLES=10000 makes every test try that many new inputs.
"""
import os

import hypothesis

_EXAMPLES = os.environ.get("FUZZ_EXAMPLES")

hypothesis.settings.register_profile(
    "fuzz", max_examples=int(_EXAMPLES or 100), derandomize=not _EXAMPLES, deadline=None, database=None,
    suppress_health_check=list(hypothesis.HealthCheck))
hypothesis.settings.load_profile("fuzz")
