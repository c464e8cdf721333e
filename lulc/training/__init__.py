"""Training: samples, augmentation, losses and the loop that patches and segmentation share."""
