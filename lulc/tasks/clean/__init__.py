"""Clean a map: classes merged, activations smoothed, patches below a minimum mapping unit removed."""
