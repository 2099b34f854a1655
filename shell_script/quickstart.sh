#!/usr/bin/env bash
# From nothing to ranked CSVs: sets up, makes synthetic records, pre-trains a small BERTMean on video labels,
# fine-tunes it on segment labels, evaluates it, and ranks the segments of the holdout and of the test
# partition at frame shifts -2..1. Usage: bash shell_script/quickstart.sh [FOLDER]   (default: quickstart)
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
out=$(mkdir -p "${1:-$root/quickstart}" && cd "${1:-$root/quickstart}" && pwd)
bash "$root/shell_script/setup.sh"
cd "$root"

data=$out/data
model=$out/bert_mean_small
holdout=(--holdout_shards=2)
frame_features=(--frame_features "--feature_names=rgb,audio" "--feature_sizes=1024,128")
small_bert=(--model=Bert --bert_hidden_layer=1 --bert_attention_heads=12 --pooling_strategy=mean
  --video_level_classifier_model=LogisticModel)
schedule=(--batch_size=32 --num_epochs=0 --base_learning_rate=0.0005 --learning_rate_decay=0.9
  --export_model_steps=1000)
pretrain_steps=150
finetune_steps=270

step() { printf '\n== %s (%d s since the start)\n' "$1" "$SECONDS"; }
run() { .venv/bin/python "$@"; }

step "1/6 synthetic records in $data"
run src/make_synthetic_data.py --output_dir="$data"

step "2/6 pre-training on video labels, $pretrain_steps steps"
run src/train.py "${small_bert[@]}" "${frame_features[@]}" "${schedule[@]}" "${holdout[@]}" \
  --train_dir="$model" --start_new_model --max_steps=$pretrain_steps \
  --train_data_pattern="$data/2/frame/train/train*.tfrecord" \
  --train_all --train_valid_data_pattern="$data/2/frame/validate/validate*.tfrecord"

step "3/6 fine-tuning on segment labels, to step $finetune_steps"
run src/train.py "${small_bert[@]}" "${frame_features[@]}" "${schedule[@]}" "${holdout[@]}" \
  --train_dir="$model" --segment_labels --max_steps=$finetune_steps \
  --train_data_pattern="$data/3/frame/validate/validate*.tfrecord"

step "4/6 evaluation on the holdout: after pre-training, after fine-tuning"
for which in $pretrain_steps latest; do
  run src/eval.py --train_dir="$model" --segment_labels --run_once --checkpoint_file="$which" "${holdout[@]}" \
    --eval_data_pattern="$data/3/frame/validate/validate*.tfrecord"
done

step "5/6 inference at shifts -2, -1, 0, 1: holdout, then test"
for partition in validate test; do
  run src/inference.py --train_dir="$model" --segment_labels --shift=-2,-1,0,1 --top_k=1000 "${holdout[@]}" \
    --input_data_pattern="$data/3/frame/$partition/$partition*.tfrecord" \
    --output_file="$out/${partition/validate/oof}.csv"
done

step "6/6 mAP on the holdout"
score() {
  local result
  result=$(run src/segment_eval_inference.py --submission_file="$2" --label_cache="$out/labels.csv" "${holdout[@]}" \
    --eval_data_pattern="$data/3/frame/validate/validate*.tfrecord")
  printf '%-46s %s\n' "$1" "$result"
}
rm -f "$out/labels.csv"
score "chance" "$data/baseline_chance.csv"
score "true video labels, nothing known of the time" "$data/baseline_video_labels.csv"
for shift in -2 -1 0 1; do
  suffix=_shift$shift
  score "BERTMean (small), shift $shift" "$out/oof${suffix/_shift0/}.csv"
done

step "done; outputs in $out"
printf '%s\n' "model, checkpoints, SavedModels   $model" "ranked segments of the holdout    $out/oof*.csv" \
  "ranked segments of the test part  $out/test*.csv"
