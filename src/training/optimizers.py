"""Optimizers and learning-rate schedules."""
import math
import re
import typing

from absl import flags
import numpy as np
import tensorflow as tf

from src.common.errors import InputError

tf1 = tf.compat.v1
OPTIMIZERS = {name: getattr(tf1.train, name) for name in (
    "AdadeltaOptimizer", "AdagradOptimizer", "AdamOptimizer", "FtrlOptimizer", "GradientDescentOptimizer",
    "RMSPropOptimizer")}
CUSTOM_OPTIMIZERS = ("", "bert", "radam")


def define_flags():
    """Flags of the optimizer and its learning rate."""
    flags.DEFINE_float("base_learning_rate", 0.01, "Learning rate at the first step.")
    flags.DEFINE_float("learning_rate_decay", 0.95, "Factor every learning_rate_decay_examples.")
    flags.DEFINE_float("learning_rate_decay_examples", 2000000, "Examples between decays of the learning rate.",
                       lower_bound=1)
    flags.DEFINE_bool("fix_learning_rate", False, "Keep the learning rate at base_learning_rate.")
    flags.DEFINE_string("optimizer", "AdamOptimizer", "Optimizer of tf.train: %s." % ", ".join(sorted(OPTIMIZERS)))
    flags.DEFINE_string("custom_optimizer", "", "Instead of --optimizer: bert (AdamW, by default with the linear "
                        "schedule) or radam.")
    flags.DEFINE_float("weight_decay", 0.01, "Weight decay of --custom_optimizer=bert, relative to the learning rate; "
                       "biases and norms do not decay.", lower_bound=0)
    flags.DEFINE_enum("learning_rate_schedule", None, ["step", "linear", "cosine"],
                      "How the learning rate falls: by --learning_rate_decay at every --learning_rate_decay_examples; "
                      "linearly, or as a half cosine, to 0 at --max_steps. Default: step; with "
                      "--custom_optimizer=bert linear.")
    flags.DEFINE_integer("warmup_steps", 0, "Steps over which the learning rate first rises linearly from 0.",
                         lower_bound=0)
    flags.DEFINE_string("rate_factor", "", "REGEX=FACTOR, such as tower/segment/.*=0.5: variables whose whole names "
                        "the regular expression matches have the learning rate times this factor.")
    flags.DEFINE_integer("schedule_start_step", 0, "Global step at which --warmup_steps and the linear and cosine "
                         "schedules begin: for a fine-tuning, the step at which the pre-training ended.",
                         lower_bound=0)


class RateFactor(typing.NamedTuple):
    """A factor of the learning rate of some variables."""
    pattern: str  # regular expression that matches their whole names
    factor: float  # above 0


class Options(typing.NamedTuple):
    """An optimizer and the schedule of its learning rate."""
    name: str  # one of OPTIMIZERS, used unless `custom` is given
    custom: str  # one of CUSTOM_OPTIMIZERS
    scale_loss: bool  # see `create`
    weight_decay: float  # of AdamW
    schedule: str  # fixed, step (a factor every so many examples), linear or cosine (to 0 at max_steps)
    base_learning_rate: float
    decay: float  # step: the factor
    decay_examples: float  # step: examples between two factors
    examples_per_step: int
    max_steps: int  # linear, cosine: the step at which the rate is 0; may be None for other schedules
    start_step: int = 0  # at which the warm-up begins, and linear and cosine schedules
    warmup_steps: int = 0  # steps over which the rate first rises linearly from 0
    rate_factor: RateFactor = None  # None: all variables have the same rate


def rate_factor(given):
    """The RateFactor of its flag; None if it is empty.

    Raises:
      InputError: it is none.
    """
    if not given:
        return None
    pattern, _, number = given.rpartition("=")
    try:
        re.compile(pattern)
        found = RateFactor(pattern, float(number))
    except (re.error, ValueError):
        found = None
    if not (found and pattern and 0 < found.factor < math.inf):
        raise InputError("--rate_factor=%s is no regular expression with a factor above 0: give one such as "
                         "tower/segment/.*=0.5." % given)
    return found


def options(args, examples_per_step):
    """The Options that flags describe.

    Raises:
      InputError: the learning rate is to reach 0 at --max_steps, which is missing or too early, or flags contradict
        each other.
    """
    if args.fix_learning_rate and args.learning_rate_schedule:
        raise InputError("--fix_learning_rate contradicts --learning_rate_schedule=%s: leave out one of the two."
                         % args.learning_rate_schedule)
    default = "fixed" if args.fix_learning_rate else "linear" if args.custom_optimizer == "bert" else "step"
    schedule, first = args.learning_rate_schedule or default, args.schedule_start_step + args.warmup_steps
    if schedule in ("linear", "cosine") and not args.max_steps:
        given = "learning_rate_schedule=" + schedule if args.learning_rate_schedule else "custom_optimizer=bert"
        raise InputError("--%s decays the learning rate to zero at --max_steps: give it." % given)
    if schedule in ("linear", "cosine") and first >= args.max_steps:
        raise InputError("The learning rate falls from step %d (--schedule_start_step plus --warmup_steps) to 0 at "
                         "--max_steps=%d: let it begin before." % (first, args.max_steps))
    return Options(name=args.optimizer, custom=args.custom_optimizer, scale_loss=args.mixed_precision,
                   weight_decay=args.weight_decay, schedule=schedule, base_learning_rate=args.base_learning_rate,
                   decay=args.learning_rate_decay, decay_examples=args.learning_rate_decay_examples,
                   examples_per_step=examples_per_step, max_steps=args.max_steps,
                   start_step=args.schedule_start_step, warmup_steps=args.warmup_steps,
                   rate_factor=rate_factor(args.rate_factor))


