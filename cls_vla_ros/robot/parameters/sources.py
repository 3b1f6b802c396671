"""From the parameters to the table of the state's sources; see `state_fields`."""

from collections.abc import Callable

from cls_vla_ros.robot.joints import UnitMap
from cls_vla_ros.robot.observation.state_fields import check_sources
from cls_vla_ros.robot.parameters.spec import Value
from cls_vla_ros.robot.settings import ActionSettings, SourceSettings, StateSettings

SHORT_FORM = ("units", "lower", "upper", "offset", "sign")


def read_state(get: Callable[[str], Value]) -> StateSettings:
    """What the parameters say of the state.

    Args:
        get: a parameter's value, by name.

    Raises:
        ValueError: the sources contradict themselves, each other, or the short form.
    """
    joints, names = get("state.joints"), get("state.sources")
    sources = tuple(_source(name, get) for name in names)
    if given := [f"state.{short}" for short in SHORT_FORM if names and get(f"state.{short}")]:
        raise ValueError(
            f"{' and '.join(given)} is of the short form, and state.sources is set too: give it "
            "for each source, as source.<name>.*"
        )
    state = StateSettings(
        topic=get("state.topic"),
        joints=joints or [name for source in sources for name in source.names],
        units=get("state.units") or [""] * len(joints),
        lower=get("state.lower"),
        upper=get("state.upper"),
        allow_partial=get("state.allow_partial"),
        reliability=get("state.reliability"),
        depth=get("state.depth"),
        offset=get("state.offset"),
        sign=get("state.sign"),
        allow_several_publishers=get("state.allow_several_publishers"),
        sources=sources,
    )
    if sources:
        check_sources(state)
    else:
        check_units("state", state.sources[0])
    return state


def check_units(group: str, settings: SourceSettings | ActionSettings) -> None:
    """Can values of these units and ranges be converted?

    Raises:
        ValueError: they cannot, with the parameter's name: <group>.units and so on.
    """
    try:
        UnitMap.of_settings(settings)
    except ValueError as error:
        raise ValueError(f"{group}.{error}") from None


def _source(name: str, get: Callable[[str], Value]) -> SourceSettings:
    def of(key: str) -> Value:
        return get(f"source.{name}.{key}")

    fields = of("fields")
    return SourceSettings(
        name=name,
        topic=of("topic") or f"{name}/joint_states",
        type=of("type"),
        fields=fields,
        names=of("names") or [field.removeprefix("position.") for field in fields],
        units=of("units") or [""] * len(fields),
        lower=of("lower"),
        upper=of("upper"),
        offset=of("offset"),
        sign=of("sign"),
        allow_partial=of("allow_partial"),
        reliability=of("reliability"),
        depth=of("depth"),
        allow_several_publishers=of("allow_several_publishers"),
    )
