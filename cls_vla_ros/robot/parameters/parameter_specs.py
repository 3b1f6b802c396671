"""Every parameter of the node in one place: default, description, range, live or not.

`python -m cls_vla_ros.robot.parameters.parameter_specs` prints the table of docs/parameters.md.
"""

import re

from cls_vla_ros.engine import DTYPES, ENGINES
from cls_vla_ros.inference import ReuseLimits
from cls_vla_ros.inference.picture_health import BLACK_LEVEL
from cls_vla_ros.policy.thresholds import THRESHOLD_PRESETS, parse_threshold
from cls_vla_ros.robot.parameters.action_specs import ACTION_SPECS
from cls_vla_ros.robot.parameters.command_specs import COMMAND_SPECS
from cls_vla_ros.robot.parameters.output_specs import OUTPUT_SPECS
from cls_vla_ros.robot.parameters.spec import STRINGS, Spec, Value
from cls_vla_ros.robot.parameters.state_specs import CAMERA_SPECS, SOURCE_SPECS, STATE_SPECS

CHECKPOINT = "checkpoint"  # what the checkpoint's configuration says
DEFAULTS = ReuseLimits()
SERVER = re.compile(r"wss?://[^/\s:]+(:\d{1,5})?/?|wss?://\[[0-9a-fA-F:]+\](:\d{1,5})?/?")


def check_threshold(value: Value) -> None:
    """Raises ValueError unless it is a number in [-1, 1], a preset, or 'checkpoint'."""
    if value != CHECKPOINT:
        parse_threshold(value)


def check_max_age(value: Value) -> None:
    """Raises ValueError unless it is a number in [0, 3600], or 'checkpoint'."""
    _check_limit(value, (int, float), 3600)


def check_max_reuses(value: Value) -> None:
    """Raises ValueError unless it is a whole number in [0, 1000], or 'checkpoint'."""
    _check_limit(value, int, 1000)


def check_max_motion(value: Value) -> None:
    """Raises ValueError unless it is a number in [0, 1000], or 'checkpoint'."""
    _check_limit(value, (int, float), 1000)


def check_glance_threshold(value: Value) -> None:
    """Raises ValueError unless it is a number in [0, 1], or 'checkpoint'."""
    _check_limit(value, (int, float), 1)


def check_server(value: Value) -> None:
    """Raises ValueError unless it is empty, or a websocket's address."""
    if value and not (isinstance(value, str) and SERVER.fullmatch(value)):
        raise ValueError(f"expected ws://host:port or wss://host:port, got {value!r}")


def _check_limit(value: Value, kind: type | tuple[type, ...], largest: int) -> None:
    is_number = isinstance(value, kind) and not isinstance(value, bool)
    if value != CHECKPOINT and not (is_number and 0 <= value <= largest):
        raise ValueError(f"expected a number in [0, {largest}] or '{CHECKPOINT}', got {value!r}")


PRESETS = ", ".join(f"{name} ({value:g})" for name, value in THRESHOLD_PRESETS.items())

