"""Whether the tables of an installed app are in the database."""

from __future__ import annotations

from django.apps import apps


def unmigrated(module: str) -> str:
    """Return the label of the app that holds `module` if some of its migrations are not applied; else, or if unknown, ""."""
    from django.db import DEFAULT_DB_ALIAS, Error, connections
    from django.db.migrations.executor import MigrationExecutor

    config = apps.get_containing_app_config(module)
    if config is None:
        return ""
    try:
        executor = MigrationExecutor(connections[DEFAULT_DB_ALIAS])
        targets = [node for node in executor.loader.graph.leaf_nodes() if node[0] == config.label]
        return config.label if executor.migration_plan(targets) else ""
    except Error:
        return ""  # the database does not answer, which whoever asks it reports
