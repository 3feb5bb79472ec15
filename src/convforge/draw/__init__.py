"""Drawings of convolutions: SVG by a small writer of our own, computed from the trace.

svg, theme, measure     text of SVG; colours and textures by role; how wide a text is
shapes, layout, grid    cells, labels and lines; boxes beside each other; arrays as cells
drawing, export         a finished drawing, and files of it
subject, numbers        a layer on an input, and the numbers in it
arrays, equation        input, kernel and output as grids; a sum written out
three_ways, cone        a transposed layer computed in three ways; what an output depends on, level by level
cell … tile_plan        one drawing each; `registry` has them all by name
animations, blocks      animations by name; blocks of layers with their costs by name
feature_maps            photographs before and after a layer; receptive fields on them

    convforge.draw.padding("Conv2d(1, 1, 3, padding=1, padding_mode='reflect')", 5).save("padding.svg")
"""

from convforge.draw.animation import Animation
from convforge.draw.animations import ANIMATIONS, animation
from convforge.draw.blocks import BLOCKS
from convforge.draw.cell import cell
from convforge.draw.dilation import dilation
from convforge.draw.drawing import Drawing
from convforge.draw.feature_maps import feature_maps, receptive_field_on
from convforge.draw.fusion import fusion
from convforge.draw.gradient import gradient
from convforge.draw.groups import groups
from convforge.draw.matrix import matrix
from convforge.draw.output_padding import output_padding
from convforge.draw.overlap import overlap
from convforge.draw.padding import padding
from convforge.draw.receptive_field import receptive_field
from convforge.draw.registry import DRAWINGS, drawing, drawing_for
from convforge.draw.size_formula import size_formula
from convforge.draw.tile_plan import tile_plan
from convforge.draw.transposed import transposed

__all__ = [
    "ANIMATIONS",
    "BLOCKS",
    "DRAWINGS",
    "Animation",
    "Drawing",
    "animation",
    "cell",
    "dilation",
    "drawing",
    "drawing_for",
    "feature_maps",
    "fusion",
    "gradient",
    "groups",
    "matrix",
    "output_padding",
    "overlap",
    "padding",
    "receptive_field",
    "receptive_field_on",
    "size_formula",
    "tile_plan",
    "transposed",
]
