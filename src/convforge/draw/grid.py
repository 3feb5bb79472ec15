"""Arrays drawn as cells: a row for one axis, rows and columns for two, slices beside each other for three.

grid("input", axes=(shown(4), shown(5)), role=…, label=…)

      0 1 2 3 4        axis indices
    0 □ □ □ □ □
    1 □ ■ ■ □ □        every cell has a name, input-1-2, by which lines find it
    2 □ ■ ■ □ □
    3 □ □ □ □ □
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import product

from convforge.draw.layout import Box, column, flow, line
from convforge.draw.measure import text_width
from convforge.draw.shapes import Area, Cell, Label, Line, Point, Shape

Position = tuple[int, ...]
Positions = tuple[int | None, ...]  # along an axis; None where some are left out
CELL = 38.0
GAP_SHARE = 0.62  # of a cell: the width of "⋯"
AXIS_SIZE = 10.0
MOST_KEPT = 8
WIDEST = 1400.0  # slices beside each other, before the next row
_FAINT = ("zero", "zeros", "blank", "cut")


def shown(
    size: int,
    *,
    before: int = 0,
    after: int = 0,
    keep: Iterable[int] = (),
    limit: int | None = None,
    beside: int = 1,
) -> Positions:
    """The positions of an axis that are drawn, padding included.

    keep: positions to be shown, with `beside` neighbours on either side; of more than MOST_KEPT their ends.
    Where there are more than `limit`, both ends and those are shown, and None stands for each gap; without
    any to keep, the gap is in the middle.

    size 9, limit 5 -> 0 1 None 7 8        size 3, before 1, after 1 -> -1 0 1 2 3
    size 20, limit 6, keep 10 -> 0 1 None 9 10 11 None 18 19
    """
    first, last = -before, size + after - 1
    if limit is None or last - first + 1 <= limit:
        return tuple(range(first, last + 1))
    kept = sorted(set(keep))
    if len(kept) > MOST_KEPT:
        kept = [*kept[: MOST_KEPT // 2], *kept[-(MOST_KEPT // 2) :]]
    near = {at + step for at in kept for step in range(-beside, beside + 1) if first <= at + step <= last}
    ends = 1 + beside if near else max((limit - 1) // 2, 1)
    chosen = sorted(near | set(range(first, first + ends)) | set(range(last - ends + 1, last + 1)))
    found: list[int | None] = []
    for at in chosen:
        before_it = found[-1] if found else at - 1
        assert before_it is not None
        if at - before_it == 2:
            found.append(at - 1)  # a gap of one is as wide as what it leaves out
        elif at - before_it > 2:
            found.append(None)
        found.append(at)
    return tuple(found)


def cell_name(grid: str, position: Position) -> str:
    """("input", (0, 3)) -> input-0-3; positions on padding before the start are written n1, n2."""
    return "-".join([grid, *(f"n{-at}" if at < 0 else str(at) for at in position)])


def grid(
    name: str,
    axes: tuple[Positions, ...],
    *,
    role: Callable[[Position], str],
    label: Callable[[Position], str] = lambda _: "",
    tip: Callable[[Position], str] = lambda _: "",
    text_role: Callable[[Position], str] = lambda _: "text",
    cell: float = CELL,
    width: float | None = None,
    radius: float = 0.0,
    indices: bool = True,
    indices_below: bool = False,
    leading: Position = (),
) -> Box:
    """One or two axes as cells, named for lines to find: anchors `name-i-j`, and `name` for all of it.

    axes: the positions shown along each, rows before columns. role, label, tip, text_role: of a cell, by
    its position. cell: height of a cell, width: its width where another. leading: positions put in front of
    every name, such as a slice's. indices: whether the positions are written along the axes; below: of one
    axis, where lines arrive from above. Round cells keep a little apart.
    """
    wide = cell if width is None else width
    rows: Positions = axes[0] if len(axes) == 2 else (0,)
    columns: Positions = axes[-1]
    left = _index_width(rows) if indices and len(axes) == 2 else 0.0
    top = AXIS_SIZE * 1.7 if indices and not indices_below else 0.0
    apart = 1.5 if radius > 3 else 0.0
    ys, height = _offsets(rows, cell, top)
    xs, right = _offsets(columns, wide, left)
    shapes: list[Shape] = []
    anchors: dict[str, Area] = {}
    numbers: list[Shape] = []
    for (i, y), (j, x) in product(ys, xs):
        if i is None or j is None:
            continue
        position = (i, j) if len(axes) == 2 else (j,)
        area = Area(x + apart, y + apart, wide - 2 * apart, cell - 2 * apart)
        full = cell_name(name, (*leading, *position))
        shapes.append(Cell(area, role(position), full, tip(position), radius))
        anchors[full] = area
        text = label(position)
        if text:
            size = fitting_size(text, wide, min(cell * 0.4, 14.0))
            if size is not None:
                numbers.append(Label(area.center, ((text, text_role(position)),), size, name=full))
    # Heavy borders over their neighbours', faint ones under them.
    shapes.sort(key=lambda shape: 2 if "hot" in shape.roles[0] else shape.roles[0] not in _FAINT)
    shapes += numbers
    shapes += _ellipses(ys, xs, cell, wide)
    if indices:
        above = top if not indices_below else height + AXIS_SIZE * 1.7
        shapes += _indices(xs, ys if len(axes) == 2 else [], wide, cell, left, above)
    anchors[cell_name(name, leading)] = Area(left, top, right - left, height - top)
    return Box(
        right, height + (AXIS_SIZE * 1.7 if indices and indices_below else 0.0), tuple(shapes), anchors
    )


def slices(
    axes: tuple[Positions, ...],
    draw: Callable[[Position, tuple[Positions, ...]], Box],
    *,
    caption: Callable[[Position], str],
    gap: float = 20.0,
) -> Box:
    """A grid of any number of axes: the last two as rows and columns, the others as slices side by side.

    draw: makes the grid of one slice from its leading position and the last axes. caption: said over it.
    """
    if len(axes) <= 2:
        return draw((), axes)
    boxes: list[Box] = []
    for lead in product(*axes[:-2]):
        if any(at is None for at in lead):
            boxes.append(line("⋯", size=18, role="muted"))
            continue
        position = tuple(at for at in lead if at is not None)
        boxes.append(column(line(caption(position), size=11, role="muted"), draw(position, axes[-2:]), gap=4))
    return flow(boxes, WIDEST, gap=gap)


def fitting_size(text: str, width: float, largest: float, smallest: float = 7.0) -> float | None:
    """The text size at which a number fits into a cell; None where it would be too small to read."""
    need = text_width(text, 1.0)
    size = min(largest, round((width - 4.0) / max(need, 0.1), 1))
    return size if size >= smallest else smallest if need * smallest < width - 1.0 else None


def cells_area(box: Box, names: Iterable[str]) -> Area:
    """The smallest rectangle around the named parts that are drawn."""
    areas = [box.anchors[name] for name in names if name in box.anchors]
    found = areas[0]
    for area in areas[1:]:
        found = found.around(area)
    return found


def frame(area: Area, role: str = "frame", *, out: float = 2.0) -> Line:
    """A line around a rectangle, such as a window of taps."""
    x, y, right, bottom = area.x - out, area.y - out, area.right + out, area.bottom + out
    return Line(((x, y), (right, y), (right, bottom), (x, bottom), (x, y)), role)


def connector(start: Point, end: Point, role: str = "link", *, arrow: bool = True, name: str = "") -> Line:
    """A smooth line that leaves and arrives level where it goes sideways, upright where it goes down."""
    (x0, y0), (x1, y1) = start, end
    if abs(x1 - x0) >= abs(y1 - y0):
        middle = (x0 + x1) / 2
        points = (start, (middle, y0), (middle, y1), end)
    else:
        middle = (y0 + y1) / 2
        points = (start, (x0, middle), (x1, middle), end)
    return Line(points, role, arrow, True, name)


def _index_width(positions: Positions) -> float:
    return max(text_width(str(at), AXIS_SIZE) for at in positions if at is not None) + 7.0


def _offsets(positions: Positions, cell: float, start: float) -> tuple[list[tuple[int | None, float]], float]:
    """(position, offset) of each, and where the last ends."""
    found: list[tuple[int | None, float]] = []
    for at in positions:
        found.append((at, start))
        start += cell * GAP_SHARE if at is None else cell
    return found, start


def _ellipses(
    ys: list[tuple[int | None, float]], xs: list[tuple[int | None, float]], cell: float, wide: float
) -> list[Shape]:
    found: list[Shape] = []
    for i, y in ys:
        for j, x in xs:
            if (i is None) == (j is None):
                continue
            height, width = (
                (cell * GAP_SHARE if i is None else cell),
                (wide * GAP_SHARE if j is None else wide),
            )
            text = "⋮" if i is None else "⋯"
            found.append(Label((x + width / 2, y + height / 2), ((text, "muted"),), min(cell * 0.4, 14.0)))
    return found


def _indices(
    xs: list[tuple[int | None, float]],
    ys: list[tuple[int | None, float]],
    wide: float,
    cell: float,
    left: float,
    top: float,
) -> list[Shape]:
    """The positions along the axes, the same size for all, only every second where they are too wide."""
    found: list[Shape] = []
    widest = max((text_width(str(j), AXIS_SIZE) for j, _ in xs if j is not None), default=0.0)
    step = 1 if widest + 2 <= wide else 2 if widest + 2 <= 2 * wide else 5
    for j, x in xs:
        if j is not None and j % step == 0:
            found.append(Label((x + wide / 2, top - AXIS_SIZE * 0.8), ((_signed(j), "faint"),), AXIS_SIZE))
    step = 1 if cell >= AXIS_SIZE * 1.1 else 2 if cell >= AXIS_SIZE * 0.55 else 5
    for i, y in ys:
        if i is not None and i % step == 0:
            found.append(Label((left - 5, y + cell / 2), ((_signed(i), "faint"),), AXIS_SIZE, "end"))
    return found


def _signed(at: int) -> str:
    return f"−{-at}" if at < 0 else str(at)
