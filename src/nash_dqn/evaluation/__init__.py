"""What a trained policy is measured with: roll-outs, losses, cross-play, grids and statistics."""
