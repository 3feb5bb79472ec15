"""One input channel a group, by rows read in place or packed in planes."""
