"""The kernels against TorchOps: on a GPU, or under Triton's interpreter (TRITON_INTERPRET=1).

Where there is neither, test_triton_interpreter.py runs this file in a process of its own, since
Triton must know of it when it is imported.
"""

import os

import pytest
import torch

from cls_vla_ros.engine.engine import Engine
from cls_vla_ros.engine.pictures import PictureSize
from cls_vla_ros.engine.sample import Sample
from cls_vla_ros.engine.torch_ops import Rope, TorchOps
from cls_vla_ros.engine.triton.ops import Stream, TritonOps
from cls_vla_ros.engine.triton.tiles import Tile, Tiles
from cls_vla_ros.engine.weights.weights import Affine, Sizes
from cls_vla_ros.policy import CLSSmolVLAConfig, CLSSmolVLAPolicy
from cls_vla_ros.policy.checkpoint.random_checkpoint import random_config, write_vlm

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = torch.device("cpu" if INTERPRETED else "cuda")
pytestmark = pytest.mark.skipif(
    not (INTERPRETED or torch.cuda.is_available()), reason="test_triton_interpreter.py runs these"
)

HEADS, KEY_HEADS, DIM = 4, 2, 16
HIDDEN = 72  # no multiple of any tile
EPS = 1e-5
SMALL = Tiles(  # several blocks in every direction, also of small things
    heads=(Tile(16, 4, 32),) * 3,
    gated=(Tile(16, 16, 32),) * 3,
    add=(Tile(16, 16, 32),) * 3,
    noise=(Tile(16, 16, 32),) * 3,
    step=(Tile(16, 16, 32),) * 3,
    attend=(Tile(16, 16, 0),) * 3,
)
LARGE = Tiles(  # few programs, since the interpreter takes its time for each
    heads=(Tile(64, 8, 64),) * 3,
    gated=(Tile(64, 64, 64),) * 3,
    add=(Tile(64, 64, 64),) * 3,
    noise=(Tile(64, 64, 64),) * 3,
    step=(Tile(64, 32, 64),) * 3,
    attend=(Tile(64, 64, 0),) * 3,
)
ROWS = [(1, 1), (1, 5), (2, 19)]  # B, M
ROUNDING = 2**-7 if INTERPRETED else 2**-8  # to bfloat16; the interpreter cuts bits off
SLOW = pytest.mark.slow if INTERPRETED else lambda test: test
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def random(*shape: int, dtype=torch.bfloat16) -> torch.Tensor:
    return torch.randn(shape).to(DEVICE, dtype)


def weights(*shape: int) -> torch.Tensor:
    return random(*shape) * shape[-1] ** -0.5


def stream(batch: int, tokens: int) -> Stream:
    """With its rows' squares in five parts."""
    wide = random(batch, tokens, HIDDEN, dtype=torch.float32)
    new = Stream.empty(wide, HIDDEN, torch.bfloat16, 5)
    new.wide.copy_(wide)
    new.narrow.copy_(wide)
    parts = wide.flatten(0, 1).split([16, 16, 16, 16, 8], dim=1)
    new.squares.copy_(torch.stack([part.square().sum(1) for part in parts], dim=1))
    return new


def near(got: torch.Tensor, expected: torch.Tensor, roundings: float = 1.1) -> None:
    """Equal, but for roundings to bfloat16 of numbers as large as the largest."""
    assert got.shape == expected.shape
    difference = float((got.float() - expected.float()).abs().max())
    assert difference <= roundings * ROUNDING * float(expected.float().abs().max())


def check_parts(got: Stream) -> None:
    """Narrow and squares are what wide says."""
    near(got.narrow, got.wide)
    near(got.squares.sum(1), got.wide.square().sum(-1).flatten(), 1e-3)


def wide(*tensors: torch.Tensor) -> list[torch.Tensor]:
    """TorchOps in float32 makes no roundings of its own."""
    return [tensor.float() for tensor in tensors]


