#!/usr/bin/env bash
# ContextSegment with two NeXtVLAD encoders; not part of the published ensemble.
# Usage: shell_script/context_nextvlad.sh --help
encoder=nextvlad
encoder_flags=(--model=NeXtVLAD --iterations=60 --moe_l2=0.000001)
model_flags=(--model=ContextSegment --context_encoder=NeXtVLAD --segment_encoder=NeXtVLAD --moe_l2=0.000001)
finetune_flags=(--negative_weight=0.5 --custom_optimizer=bert --weight_decay=0.02 --learning_rate_schedule=linear
  --base_learning_rate=0.0002 "--rate_factor=tower/segment/.*=0.5")
warmup_part=4
shifts=-1,0,1
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/model.sh"
run_model "$@"
