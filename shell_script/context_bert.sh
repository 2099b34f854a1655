#!/usr/bin/env bash
# ContextSegment with two BERTMean(L2H12) encoders; not part of the published ensemble.
# Usage: shell_script/context_bert.sh --help
encoder=bert_mean_l2h12  # if that model is pre-trained already, its checkpoint is taken
encoder_flags=(--model=Bert --bert_hidden_layer=2 --bert_attention_heads=12 --pooling_strategy=mean
  --sample_random_frames=False --moe_l2=0.000001)
model_flags=(--model=ContextSegment
  --context_encoder=Bert --context_bert_hidden_layer=2 --context_bert_attention_heads=12 --context_pooling_strategy=mean
  --segment_encoder=Bert --segment_bert_hidden_layer=2 --segment_bert_attention_heads=12 --segment_pooling_strategy=mean
  --moe_l2=0.000001)
finetune_flags=(--negative_weight=0.5 --custom_optimizer=bert --weight_decay=0.02 --learning_rate_schedule=linear
  --base_learning_rate=0.0002 "--rate_factor=tower/segment/.*=0.5")
warmup_part=4
shifts=-2,-1,0,1
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/model.sh"
run_model "$@"
