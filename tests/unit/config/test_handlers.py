from __future__ import annotations

from pathlib import Path

import pytest

from postroom.config import parse
from postroom.config.problems import Id, Place
from postroom.errors import ConfigError, HandlerError
from postroom.model import RetryPolicy


def declared(text):
    return f"handlers: {{archive: {text}}}\nmailboxes: [{{address: a@b.example, rules: [{{handle: archive}}]}}]\n"


def test_a_handler_has_its_class_options_and_patience(full, handlers, tmp_path):
    retry = "{attempts: 3, first: 1s, longest: 1m}"
    text = f"{{use: save_files, with: {{directory: /srv}}, retry: {retry}, timeout: 5s, concurrency: 2}}"
    made = full(declared(text)).handlers["archive"]
    assert (made.name, made.use, made.cls) == ("archive", "save_files", handlers["save_files"])
    assert (made.options.directory, made.options.pattern) == (Path("/srv"), "*")
    assert (made.retry, made.timeout, made.concurrency) == (RetryPolicy(3, 1.0, 60.0), 5.0, 2)


def test_patience_has_a_default(full):
    made = full(declared("{use: log}")).handlers["archive"]
    assert (made.retry, made.timeout, made.concurrency) == (RetryPolicy(), 60.0, 10)


def test_paths_in_options_start_at_the_file(full, tmp_path):
    made = full(declared("{use: save_files, with: {directory: out, also: [x, /y]}}")).handlers["archive"]
    assert made.options.directory == tmp_path / "out"
    assert made.options.also == (tmp_path / "x", Path("/y"))


def test_an_option_may_be_nothing_on_purpose(full):
    made = full(declared("{use: save_files, with: {directory: /srv, limit: ~}}")).handlers["archive"]
    assert made.options.limit is None


def test_every_wrong_option_is_reported_at_its_place(problems):
    text = (
        "tenant: {tenant_id: t.example, client_id: 22222222-2222-2222-2222-222222222222, "
        "credential: {client_secret: s}}\n" + declared("{use: save_files, with: {patern: x, copies: 0, pattern: a/b}}")
    )
    assert [(problem.path, problem.id) for problem in problems(text)] == [
        ("handlers.archive.with.directory", Id.MISSING_SETTING),
        ("handlers.archive.with.patern", Id.UNKNOWN_SETTING),
        ("handlers.archive.with.copies", Id.OUT_OF_RANGE),
        ("handlers.archive.with.pattern", Id.BAD_VALUE),
    ]


def test_the_directory_of_the_file_is_where_classes_are_looked_for(full, tmp_path, find, handlers):
    asked = []

    def look(use, directory):
        asked.append((use, directory))
        return handlers["log"]

    parse(
        "tenant: {tenant_id: t.example, client_id: 22222222-2222-2222-2222-222222222222, "
        "credential: {client_secret: s}}\n" + declared("{use: './my.py:Mine'}"),
        "x.yaml",
        look,
        (),
        {},
        tmp_path,
    )
    assert asked == [("./my.py:Mine", tmp_path)]


def test_an_installed_handler_without_options_need_not_be_declared(full):
    config = full("mailboxes: [{address: a@b.example, rules: [{handle: log}, {handle: [log]}]}]\n")
    assert list(config.handlers) == ["log"]
    assert config.handlers["log"].use == "log"
    assert config.warnings == ()


def test_a_declared_handler_hides_the_installed_one_of_its_name(full):
    config = full(
        "handlers: {log: {use: save_files, with: {directory: /srv}}}\n"
        "mailboxes: [{address: a@b.example, rules: [{handle: log}]}]\n"
    )
    assert config.handlers["log"].use == "save_files"


def test_a_handler_is_named_once_however_often_it_is_written(full):
    config = full("mailboxes: [{address: a@b.example, rules: [{handle: [log, log]}]}]\n")
    assert config.mailboxes[0].rules[0].handle == ("log",)
    assert [problem.id for problem in config.warnings] == [Id.HANDLER_TWICE]


def test_a_handlers_secret_that_everybody_can_read_is_a_warning(full, secret_file):
    secret_file("key", 0o644)
    config = full(declared("{use: save_files, with: {directory: /srv, secret_file: key}}"))
    (problem,) = config.warnings
    assert (problem.id, problem.path) == (Id.SECRET_EXPOSED, "handlers.archive.with.secret_file")


def test_a_handlers_secret_that_is_missing_is_an_error(problems):
    text = (
        "tenant: {tenant_id: t.example, client_id: 22222222-2222-2222-2222-222222222222, "
        "credential: {client_secret: s}}\n" + declared("{use: save_files, with: {directory: /srv, secret_file: key}}")
    )
    (problem,) = problems(text)
    assert (problem.id, problem.path) == (Id.FILE_MISSING, "handlers.archive.with.secret_file")


def test_an_installed_handler_that_cannot_be_imported_says_why(tmp_path):
    def broken(use, directory):
        raise HandlerError("Handler log needs the module 'requests2', which is not there.", remedy="Install it.")

    with pytest.raises(ConfigError) as caught:
        parse(
            "tenant: {tenant_id: t.example, client_id: 22222222-2222-2222-2222-222222222222, "
            "credential: {client_secret: s}}\n" + declared("{use: log}"),
            "x.yaml",
            broken,
            ["log"],
            {},
            tmp_path,
        )
    (problem,) = caught.value.problems
    assert problem.id == Id.UNKNOWN_HANDLER_CLASS
    assert "requests2" in problem.text


def test_the_handlers_of_a_configuration_cannot_be_changed(full):
    with pytest.raises(TypeError):
        full("").handlers["x"] = None


def test_a_handler_knows_where_it_stands_in_the_file(full):
    text = (
        "handlers:\n  archive: {use: save_files, with: {directory: /srv}}\n  print: {use: needy}\n"
        "mailboxes: [{address: a@b.example, rules: [{handle: [archive, print, log]}]}]\n"
    )
    places = {name: each.place for name, each in full(text).handlers.items()}
    assert places["archive"] == Place(("handlers", "archive", "with"), 3, 36)
    assert places["print"] == Place(("handlers", "print"), 4, 10)
    assert places["log"] == Place(("mailboxes", 0, "rules", 0, "handle", 2), 5, 70)
