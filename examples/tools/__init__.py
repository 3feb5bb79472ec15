"""What the notes take from elsewhere (torchvision, OpenCV, a course's helpers), in the few steps they use."""
