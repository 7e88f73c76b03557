"""What goes beyond the paper: paths of equilibria, fixed points, ablations, many players, other learners."""
