"""Which Sinkhorn made these matrices: kernels as recipes, run as they would run, and told apart.

A dump is an array of logits and an array of what some kernel made of them. A recipe says in which
order, with which guard, how often and in which arithmetic the kernel normalises.
"""
