"""Drawings of convolutions: SVG by a small writer of our own, computed from the trace.

svg, theme, measure     text of SVG; colours and textures by role; how wide a text is
shapes, layout, grid    cells, labels and lines; boxes beside each other; arrays as cells
drawing, export         a finished drawing, and files of it
"""

from convforge.draw.drawing import Drawing

__all__ = ["Drawing"]
