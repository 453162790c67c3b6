"""The rules of the house, read off the source: sizes, depth, directions of import, mirrored tests, equations, texts."""

import ast
import re
import shutil
import statistics
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from fieldmark.equations import listed, tagged

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGE = REPOSITORY / "src" / "fieldmark"
DESIGN = REPOSITORY / "docs" / "design.md"


class Room(NamedTuple):
    """Modules that belong together, and the rooms below that they may import; longer names win over shorter ones."""

    modules: tuple[str, ...]
    may_import: tuple[str, ...]


def rooms_of_the_design() -> dict[str, Room]:
    """The table of docs/design.md; the package itself is called "" here. A room may import itself."""
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \|$", DESIGN.read_text("utf-8"), re.MULTILINE)
    names = {room: (ticked(modules), ticked(below)) for room, modules, below in rows}
    return {
        room: Room(tuple("" if name == "fieldmark" else name for name in modules), tuple(below))
        for room, (modules, below) in names.items()
    }


def ticked(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


ROOMS = rooms_of_the_design()

# Modules that the base installation must be able to import: these, and all of images, data, birds, confidence,
# predictions, ship, serving, recipes and input but one. So recipes, settings and plans are read, written and changed
# without it.
FREE_OF_TORCH = (
    "images",
    "data",
    "birds",
    "confidence",
    "predictions",
    "ship",
    "serving",
    "recipes",
    "input",
)
NEEDS_TORCH = ("input.loading",)
NEEDS_NO_TORCH = (
    "",
    "errors",
    "files",
    "locks",
    "console",
    "plain",
    "batches",
    "cli",
    "api",
    "equations",
    "listing",
    "recipe",
    "training.settings",
    "training.overrides",
    "bench",
    "bench.commands",
    "bench.plan",
)
TRAIN_EXTRA = (
    "torch", "torchvision", "timm", "lightning_fabric", "torchmetrics", "safetensors", "huggingface_hub", "sklearn",
    "scipy", "matplotlib",
)  # fmt: skip

# Modules with functions, but without a test file of their own, and why. (One without any function holds values alone.)
WITHOUT_TEST_FILE = (
    ("data/dataset.py", "values and three look-ups, which every reader's test uses"),
    ("extending.py", "the words of new_classes/test_adding.py and test_removing.py in Python"),
    ("explaining.py", "the words of explanations/test_explaining.py and test_comparing.py in Python"),
    ("trust.py", "the words of training/test_calibrating.py in Python"),
    ("table_commands.py", "bench/test_paper_tables.py, as it is typed"),
    ("trust_commands.py", "the words of training/test_calibrating.py as they are typed"),
    ("predict_settings.py", "what test_predict_commands.py types"),
    ("on_device.py", "what every command begins with: test_commands.py and test_cli.py"),
    ("paper_figures/api_net.py", "one of the pictures of paper_figures/test_making.py"),
    ("paper_figures/channel_interaction.py", "one of the pictures of paper_figures/test_making.py"),
    ("paper_figures/mutual_channel.py", "one of the pictures of paper_figures/test_making.py"),
    ("paper_figures/pairwise_confusion.py", "one of the pictures of paper_figures/test_making.py"),
    ("paper_figures/selective_sparse_sampling.py", "one of the pictures of paper_figures/test_making.py"),
    ("birds/painting.py", "one coat of a drawing: birds/test_dataset.py looks at whole drawings"),
    ("birds/picture.py", "the drawing itself, by birds/test_dataset.py"),
    ("birds/scene.py", "the surroundings of a drawing: birds/test_dataset.py"),
    ("birds/shapes.py", "the outlines of a drawing: birds/test_dataset.py"),
    ("birds/species.py", "the species of a drawing: birds/test_dataset.py"),
)


class Module(NamedTuple):
    """A source file: ``name`` without the package, dotted ("" is the package itself), ``tree`` its syntax."""

    name: str
    path: Path
    text: str
    tree: ast.Module

    @property
    def place(self) -> str:
        return self.path.relative_to(PACKAGE).as_posix()


Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def modules() -> tuple[Module, ...]:
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        text = path.read_text("utf-8")
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found.append(Module(name, path, text, ast.parse(text)))
    return tuple(found)


def functions(tree: ast.AST) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def length(node: Function | ast.ClassDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def share(values: list[int], part: float) -> int:
    return sorted(values)[int(part * len(values))]


def arguments(node: Function) -> list[str]:
    names = [a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
    return names[1:] if names[:1] in (["self"], ["cls"]) else names


def none(found: Iterable[object]) -> None:
    """Fails with all that was found, a line each."""
    lines = [str(one) for one in found]
    assert not lines, "\n" + "\n".join(lines)


# Sizes and shapes


def test_files_are_short():
    none([(m.place, len(m.text.splitlines())) for m in modules() if len(m.text.splitlines()) > 400])


def test_functions_are_short():
    sizes = {(m.place, f.name, f.lineno): length(f) for m in modules() for f in functions(m.tree)}
    none((*where, lines) for where, lines in sizes.items() if lines > 60)
    assert statistics.median(sizes.values()) <= 10
    assert share(list(sizes.values()), 0.9) <= 40


def test_functions_take_few_arguments():
    counts = [len(arguments(f)) for m in modules() for f in functions(m.tree)]
    assert share(counts, 0.9) <= 6


def test_nobody_takes_arbitrary_keywords():
    """Named ones, ``**settings: Unpack[Keywords]``, are checked like any other; so are those of a wrapped function."""
    taken = [(m.place, f.name, f.args.kwarg) for m in modules() for f in functions(m.tree) if f.args.kwarg]
    none([(*where, kwarg.arg) for *where, kwarg in taken if not named(kwarg)])


def named(keywords: ast.arg) -> bool:
    return keywords.annotation is not None and ast.unparse(keywords.annotation).startswith(("Unpack[", "P.kwargs"))


def test_inheritance_is_shallow():
    classes = {c.name: c for m in modules() for c in ast.walk(m.tree) if isinstance(c, ast.ClassDef)}

    def depth(name: str) -> int:
        if name not in classes:  # somebody else's: nn.Module, ABC, Protocol, NamedTuple, Exception
            return 0
        bases = (ast.unparse(base).split("[")[0].split(".")[-1] for base in classes[name].bases)
        return 1 + max((depth(base) for base in bases if base != name), default=0)

    none([(name, depth(name)) for name in classes if depth(name) > 2])


def test_no_exception_is_swallowed():
    """A bare except, or a blanket one that neither raises nor does anything."""
    guilty = []
    for module in modules():
        for handler in (node for node in ast.walk(module.tree) if isinstance(node, ast.ExceptHandler)):
            bare = handler.type is None
            caught = {"BaseException"} if handler.type is None else set(re.findall(r"\w+", ast.unparse(handler.type)))
            idle = all(isinstance(line, ast.Pass | ast.Continue | ast.Break) for line in handler.body)
            if bare or (idle and caught & {"Exception", "BaseException"}):
                guilty.append((module.place, handler.lineno))
    none(guilty)


def test_no_global_statement():
    """State of a module that functions change."""
    none([(m.place, n.lineno) for m in modules() for n in ast.walk(m.tree) if isinstance(n, ast.Global)])


def test_modules_have_telling_names():
    none([m.place for m in modules() if m.path.stem in ("utils", "util", "helpers", "common", "misc")])


def test_what_is_public_has_a_docstring():
    silent = [f"{m.place}: the module" for m in modules() if m.text.strip() and not ast.get_docstring(m.tree)]
    for module in modules():
        for name, node in public_definitions(module.tree, ""):
            if not ast.get_docstring(node):
                silent.append(f"{module.place}: {name}")
    none(silent)


def public_definitions(parent: ast.Module | ast.ClassDef, prefix: str) -> Iterator[tuple[str, Function | ast.ClassDef]]:
    for node in parent.body:
        if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_"):
            yield prefix + node.name, node
            if isinstance(node, ast.ClassDef):
                yield from public_definitions(node, f"{prefix}{node.name}.")


# Who imports whom


def room_of(name: str) -> str:
    """The room of a module: the longest of the listed names that it is or lies in."""
    listed = {module: room for room, (inside, _) in ROOMS.items() for module in inside}
    fitting = [module for module in listed if name == module or (module and name.startswith(f"{module}."))]
    assert fitting, f"fieldmark.{name} belongs to no room: add it to the table in docs/design.md"
    return listed[max(fitting, key=len)]


def imported(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Modules of ours that a file imports, anywhere in it, and the line."""
    known = {m.name for m in modules()}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            named = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are written in full"
            # "from fieldmark.data import scan" imports a module, "from fieldmark.errors import UserError" a name
            named = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for full in named:
            if full.split(".")[0] == "fieldmark":
                name = full.removeprefix("fieldmark").removeprefix(".")
                yield (name if name in known else name.rpartition(".")[0]), node.lineno


def test_imports_go_one_way():
    wrong = []
    for module in modules():
        room = room_of(module.name)
        allowed = {room, *ROOMS[room].may_import}
        for name, line in imported(module.tree):
            if room_of(name) not in allowed:
                wrong.append(f"{module.place}:{line} ({room}) imports fieldmark.{name} ({room_of(name)})")
    none(wrong)


def test_rooms_have_an_order():
    """Each room imports earlier ones alone, so there is no circle."""
    names = list(ROOMS)
    for at, (name, room) in enumerate(ROOMS.items()):
        assert set(room.may_import) <= set(names[:at]), name


def test_the_loop_does_not_know_which_method_it_runs():
    (loop,) = (module for module in modules() if module.name == "training.loop")
    none([name for name, _ in imported(loop.tree) if name.split(".")[0] in ("papers", "recipes")])


def test_the_design_names_every_module():
    """Papers and their recipes aside: adding one costs no line here."""
    text = DESIGN.read_text("utf-8")
    places = (m.place for m in modules() if m.path.name != "__init__.py" and m.text.strip())
    wanted = [place for place in places if not place.startswith(("papers/", "recipes/"))]
    none([place for place in wanted if f"`{place}`" not in text and f"`{Path(place).name}`" not in text])


def test_what_must_not_need_torch_does_not():
    """Imported where nothing of the [train] extra can be: the way of the base installation."""
    names = [
        *NEEDS_NO_TORCH,
        *(m.name for m in modules() if m.name.split(".")[0] in FREE_OF_TORCH),
    ]
    free = [f"fieldmark.{name}".rstrip(".") for name in names if name not in NEEDS_TORCH]
    program = (
        "import sys, importlib\n"
        f"sys.path.insert(0, {str(PACKAGE.parent)!r})\n"
        f"sys.modules.update(dict.fromkeys({TRAIN_EXTRA!r}))\n"
        f"for name in {free!r}:\n"
        "    try:\n"
        "        importlib.import_module(name)\n"
        "    except ImportError as error:\n"
        "        print(name, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    none(done.stdout.splitlines())


# Tests


def test_tests_mirror_the_source():
    excused = {place for place, _ in WITHOUT_TEST_FILE}
    # the recipes of all papers are tested alike, by recipes/test_rows.py and recipes/test_composition.py
    excused |= {f"recipes/{paper.name.split('.')[1]}.py" for paper in papers()}
    missing = []
    for module in modules():
        test = REPOSITORY / "tests" / Path(module.place).with_name(f"test_{module.path.name}")
        tested = module.path.name == "__init__.py" or module.place in excused or test.is_file()
        if not tested and any(functions(module.tree)):
            missing.append(test.relative_to(REPOSITORY).as_posix())
    none(missing)
    none([place for place, _ in WITHOUT_TEST_FILE if not (PACKAGE / place).is_file()])


# Papers


FORBIDDEN_IN_PAPERS = ("item", "tolist", "cpu", "numpy")


def papers() -> list[Module]:
    """The files that compute something of a paper: a folder's own file only gives its public names."""
    return [m for m in modules() if m.name.startswith("papers.") and m.path.name != "__init__.py"]


def reading_back(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """The line and the name of each call that waits for the device: of a method above, or of ``to`` the host."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            name, given = node.func.attr, [*node.args, *(keyword.value for keyword in node.keywords)]
            words = [part.value for value in given for part in ast.walk(value) if isinstance(part, ast.Constant)]
            to_host = name == "to" and any(isinstance(word, str) and word.startswith("cpu") for word in words)
            if name in FORBIDDEN_IN_PAPERS or to_host:
                yield node.lineno, name


def test_papers_read_nothing_back():
    """A call that waits for the device, in code that runs in each step."""
    none([(m.place, *found) for m in papers() for found in reading_back(m.tree)])


def test_what_reads_back_is_seen():
    guilty = ["x.item()", "x.sum().tolist()", "x.cpu()", "x.detach().numpy()", 'x.to("cpu")', 'x.to(device="cpu:0")']
    guilty += ['x.to(torch.device("cpu"), torch.float64)', "y = [x.item() for x in z]"]
    for line in guilty:
        assert len(list(reading_back(ast.parse(line)))) == 1, line
    for line in ("x.to(y.device)", "x.to(torch.float32)", "x.items()", 'x.to("cuda")'):
        assert not list(reading_back(ast.parse(line))), line


def test_papers_open_with_what_they_are():
    for paper in papers():
        if paper.name == "papers.plain":  # a baseline, not a paper
            continue
        text = ast.get_docstring(paper.tree) or ""
        head, _, rest = text.partition("\nEquations\n" if "\nEquations\n" in text else "\nFormulas\n")
        assert re.search(r"\barXiv:\d{4}\.\d{4,5}\b", head), f"{paper.place}: title, authors, venue, arXiv:NNNN.NNNNN"
        numbered = listed(paper.text) or "\nFormulas\n" in text  # without numbers, where these are not known
        assert numbered, f"{paper.place}: a block 'Equations' or 'Formulas'"
        assert "\nPaper and released code\n" in rest, f"{paper.place}: a block 'Paper and released code'"


def test_equations_are_where_the_papers_say():
    wrong = []
    for paper in papers():
        rows = [(row.number, row.function.split(".")[-1]) for row in listed(paper.text)]
        tags = tagged(paper.text)
        for number, name in rows:
            if not any(number == tag.number and name in tag.inside for tag in tags):
                wrong.append(f"{paper.place}: no line '# Eq. {number}' in {name}")
        for tag in tags:
            if not any((tag.number, name) in rows for name in tag.inside):
                inside = " and ".join(tag.inside) or "no function"
                wrong.append(f"{paper.place}: '# Eq. {tag.number}' in {inside} has no row")
    none(wrong)


# Texts


# Written in two pieces, so that this file does not name them.
UNWANTED = ("pypi" + ".org", "python" + "hosted", "index" + "-url", "/wo" + "rk/", "/tmp/" + "lab", "/ro" + "ot/")


def texts() -> Iterator[tuple[str, str]]:
    """Names and contents of the text files that are tracked, or would be."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(listing, cwd=REPOSITORY, capture_output=True, text=True) if shutil.which("git") else None
    names = done.stdout.split("\0") if done and not done.returncode else [m.path.as_posix() for m in modules()]
    for name in names:
        path = REPOSITORY / name
        if path.is_file() and b"\0" not in (content := path.read_bytes()):  # pictures and arrays hold zero bytes
            yield name, content.decode("utf-8")


def test_texts_name_no_registry_and_no_machine():
    found = [(name, unwanted) for name, text in texts() for unwanted in UNWANTED if unwanted in text]
    none(found)


def test_the_lock_file_holds_names_and_versions():
    lines = (REPOSITORY / "requirements-lock.txt").read_text("utf-8").splitlines()
    assert lines[0].startswith("# ")
    pins = [line for line in lines if not line.startswith("#")]
    none([line for line in pins if not re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", line)])
    names = {line.split("==")[0] for line in pins}
    none([name for name in names if name.startswith(("nvidia", "cuda", "fieldmark"))])
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = chain(project["dependencies"], *project["optional-dependencies"].values())
    direct = {re.split(r"[\[<>=!~ ]", requirement)[0] for requirement in wanted} - {"fieldmark"}
    assert direct <= names