def scheduled(given, global_step):
    """An optimizer and its learning rate, a scalar tensor.

    Args:
      given: Options.
      global_step: int32 scalar tensor.

    Raises:
      InputError: there is no such optimizer.
    """
    first = given.start_step + given.warmup_steps
    if given.schedule == "fixed":
        rate = tf.constant(given.base_learning_rate)
    elif given.schedule == "step":
        seen = tf.cast(global_step, tf.int64) * given.examples_per_step
        rate = step_decay(given.base_learning_rate, given.decay, given.decay_examples, seen)
    else:
        decay = linear_decay if given.schedule == "linear" else cosine_decay
        rate = decay(given.base_learning_rate, tf.maximum(global_step - first, 0), given.max_steps - first)
    if given.warmup_steps:
        rate *= warm_up(global_step - given.start_step, given.warmup_steps)
    return create(given.name, given.custom, rate, given.scale_loss, given.weight_decay, given.rate_factor), rate


def warm_up(step, steps):
    """step / steps, and 1 from there on; 0 before step 0."""
    return tf.clip_by_value(tf.cast(step, tf.float32) / steps, 0.0, 1.0)


def step_decay(base_learning_rate, decay, decay_examples, examples_seen):
    """base * decay ** floor(examples_seen / decay_examples)."""
    periods = tf.floor(tf.cast(examples_seen, tf.float64) / decay_examples)
    return tf.cast(base_learning_rate * tf.pow(tf.constant(decay, tf.float64), periods), tf.float32)


def linear_decay(base_learning_rate, step, max_steps):
    """base * (1 - step / max_steps), zero after max_steps."""
    return base_learning_rate * tf.maximum(0.0, 1.0 - tf.cast(step, tf.float32) / max_steps)


def cosine_decay(base_learning_rate, step, max_steps):
    """base * (1 + cos(pi * step / max_steps)) / 2, zero after max_steps (Loshchilov and Hutter, "SGDR", equation 5)."""
    share = tf.minimum(tf.cast(step, tf.float32) / max_steps, 1.0)
    return base_learning_rate * 0.5 * (1.0 + tf.cos(np.pi * share))


def create(name, custom, learning_rate, scale_loss=False, weight_decay=0.01, factor=None):
    """An optimizer.

    Args:
      name: one of OPTIMIZERS, used unless `custom` is given.
      custom: '', `bert` (AdamW) or `radam`.
      learning_rate: scalar tensor.
      scale_loss: whether to scale the loss before its gradients are computed, as far as they stay finite, so that
        small gradients do not vanish in float16 (Micikevicius et al., "Mixed precision training", section 3.2). Two
        extra variables keep the scale; a step whose gradients are not finite lowers it and updates nothing else.
      weight_decay: of AdamW.
      factor: RateFactor or None.

    Raises:
      InputError: there is no such optimizer.
    """
    optimizer = _create(name, custom, learning_rate, weight_decay)
    if factor:
        optimizer = _FactoredOptimizer(
            optimizer, _create(name, custom, factor.factor * learning_rate, weight_decay), factor)
    return _LossScaleOptimizer(optimizer, "dynamic") if scale_loss else optimizer


def _create(name, custom, learning_rate, weight_decay):
    if custom not in CUSTOM_OPTIMIZERS:
        raise InputError("--custom_optimizer=%s is unknown: leave it empty or choose bert or radam." % custom)
    if custom == "bert":
        return AdamWeightDecayOptimizer(learning_rate, weight_decay)
    if custom == "radam":
        return RAdamOptimizer(learning_rate)
    if name not in OPTIMIZERS:
        raise InputError("--optimizer=%s is unknown: choose one of %s." % (name, ", ".join(sorted(OPTIMIZERS))))
    return OPTIMIZERS[name](learning_rate)


class _LossScaleOptimizer(tf1.train.experimental.MixedPrecisionLossScaleOptimizer):
    """TensorFlow's own, except that the wrapped optimizer's variables keep the names that they have without it."""

    def apply_gradients(self, grads_and_vars, global_step=None, name=None):
        with tf.init_scope():  # TensorFlow's own creates them within a tf.cond and names them after it
            self._optimizer._create_slots([variable for _, variable in grads_and_vars])
        return super(_LossScaleOptimizer, self).apply_gradients(grads_and_vars, global_step, name)


