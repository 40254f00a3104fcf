"""The style of the book: colours that everybody can tell apart, and nothing left behind."""

import itertools

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from minillm.viz import book_style

# what is left of red, green and blue for readers without one kind of cone, in linear light
# (Viénot, Brettel & Mollon 1999, table of the reduced transformations)
WITHOUT_CONES = {
    "all cones": np.eye(3),
    "no L cones (protanopia)": np.array([
        [0.11238, 0.88762, 0.0],
        [0.11238, 0.88762, 0.0],
        [0.00401, -0.00401, 1.0],
    ]),
    "no M cones (deuteranopia)": np.array([
        [0.29275, 0.70725, 0.0],
        [0.29275, 0.70725, 0.0],
        [-0.02234, 0.02234, 1.0],
    ]),
}


@pytest.fixture
def colours():
    with matplotlib.rc_context():
        book_style()
        yield matplotlib.rcParams["axes.prop_cycle"].by_key()["color"]


def seen(colour, cones):
    """A colour in CIE L*a*b*, as an eye with these cones sees it."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    linear = np.clip(WITHOUT_CONES[cones] @ linear, 0, 1)
    to_xyz = np.array([
        [0.4124, 0.3576, 0.1805],
        [0.2126, 0.7152, 0.0722],
        [0.0193, 0.1192, 0.9505],
    ])
    x, y, z = np.cbrt(to_xyz @ linear / [0.9505, 1.0, 1.089])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("cones", WITHOUT_CONES)
def test_the_first_four_colours_differ_for_every_eye(colours, cones):
    for one, other in itertools.combinations(colours[:4], 2):
        distance = np.linalg.norm(seen(one, cones) - seen(other, cones))
        assert distance > 14, f"{one} and {other} look alike with {cones}: {distance:.1f}"


def test_red_and_green_of_the_traffic_light_would_fail():
    distance = [seen("#cc3333", c) - seen("#7a7a00", c) for c in WITHOUT_CONES]
    assert np.linalg.norm(distance[0]) > 14
    assert min(map(np.linalg.norm, distance)) < 14


def test_pictures_have_no_frame_and_a_font(colours):
    assert not matplotlib.rcParams["axes.spines.top"]
    assert matplotlib.rcParams["font.sans-serif"][0] == "DejaVu Sans"
    assert matplotlib.rcParams["figure.dpi"] <= 150