SPECS = (
    Spec(
        "autostart",
        False,
        "whether the node configures and activates itself when it starts; if it cannot, the "
        "process says why and ends with 1",
    ),
    Spec(
        "policy.path",
        "",
        "checkpoint: a directory, a hub id, or 'demo' for the package's own",
    ),
    Spec(
        "policy.server",
        "",
        "in place of policy.path: ws://host:port or wss://host:port of a serve_policy with it; "
        "device, engine, dtype and num_steps are chosen there, and torch and lerobot needed there",
        check=check_server,
    ),
    Spec(
        "policy.token_file",
        "",
        "file with the token that the server asks for",
    ),
    Spec(
        "policy.server_timeout_s",
        1.0,
        "how long an answer of the server may take, in seconds; then the node holds and connects "
        "anew, and what comes later is never used",
        limits=(0.01, 60.0),
    ),
    Spec(
        "policy.jpeg_quality",
        95,
        "of the pictures that the server gets; 0 for the pixels themselves",
        limits=(0, 100),
    ),
    Spec(
        "policy.device",
        "auto",
        "where the policy runs: auto (CUDA if there is one), cpu, cuda or cuda:N",
    ),
    Spec(
        "policy.engine",
        "auto",
        "how it runs: eager (one operation after another), cuda_graph (recorded once, then "
        "replayed; needs CUDA), or auto (cuda_graph on CUDA)",
        choices=ENGINES,
    ),
    Spec(
        "policy.dtype",
        "auto",
        "what it computes in; auto is bfloat16 on CUDA, float32 on a CPU",
        choices=DTYPES,
    ),
    Spec(
        "policy.num_steps",
        0,
        "denoising steps: fewer are faster and less exact; 0 for the checkpoint's own",
        limits=(0, 100),
    ),
    Spec(
        "policy.seed",
        -1,
        "seed of the denoising noise; -1 for another one every time",
        limits=(-1, 2**31 - 1),
    ),
    Spec(
        "task",
        "",
        "the instruction that the policy follows, in words; a change is a reset",
        live=True,
    ),
    Spec(
        "rate_hz",
        10.0,
        "at most this many inferences per second; each waits for a new frame of every camera",
        limits=(0.01, 1000.0),
        live=True,
    ),
    Spec(
        "observation.max_age_s",
        0.5,
        "how old a camera frame or a joint's position may be, in seconds; with an "
        "older one nothing is inferred",
        limits=(0.001, 3600.0),
        live=True,
    ),
    Spec(
        "observation.max_skew_s",
        0.3,
        "how far apart the sources of one observation may be, in seconds",
        limits=(0.001, 3600.0),
        live=True,
    ),
    Spec(
        "observation.frozen_s",
        1.0,
        "how long a camera may send the same bytes, in seconds; a living one never does, a "
        "simulated one does while nothing moves: 3600 for that",
        limits=(0.001, 3600.0),
        live=True,
    ),
    Spec(
        "observation.black_level",
        BLACK_LEVEL,
        "mean brightness of a picture, of 255, below which it shows nothing",
        limits=(0.0, 255.0),
        live=True,
    ),
    Spec(
        "inference.timeout_s",
        5.0,
        "how long an inference may take, in seconds, before the node says that it hangs and stops "
        "to command; it recovers by itself",
        limits=(0.01, 3600.0),
        live=True,
    ),
    Spec(
        "gate.threshold",
        CHECKPOINT,
        "similarity above which the scene is as predicted: a number in [-1, 1], a "
        f"preset ({PRESETS}), or '{CHECKPOINT}' for the checkpoint's own, which calibration may "
        "have set for each interval between full inferences. Higher is stricter",
        live=True,
        check=check_threshold,
    ),
    Spec(
        "gate.allow_untrained",
        False,
        "whether an untrained CLS head may open the gate; its similarity is noise",
        live=True,
    ),
    Spec(
        "gate.adaptive",
        False,
        "whether the threshold follows the hit rate, to keep it in [0.3, 0.8]; it stays in "
        "[0.2, 0.8]. Thresholds by interval move by as much as the checkpoint's single one",
        live=True,
    ),
    Spec(
        "cache.enabled",
        True,
        "whether a cached prefix is reused while the scene is as predicted",
        live=True,
    ),
    Spec(
        "cache.max_age_s",
        CHECKPOINT,
        f"how old a reused prefix may be, in seconds, in [0, 3600]; or '{CHECKPOINT}': what "
        f"calibration found, {DEFAULTS.max_age_s:g} without it",
        live=True,
        check=check_max_age,
    ),
    Spec(
        "cache.max_reuses",
        CHECKPOINT,
        f"how often in a row a prefix is reused before the gate looks again, in [0, 1000]; or "
        f"'{CHECKPOINT}': what calibration found, {DEFAULTS.max_reuses} without it",
        live=True,
        check=check_max_reuses,
    ),
    Spec(
        "cache.max_motion",
        CHECKPOINT,
        "how far the robot may have moved since a reused prefix was computed: norm of the change "
        "of the state, each value in standard deviations of the dataset, in [0, 1000]; or "
        "'checkpoint': what calibration found, no limit without it",
        live=True,
        check=check_max_motion,
    ),
    Spec(
        "cache.glance_threshold",
        CHECKPOINT,
        "score of the glance, in [0, 1], above which the prefix is computed; or 'checkpoint': "
        f"what calibration found, {DEFAULTS.glance_threshold:g} without it. At 1 it refuses "
        "nothing, and the frame guard looks in its place, as with a policy without a glance",
        live=True,
        check=check_glance_threshold,
    ),
    Spec(
        "cache.guard_threshold",
        0.25,
        "frame guard: change of a patch of a picture, as a share of the mean brightness, above "
        "which the prefix is computed",
        limits=(0.0, 100.0),
        live=True,
    ),
    Spec(
        "cache.guard_frozen",
        True,
        "frame guard: whether a picture with the same bytes as the one before it is a fault",
        live=True,
    ),
    Spec("cameras", STRINGS, "names of the cameras; each has the parameters camera.<name>.*"),
    *STATE_SPECS,
    *ACTION_SPECS,
    *COMMAND_SPECS,
)

# By the parameter with the names of its members: a group, and what each member has.
GROUPS = {
    "cameras": ("camera", CAMERA_SPECS),
    "state.sources": ("source", SOURCE_SPECS),
    "action.outputs": ("output", OUTPUT_SPECS),
}


def markdown_table() -> str:
    """The parameters, for docs/parameters.md."""
    lines = ["| parameter | default | live | what it does |", "|---|---|---|---|"]
    for spec in (*SPECS, *(spec for _, specs in GROUPS.values() for spec in specs)):
        default = f"{spec.default_value!r}"
        default = f"{spec.default:.4g}" if isinstance(spec.default, float) else default
        what = spec.description + (f" ({' or '.join(spec.choices)})" if spec.choices else "")
        what += f"; in [{spec.limits[0]:g}, {spec.limits[1]:g}]" if spec.limits else ""
        lines.append(f"| `{spec.name}` | `{default}` | {'yes' if spec.live else ''} | {what} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(markdown_table())
