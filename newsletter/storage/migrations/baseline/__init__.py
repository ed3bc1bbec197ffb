"""The schema of the first release. Like a migration, it is never edited once it has landed."""
