#!/usr/bin/env bash
# BERT(L3H12). Usage: shell_script/bert_l3h12.sh --help
model_flags=(--model=Bert --bert_hidden_layer=3 --bert_attention_heads=12 --pooling_strategy=none
  --sample_random_frames=False --moe_l2=0.000001)
shifts=-1,0,1
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/model.sh"
run_model "$@"
