#!/usr/bin/env bash
# BERTCrossMean(L2H8). Usage: shell_script/bertcross_mean_l2h8.sh --help
model_flags=(--model=BertCross --bert_hidden_layer=2 --bert_attention_heads=8 --pooling_strategy=mean
  --sample_random_frames=False --moe_l2=0.000001)
shifts=-1,0,1
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/model.sh"
run_model "$@"
