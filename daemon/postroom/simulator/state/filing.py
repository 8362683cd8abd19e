"""What becomes of the messages in a folder, and of the folders in it, when the folder itself is changed."""

from __future__ import annotations

from postroom.simulator.state.folder import Folder
from postroom.simulator.state.mailbox import Mailbox


def rename_folder(mailbox: Mailbox, folder: Folder, display_name: str) -> None:
    """Give a folder another name; raises FolderExists or FixedFolder."""
    mailbox.folders.rename(folder, display_name)
    mailbox.changed()


def move_folder(mailbox: Mailbox, folder: Folder, parent: Folder) -> None:
    """Put a folder under another; its id stays. Raises FolderExists, FixedFolder or WrongPlace."""
    mailbox.folders.move(folder, parent)
    mailbox.changed()


def copy_folder(mailbox: Mailbox, folder: Folder, parent: Folder) -> Folder:
    """Copy a folder with everything in it, under another name where its own is taken; raises WrongPlace."""
    below = list(folder.walk())
    twin = mailbox.folders.create(mailbox.folders.free_name(parent, folder.display_name), parent, hidden=folder.hidden)
    twins = {folder: twin}
    for one in below[1:]:
        assert one.parent is not None
        twins[one] = mailbox.folders.create(one.display_name, twins[one.parent], hidden=one.hidden)
    for original, copied in twins.items():
        copied.search = original.search
        for message in list(original.messages):
            mailbox.copy(message, copied)
    mailbox.changed()
    return twin


def delete_folder(mailbox: Mailbox, folder: Folder) -> None:
    """Delete a folder: it lies in Deleted Items then, and when it already did, it is gone; raises FixedFolder."""
    bin_ = mailbox.folders.well_known["deleteditems"]
    if folder.search is not None or bin_ in folder.lies_in():
        purge_folder(mailbox, folder)
    else:
        mailbox.folders.move(folder, bin_, any_name=True)
        mailbox.changed()


def purge_folder(mailbox: Mailbox, folder: Folder) -> None:
    """Delete a folder for good, its messages and the folders in it too; raises FixedFolder."""
    mailbox.folders.check_free(folder)
    for one in reversed(list(folder.walk())):
        for message in list(one.messages):
            mailbox.purge(message)
        mailbox.folders.remove(one)
    mailbox.changed()
