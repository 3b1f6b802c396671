"""What is compared before the weights are loaded."""

import pytest

from cls_vla_ros.policy import CLSSmolVLAPolicy
from cls_vla_ros.robot.load_server import check_against_policy, load_server
from cls_vla_ros.robot.parameters.params_file import parameters_of


@pytest.fixture
def settings_for(checkpoint, tmp_path):
    def read(**cameras):
        features = {f"camera.{name}.feature": feature for name, feature in cameras.items()}
        joints = ["a", "b", "c"]
        file = tmp_path / "robot.yaml"
        file.write_text('{"/**": {"ros__parameters": {"rate_hz": 20.0}}}')
        values = {
            **{"policy.path": str(checkpoint), "policy.device": "cpu", "task": "open"},
            **{"cameras": list(cameras), "state.joints": joints, "action.names": joints},
            **{"action.kind": "joint_positions", **features},
        }
        with parameters_of(file, values) as parameters:
            return parameters.read()

    return read


FRONT, WRIST = "observation.images.front", "observation.images.wrist"


def test_a_picture_without_camera_is_left_out(settings_for, caplog):
    server = load_server(settings_for(only=WRIST), 0, lambda line: None)
    (said,) = [r.getMessage() for r in caplog.records if "nobody gives" in r.getMessage()]
    assert FRONT in said
    assert server.engine is not None


@pytest.mark.parametrize(
    "cameras",
    [
        {"one": FRONT, "two": "observation.images.side"},
        {"one": FRONT, "two": FRONT},
        {"one": "observation.images.side"},
    ],
)
def test_a_camera_needs_a_picture_of_its_own(cameras, settings_for, checkpoint):
    config = CLSSmolVLAPolicy.from_pretrained(checkpoint).config
    with pytest.raises(ValueError, match=r"takes the pictures .*front.*wrist.* mapped to"):
        check_against_policy(settings_for(**cameras), config)
