"""Algorithms that learn a policy: Nash-DQN, DDPG and fictitious play."""
