"""Ways in that families share: arrays into planes, boxes, panels; weights in the order of their reading."""
