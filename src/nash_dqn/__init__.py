"""Nash-DQN (Casgrain, Ning and Jaimungal, 2022): deep Q-learning for Nash equilibria, replicated.

Import what you need from the modules; this package imports none of them by itself.
"""

__version__ = "0.1.0"
