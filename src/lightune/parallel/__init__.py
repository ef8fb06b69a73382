"""One model over several processes: strategy, tensors that are in parts, and which layers can be split."""
