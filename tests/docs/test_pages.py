"""The pages are whole: every link leads somewhere, every page is in the index, every command exists."""

import re

import pytest

from postroom.cli.main import COMMANDS

HEADING_LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]*)#([^)\s]+)\)")
LINK = re.compile(r"!?\[[^\]]*\]\(([^)#\s]+)(#[^)]*)?\)")


@pytest.fixture(scope="module")
def pages(tracked):
    return [path for path in tracked if path.suffix == ".md"]


def test_every_link_between_files_leads_somewhere(pages, root):
    dead = [
        f"{page.relative_to(root)}: {target}"
        for page in pages
        for target, _ in LINK.findall(page.read_text(encoding="utf-8"))
        if "://" not in target and not target.startswith("mailto:") and not (page.parent / target).exists()
    ]
    assert dead == []


def test_every_link_to_a_heading_finds_it(pages, root):
    dead = [
        f"{page.relative_to(root)}: {target}#{anchor}"
        for page in pages
        for target, anchor in HEADING_LINK.findall(page.read_text(encoding="utf-8"))
        if "://" not in target and anchor not in anchors((page.parent / target) if target else page)
    ]
    assert dead == []


def anchors(page):
    """The anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_is_in_the_index(pages, root):
    index = root / "docs" / "README.md"
    listed = {(index.parent / target).resolve() for target, _ in LINK.findall(index.read_text(encoding="utf-8"))}
    assert [page for page in pages if root / "docs" in page.parents and page != index and page not in listed] == []


def test_every_command_a_page_names_exists(pages, root):
    unknown = [
        f"{page.relative_to(root)}: postroom {name}"
        for page in pages
        for name in re.findall(r"(?:^|[`/$ ])postroom ([a-z]+)\b", _code(page.read_text(encoding="utf-8")))
        if name not in COMMANDS
    ]
    assert unknown == []


def _code(text):
    """What stands in code blocks and between back-ticks."""
    blocks = re.findall(r"```(?:console|sh|bash)\n(.*?)```", text, re.DOTALL)
    rest = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    commands = [span for span in re.findall(r"`([^`]+)`", rest) if span.startswith("postroom ")]
    return "\n".join([*(_typed(block) for block in blocks), *commands])


def _typed(block):
    """The lines of a block that are commands of ours: not `systemctl start postroom` and the like."""
    return "\n".join(line for line in block.splitlines() if re.match(r"(\$ )?(\S*/)?postroom ", line))


def test_every_make_target_a_page_names_exists(pages, root):
    targets = set(re.findall(r"^([a-z]+):", (root / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for page in pages:
        for name in re.findall(r"`make ([a-z]+)|^make ([a-z]+)", page.read_text(encoding="utf-8"), re.MULTILINE):
            assert set(name) - {""} <= targets, page


def test_every_target_of_the_makefile_is_explained(root):
    text = (root / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^\.PHONY: (\w+)", text, re.MULTILINE):
        assert re.search(rf"^{target}:.*## \S", text, re.MULTILINE), target
