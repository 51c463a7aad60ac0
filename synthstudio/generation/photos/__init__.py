"""Occlusion in real photos: estimates of camera and floor, layers, the run, its audit."""
