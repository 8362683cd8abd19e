"""The built-in handlers, written against `postroom.plugin` alone: what they can do, a stranger's handler can do."""
