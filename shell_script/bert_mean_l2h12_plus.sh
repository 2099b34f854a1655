#!/usr/bin/env bash
# BERTMean(L2H12) with what systems above it did. Usage: shell_script/bert_mean_l2h12_plus.sh --help
model_flags=(--model=Bert --bert_hidden_layer=2 --bert_attention_heads=12 --pooling_strategy=mean
  --sample_random_frames=False --moe_l2=0.000001)
finetune_flags=(--negative_weight=0.5 --custom_optimizer=bert --weight_decay=0.02 --learning_rate_schedule=linear)
warmup_part=4
average=yes
infer_flags=(--skip_first_segments=6 --skip_last_segments=2)
prior_flags=(--candidates=20 --prior_weight=0.3)
shifts=-2,-1,0,1
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/model.sh"
run_model "$@"
