"""The demo's picture is the same on every page and every machine."""

from rich.text import Text

from postroom.cli.demo_picture import WIDTH, picture_console, save_picture


def picture_of(text, directory):
    console = picture_console()
    console.print(Text(text), soft_wrap=True)
    save_picture(console, directory / "demo.svg")
    return (directory / "demo.svg").read_text(encoding="utf-8")


def test_the_picture_loads_nothing_from_elsewhere(tmp_path):
    svg = picture_of("mails in 229", tmp_path)
    assert "@font-face" not in svg
    assert "url(http" not in svg


def test_the_picture_keeps_the_spaces_that_numbers_are_aligned_by(tmp_path):
    svg = picture_of("   229", tmp_path)
    assert '<svg xml:space="preserve" ' in svg
    assert "&#160;&#160;&#160;229" in svg


def test_the_picture_is_as_wide_on_every_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert picture_console().width == WIDTH
    assert not picture_console().is_terminal
