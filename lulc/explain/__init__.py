"""Explain which pixels support a prediction: Grad-CAM for scenes and for patches."""
