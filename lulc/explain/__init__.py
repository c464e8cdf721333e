"""Why a model gave a class: Grad-CAM of patches and scenes."""
