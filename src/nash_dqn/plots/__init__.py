"""The figures, each drawn from the tables under results/."""
