"""Which topic is which of the policy's pictures, as far as names tell."""

from cls_vla_ros.robot.making.around import Around

ON_THE_ARM = ("wrist", "hand", "gripper")  # its picture always changes
ASK = "  # ??"


def camera_sections(pictures: list[str], around: Around) -> tuple[list[str], list[str]]:
    """The sections `cameras` and `camera`.

    Args:
        pictures: the policy's names, such as "observation.images.front".
        around: the robot's topics.
    """
    names = {feature: feature.rpartition(".")[2] for feature in pictures}
    lines = ["camera:"]
    for feature, name in names.items():
        topic, transport, is_sure = _topic_of(name, len(names), around.pictures)
        others = ", ".join(sorted(around.pictures)) or "no camera runs"
        lines += [
            f"  {name}:",
            f"    topic: {topic}" + ("" if is_sure else f"{ASK} there are: {others}"),
            f"    transport: {transport}",
            f"    feature: {feature}",
        ]
        if any(word in name.lower() for word in ON_THE_ARM):
            lines.append("    guard: false  # it moves with the arm: its picture always changes")
    return [f"cameras: [{', '.join(names.values())}]"], lines


def _topic_of(name: str, count: int, pictures: dict[str, str]) -> tuple[str, str, bool]:
    """Topic, transport, and whether that is more than a guess."""
    # The raw one first: where image_transport runs, there are both of one camera.
    order = sorted(pictures, key=lambda topic: (pictures[topic] != "raw", len(topic), topic))
    if named := [topic for topic in order if name.lower() in topic.lower()]:
        return named[0], pictures[named[0]], True
    if count == 1 and order:
        return order[0], pictures[order[0]], False
    return f"{name}/image_raw", "raw", False
