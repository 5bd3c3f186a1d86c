"""The import arrows: apps -> recon -> sim -> sorter.core, apps -> sorter; and what starts without torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("sorter", "sim", "recon", "apps")

#: package (longest prefix wins) -> prefixes of our own packages that it may import, besides itself
ALLOWED = {
    "sorter.core": (),
    "sorter.io": ("sorter.core",),
    "sorter.preprocess": ("sorter.core",),
    "sorter.views": ("sorter.core", "sorter.preprocess"),
    "sorter.models": ("sorter.core", "sorter.io", "sorter.preprocess"),
    "sorter.losses": ("sorter.core",),
    "sorter.train": ("sorter.core", "sorter.io", "sorter.preprocess", "sorter.views", "sorter.models", "sorter.losses"),
    "sorter.embed": ("sorter.core", "sorter.io", "sorter.preprocess", "sorter.models"),
    "sorter.cluster": ("sorter.core", "sorter.io", "sorter.preprocess"),
    "sorter.curate": ("sorter.core", "sorter.io", "sorter.preprocess"),
    "sorter.online": ("sorter.core", "sorter.io", "sorter.preprocess", "sorter.models"),
    "sorter.classic": ("sorter.core", "sorter.io", "sorter.preprocess", "sorter.models", "sorter.losses"),
    "sorter.stages": ("sorter",),
    "sim": ("sorter.core", "sorter.io"),
    "recon": ("sim", "sorter.core", "sorter.io"),
    "apps": PACKAGES,
}


def modules():
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def imports(path, module):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def inside(name, prefix):
    return name == prefix or name.startswith(prefix + ".")


@pytest.mark.parametrize(("module", "path"), list(modules()), ids=lambda v: v if isinstance(v, str) else "")
def test_arrows(module, path):
    if module == "sorter":
        return
    owner = max((p for p in ALLOWED if inside(module, p)), key=len, default=None)
    assert owner, f"{module}: no arrow is drawn for this package"
    allowed = (owner, *ALLOWED[owner])
    for name in imports(path, module):
        if any(inside(name, p) for p in PACKAGES):
            assert any(inside(name, p) for p in allowed), f"{module} imports {name}"


@pytest.mark.parametrize("package", ["sorter.core", "sorter.io", "sorter.cluster", "sorter.curate", "apps.explorer"])
def test_starts_without_torch(package):
    names = [m for m, _ in modules() if inside(m, package)]
    code = f"import sys\nfor m in {names!r}: __import__(m)\nsys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0, f"{package} imports torch"
