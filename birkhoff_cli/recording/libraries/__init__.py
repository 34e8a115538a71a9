"""Libraries whose modules are known: one file = one library.

A member has ``ATTRIBUTES`` that every one of its sites has, on one line, and is imported where a
module has them; ``owns(module)``, which recognises a site and imports nothing more;
``attach(module, give)``, which gives of every call what computes H ``(..., d, d)`` in our
orientation, and what the branch reads and writes, and returns what detaches it; and
``feed(module, fill)``, which calls the site alone on the streams of one token, which ``fill`` makes
of empty ones.
"""
