"""Everything that touches files: scenes in, products and stacks out."""
