"""Speed, memory and growth of models, side by side in one process."""
