#!/usr/bin/env bash
# From nothing to a submission: sets up, makes synthetic records, trains two small models (BERTMean and GatedNetVLAD)
# on video labels and then on segment labels, evaluates them, ranks the segments of the holdout and of the test
# partition at frame shifts -2..1, combines each model's shifts, tunes the models' weights, blends them and writes pages
# that show the holdout's rankings.
# Usage: [TENSORFLOW=2] bash shell_script/quickstart.sh [FOLDER]   (default: quickstart)
set -euo pipefail
unset CDPATH

shell_script=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
bash "$shell_script/setup.sh"
source "$shell_script/environment.sh"
root=$(cd "$shell_script/.." && pwd)
out=$(mkdir -p "${1:-$root/quickstart}" && cd "${1:-$root/quickstart}" && pwd)
cd "$root"

data=$out/data
# Of ten shards. With their 200 videos the mAP is accurate to some hundredths, and the difference between two shifts to
# some thousandths: combined shifts beat their mean, and mostly the best of them.
holdout=(--holdout_shards=4)
rated="$data/3/frame/validate/validate*.tfrecord"
features=(--frame_features "--feature_names=rgb,audio" "--feature_sizes=1024,128")
schedule=(--batch_size=32 --num_epochs=0 --learning_rate_decay=0.9 --export_model_steps=1000 --noexport_saved_models
  --seed=1)
pretrain_steps=150
finetune_steps=270
bert_mean_small=(--model=Bert --bert_hidden_layer=1 --bert_attention_heads=12 --pooling_strategy=mean
  --video_level_classifier_model=LogisticModel --base_learning_rate=0.0005)
gatednetvlad_small=(--model=GatedNetVLAD --netvlad_hidden_size=128 --netvlad_cluster_size=8 --gating
  --video_level_classifier_model=LogisticModel --base_learning_rate=0.002)

step() { printf '\n== %s (%d s since the start)\n' "$1" "$SECONDS"; }
run() { "$environment/bin/python" "$@"; }

# Trains, evaluates and runs a model: NAME FLAGS..
make_model() {
  local name=$1 partition which
  shift
  local train=("$@" "${features[@]}" "${schedule[@]}" "${holdout[@]}" --train_dir="$out/models/$name")
  step "$name: pre-training on video labels, $pretrain_steps steps"
  run src/train.py "${train[@]}" --start_new_model --max_steps=$pretrain_steps \
    --train_data_pattern="$data/2/frame/train/train*.tfrecord" \
    --train_all --train_valid_data_pattern="$data/2/frame/validate/validate*.tfrecord"
  step "$name: fine-tuning on segment labels, to step $finetune_steps"
  run src/train.py "${train[@]}" --segment_labels --max_steps=$finetune_steps --train_data_pattern="$rated"
  step "$name: evaluation on the holdout: after pre-training, after fine-tuning"
  for which in $pretrain_steps latest; do
    run src/eval.py --train_dir="$out/models/$name" --segment_labels --run_once --checkpoint_file="$which" \
      "${holdout[@]}" --eval_data_pattern="$rated"
  done
  step "$name: inference at shifts -2, -1, 0, 1: holdout, then test"
  for partition in validate test; do
    run src/inference.py --train_dir="$out/models/$name" --segment_labels --shift=-2,-1,0,1 --top_k=1000 "${holdout[@]}" \
      --input_data_pattern="$data/3/frame/$partition/$partition*.tfrecord" \
      --output_file="$out/predictions/${name}_${partition/validate/oof}.csv"
  done
}

step "synthetic records in $data"
run src/make_synthetic_data.py --output_dir="$data" --num_validate_shards=10
rm -rf "$out/combined" "$out/notebook" "$out/labels.csv" "$out/weights.json" "$out"/weights_log*.json
make_model bert_mean_small "${bert_mean_small[@]}"
make_model gatednetvlad_small "${gatednetvlad_small[@]}"

step "bert_mean_small: classes of each segment of the holdout, for the notebook"
run src/inference.py --train_dir="$out/models/bert_mean_small" --segment_labels --output_prob --top_k=20 \
  "${holdout[@]}" --input_data_pattern="$rated" --output_file="$out/predictions/bert_mean_small_oof_segments.csv"

step "ensemble: shifts combined, weights tuned on the holdout, test predictions blended"
mkdir -p "$out/combined"
for partition in oof test; do
  run src/ensemble.py --mode=combine_shifts --output_file="$out/combined/" \
    --input_files="$out/predictions/*_small_$partition.csv,$out/predictions/*_small_${partition}_shift*.csv"
done
run src/ensemble.py --mode=tune --input_files="$out/combined/*_oof.csv" --output_file="$out/weights.json" \
  --label_cache="$out/labels.csv" --eval_data_pattern="$rated" "${holdout[@]}" --init_points=20 --n_iter=30
run src/ensemble.py --mode=blend --input_files="$out/combined/*_oof.csv" --weights="$out/weights.json" \
  --output_file="$out/blend_oof.csv"
run src/ensemble.py --mode=blend --input_files="$out/combined/*_test.csv" --weights="$out/weights.json" \
  --output_file="$out/submission.csv"

step "mAP on the holdout: chance; true video labels without times; each shift; TTA (combined); blend"
(cd "$out" && "$root/$environment/bin/python" "$root/src/ensemble.py" --mode=report --label_cache=labels.csv \
  --vocabulary_file=data/vocabulary.csv --output_file=report.csv \
  --input_files="$(printf '%s,' data/baseline_*.csv predictions/*_oof.csv predictions/*_oof_shift*.csv \
    combined/*_oof.csv)blend_oof.csv")

step "pages: the classes, their best segments in each file, the videos over time"
(cd "$out" && "$root/$environment/bin/python" "$root/src/explore.py" --label_cache=labels.csv --output_dir=explore \
  --vocabulary_file=data/vocabulary.csv --segment_scores=predictions/bert_mean_small_oof_segments.csv \
  --input_files="combined/*_oof.csv,blend_oof.csv")

step "done; outputs in $out"
printf '%s\n' "submission                        $out/submission.csv" \
  "models and their checkpoints      $out/models" "ranked segments at each shift     $out/predictions" \
  "figures of each class             $out/report.csv" \
  "look at the rankings in           $out/explore/index.html, which any browser opens" \
  "look at everything in             Ensemble.ipynb"