class _FactoredOptimizer(tf1.train.Optimizer):
    """Updates the variables of a RateFactor by an optimizer of their rate, and the others by another one."""

    def __init__(self, of_others, of_matching, factor):
        super(_FactoredOptimizer, self).__init__(use_locking=False, name="Factored")
        self._optimizers, self._factor, self._used = (of_others, of_matching), factor, []

    def _create_slots(self, var_list):
        names = [variable.op.name for variable in var_list]
        if not any(map(self._matches, names)):
            raise InputError("--rate_factor=%s=%g matches the whole name of none of the %d variables that are trained, "
                             "such as %s." % (self._factor + (len(names), names[0])))
        self._used = []
        for index, optimizer in enumerate(self._optimizers):
            variables = [variable for variable in var_list if self._matches(variable.op.name) == index]
            if variables:
                optimizer._create_slots(variables)
                self._used.append(optimizer)

    def _matches(self, name):
        return bool(re.fullmatch(self._factor.pattern, name))

    def _prepare(self):
        for optimizer in self._used:
            optimizer._prepare()

    def _apply_dense(self, grad, var):
        return self._optimizers[self._matches(var.op.name)]._apply_dense(grad, var)

    def _resource_apply_dense(self, grad, handle):
        return self._optimizers[self._matches(handle.op.name)]._resource_apply_dense(grad, handle)

    def _finish(self, update_ops, name_scope):
        finished = [optimizer._finish(update_ops, "update_%d" % index) for index, optimizer in enumerate(self._used)]
        return tf.group(*finished, name=name_scope)


class _MomentsOptimizer(tf1.train.Optimizer):
    """Keeps running means `m` of each variable's gradient and `v` of its square, for subclasses to step from."""

    beta1, beta2 = 0.9, 0.999

    def __init__(self, learning_rate, name):
        super(_MomentsOptimizer, self).__init__(use_locking=False, name=name)
        self._learning_rate = learning_rate

    def _create_slots(self, var_list):
        for variable in var_list:
            self._zeros_slot(variable, "m", self._name)
            self._zeros_slot(variable, "v", self._name)

    def _moments(self, gradient, variable):
        m, v = self.get_slot(variable, "m"), self.get_slot(variable, "v")
        return (m.assign(self.beta1 * m + (1 - self.beta1) * gradient),
                v.assign(self.beta2 * v + (1 - self.beta2) * tf.square(gradient)))

    def _resource_apply_dense(self, grad, handle):
        return self._apply_dense(grad, handle)


class AdamWeightDecayOptimizer(_MomentsOptimizer):
    """Adam without bias correction, with decoupled weight decay, as BERT is fine-tuned.

    Biases and layer norms do not decay (google-research/bert; Loshchilov and Hutter,
    "Decoupled weight decay regularization").
    """

    def __init__(self, learning_rate, weight_decay=0.01, epsilon=1e-6):
        super(AdamWeightDecayOptimizer, self).__init__(learning_rate, "AdamWeightDecay")
        self._weight_decay, self._epsilon = weight_decay, epsilon

    def _apply_dense(self, grad, var):
        m, v = self._moments(grad, var)
        update = m / (tf.sqrt(v) + self._epsilon)
        leaf = var.op.name.rsplit("/", 1)[-1]
        if not leaf.endswith(("bias", "biases", "beta", "gamma")):
            update += self._weight_decay * var
        return var.assign_sub(self._learning_rate * update).op


class RAdamOptimizer(_MomentsOptimizer):
    """Rectified Adam (Liu et al., "On the variance of the adaptive learning rate and beyond", algorithm 2)."""

    def __init__(self, learning_rate, epsilon=1e-8):
        super(RAdamOptimizer, self).__init__(learning_rate, "RAdam")
        self._epsilon = epsilon

    def _create_slots(self, var_list):
        super(RAdamOptimizer, self)._create_slots(var_list)
        self._create_non_slot_variable(0.0, "radam_step", min(var_list, key=lambda variable: variable.name))

    def _prepare(self):
        graph = tf1.get_default_graph()
        self._step = self._get_non_slot_variable("radam_step", graph) + 1.0

    def _apply_dense(self, grad, var):
        m, v = self._moments(grad, var)
        decayed = tf.pow(self.beta2, self._step)
        longest = 2 / (1 - self.beta2) - 1
        length = longest - 2 * self._step * decayed / (1 - decayed)
        rectifier = tf.sqrt(tf.maximum(0.0, (length - 4) * (length - 2) * longest
                                       / ((longest - 4) * (longest - 2) * length)))
        mean = m / (1 - tf.pow(self.beta1, self._step))
        # In the first steps, when the variance of 1/sqrt(v) is intractable, this is plain momentum.
        update = tf.where(length > 4, rectifier * mean / (tf.sqrt(v / (1 - decayed)) + self._epsilon), mean)
        return var.assign_sub(self._learning_rate * update).op

    def _finish(self, update_ops, name_scope):
        step = self._get_non_slot_variable("radam_step", tf1.get_default_graph())
        with tf.control_dependencies(update_ops), tf1.colocate_with(step):
            return tf.group(*(update_ops + [step.assign(self._step).op]), name=name_scope)
