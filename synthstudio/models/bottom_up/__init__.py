"""Bottom-up systems: all people of a frame at once, without boxes. OpenPose, PersonLab, FCPose;
tags of instances as functions."""
