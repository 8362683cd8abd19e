"""The journal's schema through time. Alembic runs `env.py`, which runs `versions/`."""
