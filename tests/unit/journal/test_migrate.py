"""The schema is made and upgraded by the program, is the one the statements are written for, and is never guessed."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from postroom.errors import JournalError
from postroom.journal import JournalViews, SqlJournal, migrate, open_journal
from postroom.journal.indexes import metadata


def indexes(connection: sa.Connection) -> dict[str, str]:
    rows = connection.execute(sa.text("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"))
    return {name: " ".join(sql.split()) for name, sql in rows}


async def test_migrations_and_tables_do_not_drift(journal: SqlJournal) -> None:
    def differences(connection: sa.Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"version_table": migrate.VERSION_TABLE})
        return compare_metadata(context, metadata)

    assert await journal.database.read(differences) == []


async def test_migrated_indexes_are_those_of_the_tables_their_conditions_included(journal: SqlJournal) -> None:
    engine = sa.create_engine("sqlite://")
    with engine.begin() as connection:
        metadata.create_all(connection)
        wanted = indexes(connection)
    engine.dispose()
    assert await journal.database.read(indexes) == wanted


def test_the_list_of_revisions_is_that_of_the_scripts() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrate.__file__).parent / "migrations"))
    script = ScriptDirectory.from_config(config)
    assert [found.revision for found in script.walk_revisions()][::-1] == list(migrate.REVISIONS)


@pytest.mark.parametrize("exclusive", [True, False])
async def test_a_journal_newer_than_the_program_is_refused(tmp_path: Path, *, exclusive: bool) -> None:
    url = f"sqlite:///{tmp_path}/journal.db"
    journal = await open_journal(url)
    newer = sa.text(f"UPDATE {migrate.VERSION_TABLE} SET version_num = '9999'")
    await journal.database.write(lambda connection: connection.execute(newer))
    await journal.close()
    with pytest.raises(JournalError, match=r"newer Postroom.*9999") as caught:
        await open_journal(url, exclusive=exclusive)
    assert caught.value.remedy


async def test_opening_again_changes_no_schema(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/journal.db"
    versions = []
    for _ in range(2):
        journal = await open_journal(url)
        read = sa.text("PRAGMA schema_version")
        versions.append(await journal.database.read(lambda connection, read=read: connection.scalar(read)))
        await journal.close()
    assert versions[0] == versions[1]


async def test_a_migration_that_fails_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def upgrade_and_fail(connection: sa.Connection) -> None:
        connection.execute(sa.text("CREATE TABLE half (id INTEGER)"))
        raise ZeroDivisionError

    monkeypatch.setattr(migrate, "_upgrade", upgrade_and_fail)
    url = f"sqlite:///{tmp_path}/journal.db"
    with pytest.raises(ZeroDivisionError):
        await open_journal(url)
    monkeypatch.undo()
    journal = await open_journal(url)
    names = await journal.database.read(lambda connection: sa.inspect(connection).get_table_names())
    await journal.close()
    assert "half" not in names
    assert set(metadata.tables) < set(names)


async def test_a_path_with_a_percent_sign_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "50%").mkdir()
    journal = await open_journal(f"sqlite:///{tmp_path}/50%/journal.db")
    await journal.close()
    assert (tmp_path / "50%" / "journal.db").exists()


async def test_a_journal_of_the_first_version_is_brought_up_to_date_and_keeps_its_mail(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/journal.db"
    engine = sa.create_engine(url)
    config = Config(attributes={})
    config.set_main_option("script_location", str(Path(migrate.__file__).parent / "migrations"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(sa.text("INSERT INTO mailboxes (tenant, address) VALUES ('t', 'a@b.example')"))
        folder = "(mailbox_id, name, walk, walk_started_at, mode) VALUES (1, 'Inbox', 'full', 0, 'delta')"
        connection.execute(sa.text(f"INSERT INTO folders {folder}"))
        connection.execute(
            sa.text(
                "INSERT INTO messages (mailbox_id, folder_id, graph_id, internet_message_id, received_at, seen_at, "
                "dispatched, subject, sender) VALUES (1, 1, 'id', '', 0, 0, 1, 'Invoice', 'a@b')"
            )
        )
    engine.dispose()
    journal = await open_journal(url)
    [message] = await JournalViews(journal).messages()
    assert (message.subject, message.settled) == ("Invoice", None)
    await journal.close()
