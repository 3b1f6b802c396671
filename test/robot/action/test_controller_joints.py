import pytest

from cls_vla_ros.robot.action.controller_joints import problem_with
from cls_vla_ros.robot.settings import OutputSettings


def problem(kind: str, ours: list[str], joints: list[str], of="auto", **more) -> str:
    output = OutputSettings("arm", "arm/x", kind, ours, ours, of, "auto", [])
    return problem_with(output, joints, **more)


def test_a_trajectory_has_names_and_an_array_has_only_an_order():
    assert problem("joint_trajectory", ["a", "b"], ["b", "a"]) == ""
    assert problem("float64_multi_array", ["a", "b"], ["a", "b"], interface="position") == ""
    assert "another joint" in problem("float64_multi_array", ["a", "b"], ["b", "a"])


@pytest.mark.parametrize("kind", ["joint_trajectory", "float64_multi_array", "joint_state"])
def test_another_set_is_named(kind):
    assert "['b'] are missing" in problem(kind, ["a"], ["a", "b"])
    assert "['c'] are not its" in problem(kind, ["a", "b", "c"], ["a", "b"])


def test_some_joints_are_enough_where_the_controller_says_so():
    assert problem("joint_trajectory", ["a"], ["a", "b"], allows_partial=True) == ""
    assert problem("float64_multi_array", ["a"], ["a", "b"], allows_partial=True)
    assert "not its" in problem("joint_trajectory", ["c"], ["a"], allows_partial=True)


def test_what_an_array_is_forwarded_to_must_be_what_it_is():
    assert "'velocity'" in problem("float64_multi_array", ["a"], ["a"], interface="velocity")
    assert not problem("float64_multi_array", ["a"], ["a"], of="velocity", interface="velocity")
