#!/usr/bin/env bash
# BERTFirst(L2H12). Usage: shell_script/bert_first_l2h12.sh --help
# The model published under this name pooled the last position.
model_flags=(--model=Bert --bert_hidden_layer=2 --bert_attention_heads=12 --pooling_strategy=last
  --sample_random_frames=False --moe_l2=0.000001)
shifts=-2,-1,0,1
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/model.sh"
run_model "$@"
