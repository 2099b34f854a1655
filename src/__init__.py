"""YouTube-8M segment classification: BERT and VLAD models over frame features.

Importing the package quiets TensorFlow's start-up noise; set TF_CPP_MIN_LOG_LEVEL to see its C++ messages again.
"""
import logging
import os
import warnings

from src.common import runtime

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
logging.getLogger("tensorflow").setLevel(logging.ERROR)  # deprecation warnings about TensorFlow's own calls
# TensorFlow 1.15 declares its quantized NumPy types in a deprecated way.
warnings.filterwarnings("ignore", category=FutureWarning, module="tensor(flow|board)")
runtime.prepare()
