"""What the optimiser needs beside the gradients: parameter groups and learning-rate schedules."""
