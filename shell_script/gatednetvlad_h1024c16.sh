#!/usr/bin/env bash
# GatedNetVLAD(H1024C16). Usage: shell_script/gatednetvlad_h1024c16.sh --help
model_flags=(--model=GatedNetVLAD --netvlad_hidden_size=1024 --netvlad_cluster_size=16 --gating
  --moe_prob_gating --moe_l2=0.000001)
shifts=-1,0,1
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/model.sh"
run_model "$@"
