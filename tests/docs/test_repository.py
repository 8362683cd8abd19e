"""What holds for every file in the repository."""

import json
import re
import tomllib

import pytest

HOSTS = [
    "pypi" + r"\.org",
    "python" + r"hosted",
    "pypa" + r"\.io",
    "npm" + r"js",
    "docker" + r"\.io",
    "ghcr" + r"\.io",
    r"\bquay" + r"\.io",
    r"\bdeb" + r"\.debian",
    "astral" + r"\.sh",
]
MACHINE_PATHS = ["/wo" + "rk/", "/ro" + r"ot/\.(?!cache/pip)", "/ho" + r"me/\w+/", r"/tm" + "p/brief"]
LOCK_LINE = re.compile(r"[a-z0-9][a-z0-9._-]*==\S+( ; [^\\]+)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?")
LOCKS = ["build", "dev", "interop", "run", "uv"]


def texts(tracked):
    for path in tracked:
        content = path.read_bytes()
        if b"\0" not in content:
            yield path, content.decode("utf-8", "replace")


def offenders(tracked, root, pattern):
    return [
        f"{path.relative_to(root)}: {found[0]}"
        for path, text in texts(tracked)
        if (found := re.search(pattern, text, re.IGNORECASE))
    ]


@pytest.mark.parametrize("host", HOSTS)
def test_no_file_names_a_package_or_image_registry(tracked, root, host):
    assert offenders(tracked, root, host) == []


@pytest.mark.parametrize("path", MACHINE_PATHS)
def test_no_file_names_a_path_of_somebodys_machine(tracked, root, path):
    assert offenders(tracked, root, path) == []


def test_nothing_but_ci_looks_beside_the_checkout(tracked, root):
    assert offenders([path for path in tracked if path != root / ".ci" / "run"], root, r"\.\./sha" + "red") == []


def test_the_folder_of_packages_is_no_package(root):
    assert not (root / "daemon" / "__init__.py").exists()


def test_test_folders_are_no_packages(tracked, root):
    assert [path for path in tracked if path.name == "__init__.py" and root / "tests" in path.parents] == []


def locked(root, name):
    text = (root / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z0-9][a-z0-9._-]*)==([^\s;]+)", text, re.MULTILINE)), text


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_file_holds_names_versions_and_hashes_only(root, name):
    _, text = locked(root, name)
    for line in text.splitlines():
        assert LOCK_LINE.fullmatch(line), line


def test_the_lock_of_the_javascript_clients_names_no_place_to_get_them_from(root):
    lock = json.loads((root / "tests" / "interop" / "package-lock.json").read_text(encoding="utf-8"))
    packages = {name: package for name, package in lock["packages"].items() if name}
    assert packages
    assert [name for name, package in packages.items() if "resolved" in package or "integrity" not in package] == []


@pytest.mark.parametrize("name", ["build", "run"])
def test_what_is_tested_is_what_is_deployed(root, name):
    versions, _ = locked(root, name)
    tested, _ = locked(root, "dev")
    assert {package: tested.get(package) for package in versions} == versions


def test_every_dependency_is_locked(root):
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    named = {
        "run": project["project"]["dependencies"],
        "dev": project["project"]["dependencies"] + project["dependency-groups"]["dev"],
        "build": project["build-system"]["requires"],
    }
    for name, wanted in named.items():
        versions, _ = locked(root, name)
        missing = {re.match(r"[\w.-]+", each)[0].lower().replace("_", "-") for each in wanted} - versions.keys()
        assert not missing, f"requirements/{name}.txt lacks {missing}: make lock"


def test_the_image_gets_every_file_that_the_package_is_built_from(root):
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = [
        project["project"]["readme"],
        *project["project"]["license-files"],
        *wheel["packages"],
        *wheel["force-include"],
    ]
    copied = {
        source.removeprefix("./")
        for line in re.findall(
            r"^COPY (?!--from)(.*) \S+$", (root / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE
        )
        for source in line.split()
    }
    allowed = set(re.findall(r"^!(\S+)", (root / ".dockerignore").read_text(encoding="utf-8"), re.MULTILINE))
    for path in needed:
        assert any(path == each or path.startswith(f"{each}/") for each in copied), f"Dockerfile: {path}"
        assert any(path == each or path.startswith(f"{each}/") for each in allowed), f".dockerignore: {path}"


def test_shell_scripts_can_be_run_and_stop_at_the_first_failure(root):
    scripts = [path for path in (root / ".ci").iterdir() if not path.suffix and path.is_file()]
    assert {"run", "venv"} <= {script.name for script in scripts}
    for script in scripts:
        assert script.stat().st_mode & 0o111
        assert "set -euo pipefail" in script.read_text(encoding="utf-8")
