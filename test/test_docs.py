"""The pages say what is there: links, commands, options, parameters and pictures."""

import re
from pathlib import Path

import pytest
import yaml

from cls_vla_ros.robot.parameters.parameter_specs import GROUPS, SPECS, markdown_table
from cls_vla_ros.robot.parameters.params_file import parameters_of

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md"))]
COMMANDS = dict(
    re.match(r"(\w+) = ([\w.]+):", line).groups()
    for line in (ROOT / "commands.txt").read_text().splitlines()
)
# What every command may be given, and lerobot's own that stands on the same line.
NOT_OURS = {"--ros-args", "--params-file", "--help"}
LINE = 125
LEROBOT = ("--policy.", "--dataset.")  # handed on by train_demo
BLOCK = re.compile(r"```sh\n(.*?)```", re.S)
CODE = re.compile(r"`([^`\n]+)`")
ids = [str(page.relative_to(ROOT)) for page in PAGES]


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", h.lower()).strip().replace(" ", "-") for h in headings}


def problem_of_link(page: Path, link: str) -> str:
    if link.startswith("http"):
        return ""
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    if not target.exists():
        return f"{link}: there is no {path}"
    return f"{link}: no such heading" if anchor and anchor not in anchors(target) else ""


def lines_of(page: Path) -> list[str]:
    """Commands, a line each: of the blocks, and what a sentence has in code."""
    text = page.read_text()
    blocks = [block.replace("\\\n", " ") for block in BLOCK.findall(text)]
    lines = [line.split("#")[0].strip() for block in blocks for line in block.splitlines()]
    return [*filter(None, lines), *CODE.findall(re.sub(r"```.*?```", "", text, flags=re.S))]


def options_of(command: str) -> set[str]:
    """Read in its sources: what its own folder and the shared arguments add to a parser."""
    module = ROOT / f"{COMMANDS[command].replace('.', '/')}.py"
    files = [*module.parent.glob("*.py"), ROOT / "cls_vla_ros" / "console" / "arguments.py"]
    text = "".join(file.read_text() for file in files)
    found = set(re.findall(r'"(--[\w-]+)"', text))
    if 'f"--{name}"' in text:  # of a table
        found |= {f"--{name}" for name in re.findall(r'"([a-z-]+)"', text)}
    return found


def problem_of_line(line: str) -> str:
    words = re.sub(r"^(\w+=\S+ )*", "", line).split()
    if words[:3] == ["ros2", "run", "cls_vla_ros"]:
        words = words[3:]
        if words and words[0] not in COMMANDS:
            return f"{line}: no command {words[0]}"
    if words[:3] == ["ros2", "launch", "cls_vla_ros"] and len(words) > 3:
        file = ROOT / "launch" / words[3]
        if not file.is_file():
            return f"{line}: no launch file {words[3]}"
        text = "".join(f.read_text() for f in (ROOT / "launch").glob("*.py"))
        unknown = [w for w in words[4:] if ":=" in w and f'"{w.split(":=")[0]}"' not in text]
        return f"{line}: no launch argument {unknown}" if unknown else ""
    if words[:4] == ["ros2", "param", "set", "/cls_vla_policy"]:
        known = {spec.name for spec in SPECS}
        return "" if words[4] in known else f"{line}: no parameter {words[4]}"
    if not words or words[0] not in COMMANDS or len(words) == 1:
        return ""
    given = {w.split("=")[0] for w in words if re.match(r"--\w", w)}
    given = {w for w in given if not w.startswith(LEROBOT)}
    unknown = given - options_of(words[0]) - NOT_OURS
    return f"{line}: {words[0]} has no {sorted(unknown)}" if unknown else ""


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    assert not [p for p in (problem_of_link(page, link) for link in links) if p]


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_commands_and_their_options_exist(page):
    assert not [p for p in map(problem_of_line, lines_of(page)) if p]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("ros2 run cls_vla_ros chek", "no command chek"),
        ("check --bagg x", "check has no ['--bagg']"),
        ("ros2 launch cls_vla_ros policy.launch.py params:=x", "no launch argument"),
        ("ros2 launch cls_vla_ros no.launch.py", "no launch file"),
        ("ros2 param set /cls_vla_policy gate.treshold 1", "no parameter gate.treshold"),
        ("ros2 run cls_vla_ros check --params-file my.yaml --infer", ""),
    ],
)
def test_the_test_finds_what_is_wrong(line, problem):
    found = problem_of_line(line)
    assert (problem in found) if problem else not found


def test_links_that_lead_nowhere_are_found():
    assert problem_of_link(DOCS / "gate.md", "safty.md")
    assert problem_of_link(DOCS / "gate.md", "safety.md#no-such-heading")
    assert not problem_of_link(DOCS / "gate.md", "interface.md#topics-and-services")


# A typo that a page shows, and what a policy has in Python.
NO_PARAMETERS = {"limits.velocty", "policy.predict_action_chunk"}
NO_PARAMETERS |= {"policy.config.cls_similarity_threshold"}


def test_parameters_that_pages_name_exist():
    known = {spec.name for spec in SPECS}
    known |= {spec.name for _, specs in GROUPS.values() for spec in specs}
    groups = {name.partition(".")[0] for name in known if "." in name}
    pattern = re.compile(rf"`((?:{'|'.join(groups)})\.[\w.<>]+)`")
    for page in PAGES:
        named = {n for n in pattern.findall(page.read_text()) if not n.endswith((".py", ".png"))}
        named = {re.sub(r"^(camera|source|output)\.(?!<name>)\w+", r"\1.<name>", n) for n in named}
        assert not [n for n in named - known if n not in NO_PARAMETERS], page.name


def test_the_table_of_parameters_is_the_codes():
    assert markdown_table() in (DOCS / "parameters.md").read_text()


def test_the_front_page_is_one():
    text = (ROOT / "README.md").read_text()
    assert len(text.split()) < 750
    assert max(map(len, text.splitlines())) <= LINE


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_a_person_can_read_the_lines_in_an_editor(page):
    """Those of prose: a row of a table, or a command, is one line."""
    prose = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.S | re.M)
    too_long = [line for line in prose.splitlines() if len(line) > LINE]
    assert not [line for line in too_long if not line.startswith(("|", "![", "#"))]


def test_the_front_pages_params_file_is_one(tmp_path):
    (block,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    file = tmp_path / "so101.yaml"
    file.write_text(block)
    with parameters_of(file, {}) as parameters:
        settings = parameters.read()
    assert [output.type for output in settings.action.outputs] == [
        "joint_trajectory",
        "gripper_command",
    ]


def test_the_site_has_every_page():
    text = (ROOT / "mkdocs.yml").read_text()
    named = set(re.findall(r"([\w]+\.md)", str(yaml.safe_load(text)["nav"])))
    assert named == {page.name for page in DOCS.glob("*.md")}


def test_every_picture_of_the_pages_is_shown_by_one():
    text = "".join(page.read_text() for page in PAGES)
    assert not [p.name for p in DOCS.glob("*.png") if p.name not in text]
