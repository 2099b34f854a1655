"""The tests. Nobody sees TensorFlow's warnings about deprecated arguments, so it need not look for them at each op."""
from tensorflow.python.util import deprecation

deprecation._PRINT_DEPRECATION_WARNINGS = False
