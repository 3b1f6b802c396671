"""How Rerun shows what `rerun_log` logs."""

from cls_vla_ros.node.view.rerun_log import TIMELINE

MOST_WORMS = 14  # plots of joints
BEHIND_S, AHEAD_S = 10.0, 2.5  # of the time cursor, in the plots


def layout(cameras: list[str], values: list[str], *, has_robot: bool, at_end: bool):
    """Cameras and arm above, similarity with its reasons and the joints' chunks below.

    Args:
        cameras: names.
        values: of the action.
        has_robot: whether there is a URDF.
        at_end: whether the time cursor follows what is logged; else it plays from the start.

    Returns:
        A rerun.blueprint.Blueprint.
    """
    import rerun.blueprint as rrb

    window = rrb.VisibleTimeRange(
        TIMELINE,
        start=rrb.TimeRangeBoundary.cursor_relative(seconds=-BEHIND_S),
        end=rrb.TimeRangeBoundary.cursor_relative(seconds=AHEAD_S),
    )
    pictures = [rrb.Spatial2DView(origin=f"cameras/{name}", name=name) for name in cameras]
    arm = rrb.Spatial3DView(origin="/", contents=["robot/**", "tool/**"], name="arm")
    worms = [
        rrb.TimeSeriesView(
            origin=f"values/{name}",
            name=name,
            time_ranges=window,
            plot_legend=rrb.PlotLegend(visible=False),  # of dozens of chunks
        )
        for name in values[:MOST_WORMS]
    ]
    gate = rrb.Vertical(
        rrb.TimeSeriesView(origin="gate", name="similarity, glance", time_ranges=window),
        rrb.StateTimelineView(origin="reason", name="why the prefix was computed"),
        rrb.TimeSeriesView(origin="latency", name="latency [ms]", time_ranges=window),
        row_shares=[3, 1, 2],
    )
    state = "following" if at_end else "playing"
    return rrb.Blueprint(
        rrb.Vertical(
            rrb.Horizontal(*pictures, *([arm] if has_robot else [])),
            rrb.Horizontal(gate, rrb.Grid(*worms), column_shares=[2, 3]),
            row_shares=[2, 3],
        ),
        rrb.TimePanel(timeline=TIMELINE, state="collapsed", play_state=state),
        rrb.SelectionPanel(state="collapsed"),
        rrb.BlueprintPanel(state="collapsed"),
    )
