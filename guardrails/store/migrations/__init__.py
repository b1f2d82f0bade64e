"""The steps from each schema to the next; they run by themselves when the database is opened."""
