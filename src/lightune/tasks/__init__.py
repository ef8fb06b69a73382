"""What is learnt. One file per family of tasks; `base` holds the protocol that the rest of lightune knows."""
