"""What scenarios and the demo stand on: scratch servers, a migration, writers, a comparer."""
