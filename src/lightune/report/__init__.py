"""What a run leaves behind for people: metrics, history, predictions, environment, the model folder, the summary."""
