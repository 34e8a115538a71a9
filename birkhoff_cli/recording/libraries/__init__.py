"""Libraries whose modules are known: one file = one library.

A member has ``owns(module)``, which recognises a site by its attributes and imports nothing, and
``attach(module, give)``, which hands H ``(..., d, d)`` of every call to ``give``, in our
orientation, and returns what detaches it.
"""
