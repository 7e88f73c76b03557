"""What can be set, and what it means: a module for each part of the code that uses the settings, none needs PyTorch.

A field says name, type, unit, bounds, default and meaning once: :mod:`nash_dqn.settings.fields`.
"""