def test_a_stream_starts_with_what_it_is_given():
    x = random(2, 19, HIDDEN)
    got = TritonOps(SMALL).start(x)
    assert torch.equal(got.wide, x.float())
    check_parts(got)


@pytest.mark.parametrize(("batch", "tokens"), ROWS)
@pytest.mark.parametrize("has_keys", [True, False])
def test_projects_heads_as_torch_does_and_writes_the_caches_rows_only(batch, tokens, has_keys):
    x = stream(batch, tokens)
    weight = weights((HEADS + 2 * KEY_HEADS * has_keys) * DIM, HIDDEN)
    positions = torch.randint(0, 300, (batch, tokens), device=DEVICE)
    rope = Rope.at(positions, DIM)
    cache = random(3, 2, batch, 40, KEY_HEADS, DIM)[1] if has_keys else None
    expected_cache = cache.float() if has_keys else None
    expected = TorchOps().project_heads(
        x.narrow.float(), weight.float(), EPS, rope, HEADS, expected_cache, 7
    )
    got = TritonOps(SMALL).project_heads(x, weight, EPS, rope, HEADS, cache, 7)
    near(got, expected)
    if has_keys:
        near(cache, expected_cache)
        assert torch.equal(cache[:, :, :7].float(), expected_cache[:, :, :7])
        assert torch.equal(cache[:, :, 7 + tokens :].float(), expected_cache[:, :, 7 + tokens :])


@pytest.mark.parametrize(("batch", "tokens"), ROWS)
@pytest.mark.parametrize("masks", ["one", "each"])
def test_attends_as_torch_does_to_a_cache_with_gaps(batch, tokens, masks):
    keys = 21
    q = random(batch, tokens, HEADS, DIM) * 3
    kv = random(2, batch, 30, KEY_HEADS, DIM)[:, :, :keys]
    mask = torch.rand(batch, tokens if masks == "each" else 1, keys) < 0.5
    mask[:, :, :16] = False  # nothing of the first block of keys
    mask[:, :, 17] = True
    mask = mask.to(DEVICE)
    near(TritonOps(SMALL).attend(q, kv, mask), TorchOps().attend(*wide(q, kv), mask), 2)


def test_what_stands_behind_the_cache_has_no_influence():
    q, kv = random(1, 5, HEADS, DIM), random(2, 1, 30, KEY_HEADS, DIM)
    mask = torch.ones(1, 1, 21, dtype=torch.bool, device=DEVICE)
    ops = TritonOps(SMALL)
    before = ops.attend(q, kv[:, :, :21], mask)
    kv[:, :, 21:] = torch.nan
    assert torch.equal(ops.attend(q, kv[:, :, :21], mask), before)


@pytest.mark.parametrize(("batch", "tokens"), ROWS)
@pytest.mark.parametrize("share", [None, 32])
def test_adds_a_product_to_the_stream(batch, tokens, share):
    x, y, weight = stream(batch, tokens), random(batch, tokens, 80), weights(HIDDEN, 80)
    kept = x.wide.clone()
    ops = TritonOps(Tiles(add=(Tile(16, 16, 32, share=share),) * 3))
    for _ in range(2):  # the programs meet anew
        got = ops.add_linear(x, y, weight)
        near(got.wide, TorchOps().add_linear(*wide(x.wide, y, weight)), 1e-3)
        check_parts(got)
    assert torch.equal(x.wide, kept)


@pytest.mark.parametrize(("batch", "tokens"), ROWS)
def test_gates_as_torch_does(batch, tokens):
    x, weight = stream(batch, tokens), weights(2 * 56, HIDDEN)
    expected = TorchOps().gated(*wide(x.narrow, weight), EPS)
    near(TritonOps(SMALL).gated(x, weight, EPS), expected)


