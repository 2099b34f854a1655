# shellcheck shell=bash
# Shared by the models' scripts. A script sets model_flags, shifts and, if it is not 512, inference_batch_size,
# sources this file and calls run_model. It may also set
#   finetune_flags   extra flags of the fine-tuning
#   warmup_part      4: the fine-tuning's learning rate rises over the first quarter of its steps
#   infer_flags      extra flags of infer-oof and infer-test
#   prior_flags      flags of --video_predictions; steps of their own make these with the pre-trained model
#   average=yes      the step average is part of all
#   encoder          name of the model whose pre-training gives ContextSegment the weights of its encoders, and
#   encoder_flags    its flags; the fine-tuning then begins at step 0, in a folder of its own
set -euo pipefail
unset CDPATH PYTHONPATH PYTHONHOME

# Stops if one of the first two is missing; the others are named for shellcheck, which sees nobody assign them.
: "${shifts:?} ${model_flags[0]:?} ${finetune_flags[*]:-} ${infer_flags[*]:-} ${encoder_flags[*]:-}"
shell_script=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
root=$(cd "$shell_script/.." && pwd)
name=$(basename "$(readlink -f "${BASH_SOURCE[1]}")" .sh)
steps=(pretrain finetune eval average evaluate-best infer-oof infer-test)
video_usage=
if [ -n "${prior_flags[*]:-}" ]; then
  steps=(pretrain finetune eval average evaluate-best video-model infer-video-oof infer-video-test infer-oof infer-test)
  video_usage="
  video-model       copy the model of the pre-training's last checkpoint, which knows whole videos
  infer-video-oof   predict the holdout's videos with it, which infer-oof needs
  infer-video-test  predict the test partition's videos with it, which infer-test needs"
fi
pretrain_usage='train on the labels of whole videos'
finetune_usage='continue on rated segments'
finetune_default=220000
if [ -n "${encoder:-}" ]; then
  pretrain_usage="train the encoder on the labels of whole videos, as the model $encoder"
  finetune_usage='train on rated segments, with the weights of this encoder in both encoders'
  finetune_default=12000
fi

usage() {
  cat << END
Usage: shell_script/$name.sh STEP [--on local|ai-platform|vertex] [--dry_run]

  pretrain        $pretrain_usage
  finetune        $finetune_usage
  eval            evaluate every checkpoint of the fine-tuning on the holdout
  average         evaluate means of these: of the best 2, 3, 5 and 10, and of the last; part of all: ${average:-no}
  evaluate-best   evaluate the best of all again, averages included, which makes it the inference model$video_usage
  infer-oof       rank the segments of the holdout (out-of-fold), shifts $shifts
  infer-test      rank the segments of the test partition, shifts $shifts
  all             all of these in turn, locally; skips what is done already, if MODELS_DIR and PREDICTIONS_DIR are
                  folders of this machine
  prune           after evaluate-best, locally: remove all checkpoints but the best, the last of the pre-training and
                  the newest, and all averages but the best

--on names where the step runs: here (local), as a Vertex AI custom job (vertex) or as an AI Platform Training job
(ai-platform, which Google has shut down). --dry_run prints the commands and runs nothing.

From the environment (default):
  TENSORFLOW          1 for TensorFlow 1.15, 2 for TensorFlow 2 (1, or 2 where 1.15 cannot run)
  DATA_DIR            folder of 2/frame/train and so on (local: ~/yt8m, cloud: gs://youtube8m-ml)
  MODELS_DIR          folder of all models (local: ~/models, cloud: \$BUCKET/models)
  PREDICTIONS_DIR     folder of the ranked CSVs (local: ~/predictions, cloud: \$BUCKET/predictions)
  BUCKET, REGION      bucket of the cloud job, such as gs://your-bucket (none), and its region (us-central1)
  PRETRAIN_MAX_STEPS, FINETUNE_MAX_STEPS         global steps at which training ends (200000, $finetune_default)
  PRETRAIN_EXPORT_STEPS, FINETUNE_EXPORT_STEPS   steps between checkpoints (1000, 200)
  PRETRAIN_MAX_TO_KEEP   newest checkpoints of the pre-training to keep, 0: all (3); the fine-tuning keeps all
  BATCH_SIZE          videos or segments per training step (128)
  HOLDOUT_SHARDS      number of first shards of the validation partition to hold out (300)
  FOLD, NUM_FOLDS     instead, the fold to hold out, from 0 on (none), and their number (5); the model's folder and its
                      CSVs have the fold in their names: ${name}_fold2
  NUM_GPU             GPUs to train on, here or on the job's machine (1; ai-platform: 1 or 4)
  WORKERS, PARAMETER_SERVERS   extra machines for a cloud training, both or neither (0, 0); vertex: infer-oof and
                      infer-test score on the WORKERS, and the job's first machine has no GPU
  EXECUTOR_IMAGE      vertex: container with TensorFlow (tensorflow/tensorflow:1.15.0-gpu-py3, 2.21.0-gpu)
END
}

say() { printf '%s: %s\n' "$name" "$*" >&2; }
fail() { say "$@"; exit 1; }

# Prints a command as it would be typed.
show() {
  local word line=
  for word in "$@"; do
    case $word in
      '' | *[!A-Za-z0-9_./:=,@%+-]*) word=\'${word//\'/\'\\\'\'}\' ;;
    esac
    line+=" $word"
  done
  printf '%s\n' "${line# }"
}

