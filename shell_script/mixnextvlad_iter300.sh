#!/usr/bin/env bash
# MixNeXtVLAD(Iter 300). Usage: shell_script/mixnextvlad_iter300.sh --help
model_flags=(--model=MixNeXtVLAD --iterations=300 --mix_number=3 --cl_temperature=3 --cl_lambda=9
  --groups=8 --nextvlad_cluster_size=112 --nextvlad_hidden_size=2048 --expansion=2 --gating_reduction=16 --drop_rate=0.5
  --video_level_classifier_model=LogisticModel --l2_penalty=0.00001 --moe_l2=0.000001)
inference_batch_size=128
shifts=-1,0,1
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/model.sh"
run_model "$@"
