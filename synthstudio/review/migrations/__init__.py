"""How the tables of the review store became what they are; Alembic runs these steps."""