run() {
  if [ -n "$dry_run" ]; then show "$@"; else "$@"; fi
}

# A path as seen from any folder.
absolute() {
  case $1 in
    /* | *://*) printf '%s\n' "$1" ;;
    *) printf '%s\n' "$PWD/$1" ;;
  esac
}

# Fails if a named variable is set to anything but a whole number.
check_numbers() {
  local variable
  for variable in "$@"; do
    [[ ${!variable:-0} =~ ^(0|[1-9][0-9]*)$ ]] || fail "$variable=${!variable} is not a whole number"
  done
}

set_paths() {
  local path
  if [ "$on" = local ]; then
    data=$(absolute "${DATA_DIR:-$HOME/yt8m}")
    models=$(absolute "${MODELS_DIR:-$HOME/models}")
    predictions=$(absolute "${PREDICTIONS_DIR:-$HOME/predictions}")
  else
    [ -n "${BUCKET:-}" ] || fail "a cloud job needs a bucket for its code and outputs: export BUCKET=gs://your-bucket"
    bucket=${BUCKET%/}
    data=${DATA_DIR:-gs://youtube8m-ml}
    models=${MODELS_DIR:-$bucket/models}
    predictions=${PREDICTIONS_DIR:-$bucket/predictions}
    for path in "DATA_DIR=$data" "MODELS_DIR=$models" "PREDICTIONS_DIR=$predictions"; do
      case "$bucket $path" in
        'gs://'*=*'://'* | 'gs://'*=/gcs/*) ;;
        'gs://'*) fail "$path is a folder of this machine, which a job does not see: unset it or give a gs:// path" ;;
      esac
    done
  fi
  check_numbers PRETRAIN_MAX_STEPS FINETUNE_MAX_STEPS PRETRAIN_EXPORT_STEPS FINETUNE_EXPORT_STEPS \
    PRETRAIN_MAX_TO_KEEP BATCH_SIZE HOLDOUT_SHARDS FOLD NUM_FOLDS NUM_GPU WORKERS PARAMETER_SERVERS
  set_split
  train_dir=$models/$model
  pretrain_max_steps=${PRETRAIN_MAX_STEPS:-200000}
  finetune_max_steps=${FINETUNE_MAX_STEPS:-$finetune_default}
  video_model=$train_dir/pretrained_$pretrain_max_steps
  pretrain_dir=$train_dir
  finetune_start=$pretrain_max_steps
  if [ -n "${encoder:-}" ]; then
    pretrain_dir=$models/$encoder${model#"$name"}
    finetune_start=0
  fi
  pretrained=$pretrain_dir/model.ckpt-$pretrain_max_steps
  num_gpu=${NUM_GPU:-1}
  workers=${WORKERS:-0}
  parameter_servers=${PARAMETER_SERVERS:-0}
}

# Sets the model's name with its fold, and the flags of the holdout.
set_split() {
  local folds=${NUM_FOLDS:-5}
  model=$name
  holdout=(--holdout_shards="${HOLDOUT_SHARDS:-300}")
  if [ -z "${FOLD:-}" ]; then
    [ -z "${NUM_FOLDS:-}" ] || fail "NUM_FOLDS=$NUM_FOLDS needs FOLD, the fold to hold out"
    return
  fi
  ((folds >= 2)) || fail "NUM_FOLDS=$folds makes no split: give 2 or more"
  ((FOLD < folds)) || fail "FOLD=$FOLD is not one of the $folds folds: give 0 to $((folds - 1)), or set NUM_FOLDS"
  [ -z "${HOLDOUT_SHARDS:-}" ] ||
    fail "HOLDOUT_SHARDS=$HOLDOUT_SHARDS and FOLD=$FOLD both say what is held out: unset one"
  model=${name}_fold$FOLD
  holdout=(--num_folds="$folds" --fold="$FOLD")
}

# The predictions of a partition's videos; in a folder of their own, as the others' names are taken for rankings.
video_file() {
  printf '%s\n' "$predictions/videos/${model}_$1.csv"
}

# Sets the program and flags of a step.
set_flags() {
  local rated="$data/3/frame/validate/validate*.tfrecord"
  local train=(--frame_features "--feature_names=rgb,audio" "--feature_sizes=1024,128"
    --batch_size="${BATCH_SIZE:-128}" --num_epochs=0 --base_learning_rate=0.0001 --learning_rate_decay=0.9
    --num_gpu="$num_gpu" "${holdout[@]}")
  local apply=(--train_dir="$train_dir" --segment_labels --batch_size="${inference_batch_size:-512}" --top_k=1000
    "${holdout[@]}")
  local evaluate=("${apply[@]}" --eval_data_pattern="$rated")
  local infer=("${apply[@]}" --shift="$shifts" --segment_max_pred=100000 ${infer_flags[@]+"${infer_flags[@]}"})
  local videos=(--train_dir="$video_model" --batch_size=128 --top_k=50 "${holdout[@]}")
  local tune=(${finetune_flags[@]+"${finetune_flags[@]}"}) test="$data/3/frame/test/test*.tfrecord"
  [ -z "${warmup_part:-}" ] || tune+=(--schedule_start_step="$finetune_start"
    --warmup_steps=$(((finetune_max_steps - finetune_start) / warmup_part)))
  local pretrain_flags=("${model_flags[@]}")
  [ -z "${encoder:-}" ] || {
    pretrain_flags=("${encoder_flags[@]}")
    tune+=(--init_context="$pretrained" --init_segment="$pretrained")
  }
  if [ "$on" != local ]; then  # see copy_files_to_bucket
    local config=$bucket/bert_config.json classes=$bucket/segment_label_ids.csv
    local configs=(--bert_config_file="$config")
    pretrain_flags+=("${configs[@]}")
    [ -z "${encoder:-}" ] || configs=(--context_bert_config_file="$config" --segment_bert_config_file="$config")
    tune+=("${configs[@]}")
    evaluate+=("${configs[@]}")
    infer+=("${configs[@]}" --segment_label_ids_file="$classes")
    videos+=("${configs[@]}")
    [[ " ${tune[*]}" != *" --negative_weight="* ]] || tune+=(--segment_label_ids_file="$classes")
  fi
  case $1 in
    pretrain)
      program='train'
      flags=("${pretrain_flags[@]}" "${train[@]}" --train_dir="$pretrain_dir" --max_steps="$pretrain_max_steps"
        --export_model_steps="${PRETRAIN_EXPORT_STEPS:-1000}" --max_to_keep="${PRETRAIN_MAX_TO_KEEP:-3}"
        --train_data_pattern="$data/2/frame/train/train*.tfrecord" --train_all
        --train_valid_data_pattern="$data/2/frame/validate/validate*.tfrecord")
      ;;
    finetune)
      program='train'
      flags=("${model_flags[@]}" "${train[@]}" --train_dir="$train_dir" --max_steps="$finetune_max_steps"
        --export_model_steps="${FINETUNE_EXPORT_STEPS:-200}" --noexport_saved_models --segment_labels
        --train_data_pattern="$rated" ${tune[@]+"${tune[@]}"})
      ;;
    eval)
      program='eval'
      flags=("${evaluate[@]}" --norun_once --checkpoint_file=$((finetune_start + 1)) --checkpoint_timeout_secs=0)
      ;;
    average)
      program='eval'
      flags=("${evaluate[@]}" "--averages=2,3,5,10" --checkpoint_file=$((finetune_start + 1)))
      ;;
    evaluate-best)
      program='eval'
      flags=("${evaluate[@]}" --run_once --checkpoint_file=best)
      ;;
    video-model)
      program='average_checkpoints'
      flags=(--train_dir="$train_dir" --checkpoints="$pretrain_max_steps" --output_dir="$video_model")
      ;;
    infer-video-oof)
      program='inference'
      flags=("${videos[@]}" --input_data_pattern="$rated" --output_file="$(video_file oof)")
      ;;
    infer-video-test)
      program='inference'
      flags=("${videos[@]}" --input_data_pattern="$test" --output_file="$(video_file test)")
      ;;
    infer-oof)
      program='inference'
      flags=("${infer[@]}" --input_data_pattern="$rated" --output_file="$predictions/${model}_oof.csv")
      ;;
    infer-test)
      program='inference'
      flags=("${infer[@]}" --input_data_pattern="$test" --output_file="$predictions/${model}_test.csv")
      ;;
  esac
  case ${prior_flags[*]+$1} in
    infer-oof | infer-test) flags+=(--video_predictions="$(video_file "${1#infer-}")" "${prior_flags[@]}") ;;
  esac
}

# A cloud job's package holds only src/, so the two files that its flags name go to the bucket.
copy_files_to_bucket() {
  local copy=(cp)
  case $bucket in
    gs://*) copy=(gcloud storage cp) ;;
  esac
  run "${copy[@]}" bert_config.json segment_label_ids.csv "$bucket/"
}

check_machines() {
  case "$workers $parameter_servers" in
    '0 0' | [1-9]*' '[1-9]*) ;;
    *) fail "WORKERS=$workers and PARAMETER_SERVERS=$parameter_servers: set both or neither" ;;
  esac
}

submit_to_ai_platform() {
  local machines=() machine=standard_p100
  if [ "$program" = train ]; then
    check_machines
    case $num_gpu in
      1) ;;
      4)
        machine=complex_model_m_p100
        machines=(--master-machine-type="$machine")
        ;;
      *) fail "NUM_GPU=$num_gpu: AI Platform's machines have 1 or 4 GPUs of this kind" ;;
    esac
    if [ "$workers" != 0 ]; then
      machines+=(--worker-count="$workers" --worker-machine-type="$machine"
        --parameter-server-count="$parameter_servers" --parameter-server-machine-type=large_model)
    fi
  fi
  run gcloud ai-platform jobs submit training "$job" --package-path=src --module-name="src.$program" \
    --staging-bucket="$bucket" --region="$region" --config=src/cloudml-gpu.yaml ${machines[@]+"${machines[@]}"} \
    -- "${flags[@]}"
}

# Makes a folder with what a job of TensorFlow 2 needs: gcloud installs the requirements.txt beside the package.
make_package() {
  run mkdir "$1"
  run cp -R src "$1/src"
  run cp requirements-tf2.txt "$1/requirements.txt"
}

submit_to_vertex() {
  local IFS='|' gpus=1 gpu=NVIDIA_TESLA_P100 first pools=() package=. software code=0
  software=executor-image-uri=${EXECUTOR_IMAGE:-tensorflow/tensorflow:1.15.0-gpu-py3}
  if [ "$tensorflow" = 2 ]; then
    gpu=NVIDIA_TESLA_T4  # today's cuDNN does not run on a P100
    package=${TMPDIR:-/tmp}/$job
    # The cuDNN in the image is reported not to fit its TensorFlow; and-cuda brings another.
    software="executor-image-uri=${EXECUTOR_IMAGE:-tensorflow/tensorflow:2.21.0-gpu},$(
      )requirements=tensorflow[and-cuda]==2.21.0"
  fi
  [ "$program" != train ] || gpus=$num_gpu
  gpu=,accelerator-type=$gpu,accelerator-count=$gpus
  first=$gpu
  case $program in
    train)
      check_machines
      [ "$workers" = 0 ] || pools+=("--worker-pool-spec=machine-type=n1-standard-8,replica-count=$workers$gpu"
        "--worker-pool-spec=machine-type=n1-highmem-8,replica-count=$parameter_servers")
      ;;
    inference)
      [ "$workers" = 0 ] || {
        pools+=("--worker-pool-spec=machine-type=n1-standard-8,replica-count=$workers$gpu")
        first=  # only the workers score
      }
      ;;
  esac
  # All pools use the first pool's image.
  pools=("--worker-pool-spec=machine-type=n1-standard-8,replica-count=1$first,$software,local-package-path=$package,$(
    )python-module=src.$program" ${pools[@]+"${pools[@]}"})
  [ "$package" = . ] || make_package "$package"
  # ^|^ makes | the separator of the list: --feature_names=rgb,audio holds a comma.
  run gcloud ai custom-jobs create --region="$region" --display-name="$job" "${pools[@]}" --args="^|^${flags[*]}" ||
    code=$?
  [ "$package" = . ] || run rm -r "$package"
  return "$code"
}

run_step() {
  local region=${REGION:-us-central1} job
  job=${model}_${1//-/_}_$(date +%Y%m%d_%H%M%S)
  set_flags "$1"
  case $on in
    local)
      if [ "$1" = finetune ] && [ -z "$dry_run" ] && [ "${train_dir#*://}" = "$train_dir" ]; then
        [ -e "$pretrained.index" ] || [ -n "$(ask latest)" ] ||
          fail "$pretrain_dir holds no checkpoint to fine-tune: run the step pretrain first"
      fi
      run "$environment/bin/python" "src/$program.py" "${flags[@]}"
      ;;
    ai-platform)
      copy_files_to_bucket
      submit_to_ai_platform
      ;;
    vertex)
      copy_files_to_bucket
      submit_to_vertex
      ;;
  esac
}

# Prints the answer of src/checkpoints.py in a mode; nothing if the model has no folder. A --dry_run asks too, if there
# is a virtual environment.
ask() {
  [ -d "$train_dir" ] || return 0
  [ -z "$dry_run" ] || [ -x "$environment/bin/python" ] || return 0
  "$environment/bin/python" src/checkpoints.py --mode="$1" --train_dir="$train_dir" "${holdout[@]}" \
    --pretrain_max_steps="$finetune_start" --finetune_max_steps="$finetune_max_steps" ${dry_run:+--dry_run}
}

# Whether the ranked CSVs of all shifts exist and are newer than the model, and than the predictions of videos.
ranked() {
  local shift file
  for shift in ${shifts//,/ }; do
    file=$predictions/${model}_${1}_shift$shift.csv
    file=${file/_shift0.csv/.csv}
    [ "$file" -nt "$train_dir/inference_model" ] || return 1
    [ -z "${prior_flags[*]:-}" ] || [ "$file" -nt "$(video_file "$1")" ] || return 1
  done
}

# Runs all steps but those that are done already.
run_all() {
  local one answer='' is_known=''
  [ "$on" = local ] || fail "all runs locally: a cloud job is only queued, so submit each step when the one before has ended"
  for one in "${steps[@]}"; do
    [ "$one,${average:-no}" != average,no ] || continue
    case $one in
      infer-* | video-model) ;;
      *) [ -n "$is_known" ] || answer=$(ask "done"); is_known=yes ;;
    esac
    if is_done "$one"; then
      say "$one is done already: skipped"
    else
      say "$one"
      run_step "$one"
      is_known=$dry_run
    fi
  done
}

# Whether a step is done, according to run_all's answer.
is_done() {
  case $1 in
    video-model) [ "$video_model" -nt "$pretrained.index" ] ;;
    pretrain) [[ -n ${encoder:-} && -e $pretrained.index ]] || grep -qxF "$1" <<< "$answer" ;;
    infer-video-*) [ "$(video_file "${1#infer-video-}")" -nt "$video_model" ] ;;
    infer-*) ranked "${1#infer-}" ;;
    *) grep -qxF "$1" <<< "$answer" ;;
  esac
}

prune() {
  [ "$on" = local ] || fail "prune works on folders of this machine: leave out --on=$on"
  [ -d "$train_dir" ] || fail "prune works on folders of this machine, and $train_dir is not one: check MODELS_DIR"
  set_up
  ask prune
}

set_up() {
  bash "$shell_script/setup.sh"
  source "$shell_script/environment.sh"  # set-up may change its answer
}

run_model() {
  local step='' one program flags
  on=local dry_run=
  while [ $# -gt 0 ]; do
    case $1 in
      -h | --help) usage; return ;;
      --dry_run) dry_run=yes ;;
      --on=*) on=${1#--on=} ;;
      --on) on=${2:-}; shift $(($# > 1)) ;;
      -*) fail "unknown option $1: there are --on and --dry_run" ;;
      *) [ -z "$step" ] || fail "two steps, $step and $1: give one, or all"; step=$1 ;;
    esac
    shift
  done
  case " ${steps[*]} all prune " in
    *" $step "*) ;;
    *) fail "give a step: ${steps[*]}, all or prune (--help explains them)${step:+; $step is not one}" ;;
  esac
  case $on in
    local | vertex | ai-platform) ;;
    *) fail "--on=$on is unknown: choose local, ai-platform or vertex" ;;
  esac
  source "$shell_script/environment.sh"
  [ "$on,$tensorflow" != ai-platform,2 ] ||
    fail "AI Platform has no TensorFlow 2: take --on=vertex, or TENSORFLOW=1 for TensorFlow 1.15"
  set_paths
  cd "$root"
  if [ "$step" = prune ]; then
    prune
    return
  fi
  if [ -n "$dry_run" ]; then
    run cd "$root"
  elif [ "$on" = local ]; then
    set_up
  else
    command -v gcloud > /dev/null || fail "gcloud is not on the PATH: install the Google Cloud CLI"
  fi
  if [ "$step" = all ]; then
    run_all
  else
    run_step "$step"
  fi
}
