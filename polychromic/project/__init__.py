"""Floor 7: around the runs. What a whole project needs: plans, money, checks, packing, launching, sweeps, the demo.

The stages make results; this room decides which of them run where, and hands what they made to people.
"""
