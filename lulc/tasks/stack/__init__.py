"""Stack a scene: bands and indices of one date or several, clouds masked or filled."""
