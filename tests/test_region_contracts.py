"""What every region keeps, whoever adds it: one boundary, told in several ways that must agree."""

import pytest

from birkhoff_cli.analyses import regions
from birkhoff_cli.analyses.core import discover
from birkhoff_cli.analyses.geometry.region import Region
from birkhoff_cli.analyses.regions.unit_disk import UnitDisk
from birkhoff_cli.testing import check_region
from birkhoff_cli.testing.regions import CONTRACTS

NAMES = regions.names()
SIDES = (1, 2, 3, 5)


@pytest.fixture(params=[(name, d) for name in NAMES for d in SIDES], ids=lambda p: f"{p[0]}-{p[1]}")
def region(request):
    name, d = request.param
    cls = regions.load(name)
    assert not cls.__abstractmethods__, f"{name} does not say: {', '.join(cls.__abstractmethods__)}"
    return cls(d)


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda c: c.__name__)
def test_it_keeps(contract, region):
    contract(region)


def test_a_region_that_does_not_say_everything_is_none():
    class Silent(Region):
        pass

    says = "breaks distance excess inner_square proven proven_by radius stochastic style"
    assert {*says.split(), "upper_pieces"} == Silent.__abstractmethods__
    with pytest.raises(TypeError, match="abstract"):
        Silent(3)


@pytest.mark.parametrize("name", NAMES)
def test_a_region_is_found_by_the_name_of_its_file_and_says_what_it_is(name):
    cls = regions.load(name)
    assert cls.__module__.endswith(f".{name.replace('-', '_')}")
    assert cls(4).name.replace(" ", "-") == name and regions.load(cls(4).name) is cls
    assert regions.headline(name).endswith(".")
    assert discover.members(regions.__name__) == NAMES


def test_proven_is_a_sentence_of_its_own(region):
    others = {regions.load(name)(region.d).proven_by for name in NAMES if name != region.name}
    assert region.proven_by not in others - {regions.load("unit-disk")(1).proven_by}
    style = region.style
    assert style.label not in {regions.load(n)(4).style.label for n in NAMES} - {style.label}


def wrong(**changes):
    """A unit disk that says something else."""
    return type("Wrong", (UnitDisk,), changes)(3)


@pytest.mark.parametrize(
    "region, said",
    [
        (wrong(area=3.0), "area and that of the polygon: they differ by 0.14"),
        (wrong(stochastic=True), "stochastic is True, and it is False"),
        (wrong(inner_square=1.5), "distance of the inner disk is 0.22"),
        (wrong(proven_by="we know"), "by 'we know'; say a sentence"),
        (wrong(radius=lambda _, angle: 1.1 + 0 * angle), "of the boundary is 0.1"),
    ],
    ids=["area", "stochastic", "inner disk", "proof", "radius"],
)
def test_a_fault_of_a_region_is_found_and_named(region, said):
    with pytest.raises(AssertionError, match=said):
        check_region(region)
