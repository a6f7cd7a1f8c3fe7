"""What a run did, counted and drawn. It reads decisions and the rows they were made from, of any record and any cascade."""
