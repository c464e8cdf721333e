"""Assess a map or model: agreement with a reference, samples, accuracy and areas."""
