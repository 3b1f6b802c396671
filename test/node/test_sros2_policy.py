"""config/sros2_policy.xml lets through what the node needs, and nothing else."""

import xml.etree.ElementTree as ET

import pytest
from node.conftest import wait_until

from cls_vla_ros.console.share import share

NODE = "cls_vla_policy"


def of_action(names: set[str]) -> set[str]:
    """Those of an action, which has a right of its own."""
    return {name for name in names if name.rpartition("/")[0].endswith("/_action")}


def allowed(enclave: str) -> dict[tuple[str, str], set[str]]:
    """Full names by ("topics", "publish") and so on."""
    names = {}
    root = ET.parse(share("config", "sros2_policy.xml")).getroot()
    (profiles,) = [e for e in root.iter("enclave") if e.get("path") == enclave]
    for group in (g for profile in profiles.iter("profile") for g in profile):
        for right in group.attrib:
            assert group.get(right) == "ALLOW"
            names.setdefault((group.tag, right), set()).update(
                f"/{NODE}{e.text[1:]}" if e.text[0] == "~" else "/" + e.text.lstrip("/")
                for e in group
            )
    return names


@pytest.mark.parametrize("stream", [False, True])
def test_the_node_has_the_right_to_all_that_it_does(make_robot, stream):
    namespace = f"/rights_{stream}"  # nodes of other tests may still be known by the same name
    robot = make_robot(
        namespace,
        camera__front__topic="front_camera/image_raw",
        camera__wrist__topic="wrist_camera/image_raw/compressed",
        execution__mode="stream" if stream else "chunk",
        limits__from_robot_description=True,
        use_sim_time=True,
    )
    robot.node.trigger_configure()
    node, rights = robot.node, allowed(f"/{NODE}")
    does = {
        ("topics", "publish"): node.get_publisher_names_and_types_by_node,
        ("topics", "subscribe"): node.get_subscriber_names_and_types_by_node,
        ("services", "reply"): node.get_service_names_and_types_by_node,
    }
    for right, ask in does.items():
        wait_until(lambda ask=ask: ask(NODE, namespace), "the node has discovered itself")
        names = {name.removeprefix(namespace) for name, _ in ask(NODE, namespace)}
        own = names - of_action(names)
        assert own <= rights[right], own - rights[right]
        actions = {name.rpartition("/_action/")[0] for name in of_action(names)}
        assert actions <= rights["actions", "execute"]


def test_an_operator_may_do_what_an_operator_does_and_no_more():
    rights = allowed("/operator")
    wanted = {"/reset", "/pause", "/stop", "/arm", "/takeover"}
    assert rights["services", "request"] == wanted
    assert rights["actions", "call"] == {"/run_policy"}
    assert rights["topics", "publish"] == {"/rosout", "/parameter_events"}
    assert ("services", "reply") not in rights
