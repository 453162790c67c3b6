"""Why a run answers as it does: where it looks, and what tells one class from another."""
