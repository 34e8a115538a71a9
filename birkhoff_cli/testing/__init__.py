"""Contracts of members, for our own tests and for those of other packages.

Each function takes one member, runs what every member of its kind keeps, and raises AssertionError
with what does not hold and by how much::

    from birkhoff_cli.testing import check_method

    def test_my_map():
        check_method(MyMap(d=4))

Beside every function stands ``CONTRACTS`` of its module, to run them one by one.
"""

from birkhoff_cli.testing.analyses import check_analysis
from birkhoff_cli.testing.formats import check_format
from birkhoff_cli.testing.methods import check_method
from birkhoff_cli.testing.regions import check_region

__all__ = ["check_analysis", "check_format", "check_method", "check_region"]