def test_the_norms_epsilon_counts():
    x, weight = stream(1, 5), weights(2 * 56, HIDDEN)
    for part, factor in zip(x, (1e-3, 1e-3, 1e-6), strict=True):
        part *= factor
    expected = TorchOps().gated(*wide(x.narrow, weight), EPS)
    near(TritonOps(SMALL).gated(x, weight, EPS), expected)


def test_the_final_norm_is_of_the_wide_stream():
    x, weight = stream(2, 5), random(HIDDEN)
    expected = TorchOps().final_norm(*wide(x.wide, weight), EPS)
    near(TritonOps(SMALL).final_norm(x, weight, EPS), expected, 1e-3)


@pytest.mark.parametrize(("batch", "tokens"), ROWS)
def test_embeds_noise_as_torch_does(batch, tokens):
    noise = random(batch, tokens, 12, dtype=torch.float32)
    weight, out = weights(HIDDEN, 12), Affine(weights(HIDDEN, HIDDEN), random(HIDDEN))
    row = random(HIDDEN, dtype=torch.float32)
    got = TritonOps(SMALL).embed_noise(noise, weight, row, out)
    expected = TorchOps().embed_noise(
        noise.bfloat16().float(), weight.float(), row, Affine(*wide(out.weight, out.bias))
    )
    near(got.wide, expected)
    check_parts(got)


@pytest.mark.parametrize(("batch", "tokens"), ROWS)
def test_steps_in_place_as_torch_does(batch, tokens):
    x = stream(batch, tokens)
    out = Affine(weights(20, HIDDEN), random(20, dtype=torch.float32))
    noise = random(batch, tokens, 20, dtype=torch.float32)
    expected = noise.clone()
    TorchOps().step(x.narrow.float(), expected, Affine(out.weight.float(), out.bias), EPS, -0.1)
    TritonOps(SMALL).step(x, noise, out, EPS, -0.1)
    near(noise, expected, 0.1)


@pytest.mark.parametrize("broadcast", [True, False])
def test_adds_and_norms_layers_as_torch_does(broadcast):
    x, y = random(3, 5, 48), random(5, 48) if broadcast else random(3, 5, 48)
    norm = Affine(random(48), random(48))
    expected_x, expected = TorchOps().add_layer_norm(x, y, norm, EPS)
    got_x, got = TritonOps().add_layer_norm(x, y, norm, EPS)
    near(got_x, expected_x)
    near(got, expected)


def test_gelu_is_the_tanh_form():
    x, layer = random(2, 5, 48), Affine(weights(96, 48) * 2, random(96))
    expected = TorchOps().linear_gelu(x.float(), Affine(*wide(layer.weight, layer.bias)))
    near(TritonOps().linear_gelu(x, layer), expected)
    minus_3 = Affine(weights(96, 48), torch.full_like(layer.bias, -3.0))
    near(TritonOps().linear_gelu(x * 0, minus_3), torch.full((2, 5, 96), -0.00364, device=DEVICE))


@pytest.mark.parametrize(
    ("height", "width", "side"),
    [
        (48, 64, 32),  # smaller, with padding at the top
        (64, 48, 32),  # at the left
        (20, 31, 48),  # larger
        (37, 37, 32),
        (32, 32, 32),  # as it is
    ],
)
def test_cuts_pictures_as_lerobot_does(height, width, side):
    picture = torch.randint(0, 256, (2, height, width, 3), dtype=torch.uint8).to(DEVICE)
    size = PictureSize(side, side, resizes=True)
    shape = (2, 3, (side // 16) ** 2, 3 * 16 * 16)
    got = torch.zeros(shape, device=DEVICE)  # the second camera of three
    expected = torch.zeros(shape, device=DEVICE)
    TorchOps().to_patches(picture, size, 16, expected[:, 1])
    TritonOps().to_patches(picture, size, 16, got[:, 1])
    torch.testing.assert_close(got, expected, rtol=0, atol=2e-6)
    narrow = torch.zeros(shape, dtype=torch.bfloat16, device=DEVICE)
    TritonOps().to_patches(picture, size, 16, narrow[:, 1])
    near(narrow, got)


def test_pictures_of_floats_take_the_usual_way():
    picture, size = torch.rand(1, 3, 48, 64, device=DEVICE), PictureSize(32, 32, resizes=True)
    got, expected = torch.zeros(2, 1, 4, 768, device=DEVICE)
    TorchOps().to_patches(picture, size, 16, expected)
    TritonOps().to_patches(picture, size, 16, got)
    assert torch.equal(got, expected)


def sizes(**changes: int) -> Sizes:
    values = {"query_heads": 4, "key_heads": 2, "head_dim": 16, "rms_eps": EPS}
    rest = {"vision_heads": 4, "vision_eps": EPS, "shuffle": 2, "patch": 16}
    return Sizes(**(values | rest | changes))


@pytest.mark.parametrize(
    ("changes", "dtype", "word"),
    [
        ({}, torch.bfloat16, None),
        ({}, torch.float32, "bfloat16"),
        ({"head_dim": 24}, torch.bfloat16, "head_dim"),
        ({"head_dim": 8}, torch.bfloat16, "head_dim"),
        ({"key_heads": 3}, torch.bfloat16, "heads"),
    ],
)
def test_says_what_is_in_the_way(changes, dtype, word):
    problem = TritonOps.problem(sizes(**changes), DEVICE, dtype)
    assert word in problem if word else problem == ""


CAMERAS = {"observation.images.front": (48, 64), "observation.images.wrist": (60, 60)}


@pytest.fixture(scope="module")
def policy(tmp_path_factory):
    directory = tmp_path_factory.mktemp("vlm")
    write_vlm(directory)
    torch.manual_seed(0)
    steps = {"chunk_size": 20, "n_action_steps": 20, "num_steps": 2}
    config = random_config(CLSSmolVLAConfig, directory, CAMERAS, 5, 4, **steps)
    config.tokenizer_max_length = 8
    policy = CLSSmolVLAPolicy(config).eval()
    torch.nn.init.normal_(policy.model.pre_cls_param)
    return policy


def run_engine(policy, dtype, ops, other_state=True):
    """CLS output and actions of two samples, after another state than that of the pictures."""
    random = torch.Generator().manual_seed(3)
    samples = [
        Sample(
            [
                torch.randint(0, 256, (*size, 3), dtype=torch.uint8, generator=random)
                for size in CAMERAS.values()
            ],
            torch.randint(5, 250, (length,), generator=random),
            torch.ones(length, dtype=torch.bool),
            torch.randn(5, generator=random),
        )
        for length in (7, 4)
    ]
    noise = torch.randn(2, 20, 32, generator=random)
    engine = Engine(policy, DEVICE, dtype, ops)
    prefixes = engine.encode_prefix(samples)
    out = torch.cat([prefix.obs_cls_out for prefix in prefixes])
    if other_state:
        prefixes = engine.refresh_state(prefixes, [sample.state + 1 for sample in samples])
    return out, engine.denoise(prefixes, noise)


@SLOW
def test_a_whole_inference_is_as_exact_as_torchs_in_bfloat16(policy):
    exact = run_engine(policy, torch.float32, TorchOps())
    with_torch = run_engine(policy, torch.bfloat16, TorchOps())
    with_triton = run_engine(policy, torch.bfloat16, TritonOps(LARGE))
    for truth, reference, got in zip(exact, with_torch, with_triton, strict=True):
        assert got.shape == truth.shape
        error = (got - truth).norm()
        assert error <= 1.5 * (reference - truth).norm()
        assert error <= 0.005 * truth.norm()
    _, before = run_engine(policy, torch.float32, TorchOps(), other_state=False)
    assert (exact[1] - before).norm() > 2 * error  # the other state is seen
